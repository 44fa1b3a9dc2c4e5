"""Commands on one notebook: `execute`, `params`, `clean`."""

import os
from pathlib import Path

import click

from .show import json_option, print_json, print_table, shown


def _complete_parameter(
    context: click.Context, _option: click.Parameter, incomplete: str
) -> list[str]:
    """Return the parameter names of the notebook that stands on the command line."""
    from mlops_nb.errors import MlopsNbError
    from mlops_nb.notebook.document import read_document
    from mlops_nb.notebook.signature import read_signature

    try:
        names = read_signature(read_document(context.params["notebook"])).names
    except (MlopsNbError, KeyError, TypeError):
        return []
    return [f"{name}=" for name in names if name.startswith(incomplete)]


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
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS")
@click.option("--kernel", metavar="NAME", help="Use this Jupyter kernel instead of the notebook's.")
@json_option
def execute(
    notebook: Path,
    output: Path | None,
    assignments: tuple[str, ...],
    timeout: float | None,
    kernel: str | None,
    as_json: bool,
) -> None:
    """Execute NOTEBOOK and write its report.

    A notebook in nbs/pipeline runs as a stage: at the project's root, with its section of
    params.yaml. Any other notebook runs where you are, as papermill would run it.
    """
    from mlops_nb.pipeline.execution import execute_order, order_notebook

    from .progress import Progress

    order = order_notebook(notebook, assignments, output)
    with Progress(order.name) as progress:
        outcome = execute_order(order, kernel=kernel, timeout=timeout, watch=progress.watch)
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
    from mlops_nb.core.project import enclosing_project
    from mlops_nb.notebook.document import read_document
    from mlops_nb.notebook.signature import read_signature

    project = enclosing_project(notebook)
    signature = read_signature(read_document(notebook), project.root if project else None)
    parameters = [
        {
            "name": p.name,
            "type": p.type.text,
            "default": p.default if p.has_default else None,
            "expression": p.expression,
            "required": p.required,
            "secret": p.secret,
            "help": p.help,
        }
        for p in signature.parameters
    ]
    ports = [{"name": p.name, "kind": p.kind, "path": p.path} for p in signature.ports]
    if as_json:
        print_json({"notebook": signature.where, "parameters": parameters, "ports": ports})
        return
    rows = [
        [
            p.name,
            p.type.text,
            "required" if p.required else p.expression or shown(p.default),
            p.help,
        ]
        for p in signature.parameters
    ]
    print_table("Parameters", ["name", "type", "default", ""], rows)
    print_table(
        "Ports", ["name", "kind", "path"], [[p.name, p.kind, p.path] for p in signature.ports]
    )


@click.command()
@click.argument("notebooks", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--check", is_flag=True, help="Write nothing; exit with 1 if a notebook is not clean."
)
@json_option
def clean(notebooks: tuple[Path, ...], check: bool, as_json: bool) -> None:
    """Remove outputs, counts and volatile metadata from NOTEBOOKS (default: all stages)."""
    from mlops_nb.core.project import find_project
    from mlops_nb.errors import CheckFailed
    from mlops_nb.notebook.clean import clean_notebooks

    paths = notebooks or tuple(sorted(find_project(Path.cwd()).pipeline.glob("*.ipynb")))
    changed = clean_notebooks(paths, write=not check)
    if check and changed:
        raise CheckFailed(
            [f"{path}: holds outputs or volatile metadata" for path in changed],
            hint="run `mlops-nb clean`",
        )
    if as_json:
        print_json({"changed": [str(path) for path in changed]})
    else:
        click.echo(f"{len(changed)} of {len(paths)} notebooks cleaned")


COMMANDS = (execute, params, clean)
