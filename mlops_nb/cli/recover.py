"""The command `recover`: the notebook of any execution, whatever became of it."""

from pathlib import Path

import click

from .show import json_option, print_json, print_table


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
@click.option("--all", "everything", is_flag=True, help="With --list: not only the newest.")
@json_option
def recover(
    execution: str | None, output: Path | None, as_list: bool, everything: bool, as_json: bool
) -> None:
    """Rebuild the notebook of EXECUTION from its journal.

    Also of one that failed, that was killed, or that still runs. EXECUTION is a stage (the newest
    is meant), the beginning of a name that --list shows, or the path of a folder or journal.
    """
    if as_list == (execution is not None):
        raise click.UsageError("name one execution, or ask for --list")
    if as_list:
        _list(None if everything or as_json else _MOST_SHOWN, as_json=as_json)
        return
    from mlops_nb.pipeline.kept import find_journal
    from mlops_nb.pipeline.recovery import cells_in_short
    from mlops_nb.pipeline.recovery import recover as recover_notebook

    place, outcome = recover_notebook(find_journal(str(execution), _folders()), output)
    if as_json:
        print_json({"notebook": str(place), "outcome": outcome.to_json()})
        return
    click.echo(f"{outcome.notebook}: {outcome.state}, {cells_in_short(outcome)} cells, {place}")


_MOST_SHOWN = 20


def _list(most: int | None, *, as_json: bool) -> None:
    """Show the executions, newest first, and at `most` so many."""
    from mlops_nb.pipeline.recovery import summaries

    found = [summary.to_json() for summary in summaries(_folders())]
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("no execution has left a journal here")
    columns = ("execution", "notebook", "state", "cells", "seconds")
    shown = found[:most]
    print_table("Executions", columns, [[str(row[key]) for key in columns] for row in shown])
    if len(shown) < len(found):
        click.echo(f"and {len(found) - len(shown)} older ones: --all shows them")


def _folders() -> list[Path]:
    """Return the folders of the executions of this project, and of those outside a pipeline."""
    from mlops_nb.core.project import enclosing_project
    from mlops_nb.pipeline.recovery import all_folders

    return all_folders(enclosing_project(Path.cwd()))


COMMANDS = (recover,)
