"""The command `clean`: notebooks without outputs, a project without old executions."""

from pathlib import Path
from typing import Any

import click

from .show import json_option, print_json


@click.command()
@click.argument("notebooks", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--check", is_flag=True, help="Write nothing; exit with 1 if a notebook is not clean."
)
@click.option(
    "--executions", is_flag=True, help="Instead remove what older executions have left behind."
)
@click.option(
    "--keep",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="How many executions to keep, the newest.",
)
@json_option
def clean(
    notebooks: tuple[Path, ...], check: bool, executions: bool, keep: int, as_json: bool
) -> None:
    """Remove outputs, counts and volatile metadata from NOTEBOOKS (default: all stages).

    With --executions, notebooks are left alone: the folders of .mlops_nb/executions are removed but
    for the newest; where you stand in no project, those of executions outside a pipeline
    ($XDG_STATE_HOME/mlops_nb/executions).
    """
    if executions and (notebooks or check):
        raise click.UsageError("--executions goes with neither notebooks nor --check")
    document = _clean_executions(keep) if executions else _clean_notebooks(notebooks, check)
    if as_json:
        print_json(document)
    elif executions:
        click.echo(f"{len(document['removed'])} executions removed")
    else:
        click.echo(f"{len(document['changed'])} of {document['notebooks']} notebooks cleaned")


def _clean_executions(keep: int) -> dict[str, Any]:
    """Return which folders were removed."""
    from mlops_nb.core.project import enclosing_project
    from mlops_nb.pipeline.kept import executions_folder, remove_executions

    removed = remove_executions(executions_folder(enclosing_project(Path.cwd())), keep=keep)
    return {"removed": [str(path) for path in removed]}


def _clean_notebooks(notebooks: tuple[Path, ...], check: bool) -> dict[str, Any]:
    """Return which notebooks were cleaned, of how many."""
    from mlops_nb.core.project import find_project
    from mlops_nb.notebook.clean import clean_notebooks, refuse_unclean
    from mlops_nb.notebook.stage import stage_files

    paths = notebooks or stage_files(find_project(Path.cwd()))
    if check:
        refuse_unclean(paths)
    changed = clean_notebooks(paths)
    return {"changed": [str(path) for path in changed], "notebooks": len(paths)}


COMMANDS = (clean,)
