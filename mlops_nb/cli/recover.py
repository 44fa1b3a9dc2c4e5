"""The command `recover`: the notebook of any execution, whatever became of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .show import json_option, print_json, print_table

if TYPE_CHECKING:
    from mlops_nb.notebook.replay import Replay


def _complete(_context: click.Context, _option: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of executions that begin with what was typed."""
    return [folder.name for folder in _folders() if folder.name.startswith(incomplete)]


@click.command()
@click.argument("execution", required=False, shell_complete=_complete)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Where the notebook goes; a name that ends in .html makes it a page.",
)
@click.option("--list", "as_list", is_flag=True, help="Show the executions that can be recovered.")
@json_option
def recover(execution: str | None, output: Path | None, as_list: bool, as_json: bool) -> None:
    """Rebuild the notebook of EXECUTION from its journal.

    Also of one that failed, that was killed, or that still runs. EXECUTION is a stage (the newest
    is meant), the beginning of a name that --list shows, or the path of a folder or journal.
    """
    if as_list == (execution is not None):
        raise click.UsageError("name one execution, or ask for --list")
    if as_list:
        _list(as_json=as_json)
        return
    from mlops_nb.core.files import refuse_unwritable
    from mlops_nb.notebook.replay import Replay
    from mlops_nb.pipeline.executions import find_journal

    journal = find_journal(str(execution), _folders())
    place = output or Path(f"{_name(journal)}-recovered.ipynb")
    if output is None and place.exists():
        raise click.UsageError(f"{place} exists; choose a name with -o")
    refuse_unwritable(place)
    replay = Replay(journal)
    _write(replay, place)
    outcome = replay.outcome()
    if as_json:
        print_json({"notebook": str(place), "outcome": outcome.to_json()})
        return
    ran = sum(cell.state == "ok" for cell in outcome.cells)
    click.echo(f"{outcome.notebook}: {outcome.state}, {ran} of {len(outcome.cells)} cells, {place}")


def _write(replay: "Replay", place: Path) -> None:
    """Write the notebook of `replay`, as a page if its name says so."""
    from mlops_nb.core.files import write_atomic
    from mlops_nb.notebook.report import render

    text = render(replay.notebook())
    if place.suffix == ".html":
        import nbformat
        from nbconvert import HTMLExporter

        node = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]
        node.metadata.pop("kernelspec", None)  # often not to the letter, and no use in a page
        text, _ = HTMLExporter().from_notebook_node(node)  # type: ignore[no-untyped-call]
    write_atomic(place, text)


def _list(*, as_json: bool) -> None:
    """Show the executions, newest first."""
    found = list(_summaries())
    if as_json:
        print_json(found)
    elif not found:
        click.echo("no execution has left a journal here")
    columns = ("execution", "notebook", "state", "cells", "seconds")
    if not as_json:
        print_table("Executions", columns, [[str(row[key]) for key in columns] for row in found])


def _summaries() -> Iterator[dict[str, Any]]:
    """Yield what is known of each execution, newest first."""
    from mlops_nb.errors import UsageError
    from mlops_nb.notebook.journal import JOURNAL
    from mlops_nb.notebook.replay import Replay

    for folder in sorted(_folders(), key=lambda folder: folder.name, reverse=True):
        try:
            outcome = Replay(folder / JOURNAL, outputs=False).outcome()
        except UsageError:
            continue  # of a version that kept none
        ran = sum(cell.state == "ok" for cell in outcome.cells)
        yield {
            "execution": folder.name,
            "notebook": outcome.notebook,
            "state": outcome.state,
            "cells": f"{ran}/{len(outcome.cells)}",
            "started": outcome.started,
            "seconds": outcome.wall_seconds,
            "folder": str(folder),
        }


def _folders() -> list[Path]:
    """Return the folders of the executions of this project, and of those outside a pipeline."""
    from mlops_nb.core.project import enclosing_project
    from mlops_nb.pipeline.executions import execution_folders, executions_folder

    places = {executions_folder(enclosing_project(Path.cwd())), executions_folder(None)}
    return [folder for place in places for folder in execution_folders(place)]


def _name(journal: Path) -> str:
    """Return what the notebook of `journal` is called."""
    from mlops_nb.notebook.replay import Replay

    return Path(Replay(journal, outputs=False).outcome().notebook).stem


COMMANDS = (recover,)
