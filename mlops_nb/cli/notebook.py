"""Commands on one notebook: `execute`, `params`."""

import math
import os
from pathlib import Path
from typing import Any

import click

from .show import json_option, print_json, print_table, shown


def _complete_parameter(
    context: click.Context, _option: click.Parameter, incomplete: str
) -> list[str]:
    """Return the parameter names of the notebook that stands on the command line."""
    from mlops_nb.errors import MlopsNbError
    from mlops_nb.pipeline.execution import declared

    # An option that still lacks its value keeps click from naming the arguments before it.
    words = [context.params.get("notebook"), *context.args]
    try:
        names = declared(Path(next(word for word in words if word))).names
    except (MlopsNbError, StopIteration):
        return []
    return [f"{name}=" for name in names if name.startswith(incomplete)]


class _Seconds(click.FloatRange):
    """A time that ends: more than nothing, less than for ever."""

    name = "seconds"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        found = float(super().convert(value, param, ctx))
        if not math.isfinite(found):
            self.fail(f"{value} is no number of seconds.", param, ctx)
        return found


SECONDS = _Seconds(min=0, min_open=True)
notebook_argument = click.argument("notebook", type=click.Path(path_type=Path))


@click.command()
@notebook_argument
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where the report goes.")
@click.option(
    "-p",
    "--param",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    shell_complete=_complete_parameter,
    help="Set a parameter; its type decides what the text means.",
)
@click.option(
    "--timeout",
    type=SECONDS,
    metavar="SECONDS",
    help="Stop after this time; exit with 124.",
)
@click.option(
    "--cell-timeout",
    type=SECONDS,
    metavar="SECONDS",
    help="Stop when one cell takes longer.",
)
@click.option(
    "--memory",
    metavar="SIZE",
    help="What the kernel and its children may have, as 512M or 2G; exit with 3.",
)
@click.option("--kernel", metavar="NAME", help="Use this Jupyter kernel instead of the notebook's.")
@json_option
def execute(
    notebook: Path,
    output: Path | None,
    assignments: tuple[str, ...],
    timeout: float | None,
    cell_timeout: float | None,
    memory: str | None,
    kernel: str | None,
    as_json: bool,
) -> None:
    """Execute NOTEBOOK and write its report.

    A notebook in nbs/pipeline runs as a stage: at the project's root, with its section of
    params.yaml; its report is replaced only when it ran to its end. Any other notebook runs where
    you are, as papermill would run it; its report (./NAME-report.ipynb) tells also how it failed.
    """
    from mlops_nb.notebook.limits import Limits, parse_size
    from mlops_nb.pipeline.execution import execute_order, order_notebook

    from .progress import Progress

    limits = Limits(timeout, cell_timeout, parse_size(memory) if memory else None)
    order = order_notebook(notebook, assignments, output)
    with Progress(order.name, click.get_current_context().obj) as progress:
        outcome = execute_order(order, kernel=kernel, limits=limits, watch=progress.watch)
    if as_json:
        print_json(outcome.to_json())
    else:
        place = os.path.relpath(order.report)
        click.echo(f"{order.name}: {outcome.state} in {outcome.wall_seconds:.1f} s, {place}")


@click.command()
@notebook_argument
@json_option
def params(notebook: Path, as_json: bool) -> None:
    """Show the parameters and ports that NOTEBOOK declares, without executing it."""
    from mlops_nb.pipeline.execution import declared

    document = declared(notebook).to_json()
    if as_json:
        print_json(document)
        return
    rows = [
        [
            p["name"],
            p["type"],
            "required" if p["required"] else p["expression"] or shown(p["default"]),
            p["help"],
        ]
        for p in document["parameters"]
    ]
    print_table("Parameters", ["name", "type", "default", ""], rows)
    columns = ["name", "kind", "path"]
    print_table("Ports", columns, [[p[key] for key in columns] for p in document["ports"]])


COMMANDS = (execute, params)
