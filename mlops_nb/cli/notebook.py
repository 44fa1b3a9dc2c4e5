"""Commands on one notebook: `execute`, `params`."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .show import json_option, print_json, print_table, show_findings, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlops_nb.notebook.limits import Limits
    from mlops_nb.pipeline.execution import Terms


def _complete_parameter(
    context: click.Context, _option: click.Parameter, incomplete: str
) -> list[str]:
    """Return the parameter names of the notebook that stands on the command line."""
    from mlops_nb.errors import MlopsNbError
    from mlops_nb.pipeline.order import declared

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


STRICT = "MLOPS_NB_STRICT"


def terms_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how a notebook is executed, whichever it is."""
    for option in (
        click.option("--resume", is_flag=True,
                     help="Go on after the last attempt's last good cells."),
        click.option("--kernel", metavar="NAME",
                     help="Use this Jupyter kernel instead of the notebook's."),
        click.option("--strict", is_flag=True, envvar=STRICT, show_envvar=True,
                     help="Fail a stage that uses a file which it does not declare; exit with 1."),
        click.option("--memory", metavar="SIZE",
                     help="What the kernel and its children may have, as 512M or 2G; exit with 3."),
        click.option("--cell-timeout", type=SECONDS, metavar="SECONDS",
                     help="Stop when one cell takes longer."),
        click.option("--timeout", type=SECONDS, metavar="SECONDS",
                     help="Stop after this time; exit with 124."),
    ):  # fmt: skip
        command = option(command)
    return command


@click.command()
@notebook_argument
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where the report goes.")
@click.option(
    "-p", "--param", "assignments", multiple=True, metavar="NAME=VALUE",
    shell_complete=_complete_parameter, help="Set a parameter; its type decides what the text means.",
)  # fmt: skip
@terms_options
@json_option
@click.pass_context
def execute(
    context: click.Context,
    /,
    notebook: Path,
    output: Path | None,
    assignments: tuple[str, ...],
    as_json: bool,
    **given: Any,
) -> None:
    """Execute NOTEBOOK and write its report.

    A notebook in nbs/pipeline runs as a stage: at the project's root, with its section of
    params.yaml; its report is replaced only when it ran to its end. Any other notebook runs where
    you are, as papermill would run it; its report (./NAME-report.ipynb) tells also how it failed.

    The files that a stage opens are watched. One that no port declares, or that lies outside the
    project, is named with cell and line: as a warning, or as an error under --strict.
    """
    from mlops_nb.pipeline.execution import execute_order
    from mlops_nb.pipeline.order import order_notebook

    from .progress import Progress

    limits = _limits(**given)  # what cannot be a size is said before what is wrong with the notebook
    order = order_notebook(notebook, assignments, output)
    for note in order.notes:
        click.echo(f"warning: {note}", err=True)
    terms = _terms(context, limits, is_stage=order.project is not None, **given)
    with _telling_findings(strict=terms.strict), Progress(order.name, context.obj) as progress:
        outcome = execute_order(order, terms, progress.watch)
    document = outcome.to_json()
    show_findings(document, "warning", strict=terms.strict)
    if as_json:
        print_json(document)
    else:
        place = os.path.relpath(order.report)
        took = f"{outcome.wall_seconds:.1f} s" + (f" ({outcome.resumed})" if outcome.resumed else "")
        click.echo(f"{order.name}: {outcome.state} in {took}, {place}")


def _limits(
    timeout: float | None, cell_timeout: float | None, memory: str | None, **_others: Any
) -> Limits:
    """Return what a notebook may take."""
    from mlops_nb.notebook.limits import Limits, parse_size

    return Limits(timeout, cell_timeout, parse_size(memory) if memory else None)


def _terms(
    context: click.Context,
    limits: Limits,
    *,
    is_stage: bool,
    kernel: str | None,
    strict: bool,
    resume: bool,
    **_others: Any,
) -> Terms:
    """Return how a notebook is executed."""
    from mlops_nb.pipeline.attempts import wanted
    from mlops_nb.pipeline.execution import Terms

    if context.get_parameter_source("strict") == click.core.ParameterSource.ENVIRONMENT:
        strict = strict and is_stage  # nobody has asked it of this notebook
    return Terms(kernel, limits, strict, "yes" if resume else wanted(os.environ))


@contextlib.contextmanager
def _telling_findings(*, strict: bool) -> Iterator[None]:
    """Say which undeclared files an execution used that does not end well."""
    from mlops_nb.errors import ExecutionError, UndeclaredFiles

    try:
        yield
    except ExecutionError as error:
        kind = "error" if isinstance(error, UndeclaredFiles) else "warning"
        show_findings(error.outcome or {}, kind, strict=strict)
        raise


@click.command()
@notebook_argument
@json_option
def params(notebook: Path, as_json: bool) -> None:
    """Show the parameters and ports that NOTEBOOK declares, without executing it."""
    from mlops_nb.pipeline.order import declared

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
