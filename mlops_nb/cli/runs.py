"""The commands on runs: the table of all of them, one of them, what people say about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import annotate, share, works
from .naming import run_argument, this_store
from .show import json_option, print_csv, print_json

if TYPE_CHECKING:
    from mlops_nb.runs.index import Index
    from mlops_nb.core.project import Project
    from mlops_nb.runs.store import Store
    from mlops_nb.runs.view import View

_MOST_SHOWN = 50


class _Runs(click.Group):
    """A group whose unknown sub-command may have been meant as a filter."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            raise click.UsageError(f"no command `{args[0]}`; a filter is given with --where", ctx)
        return super().resolve_command(ctx, args)


def _view_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which runs are looked at, and what of them."""
    for option in (
        click.option("--all", "removed", is_flag=True, help="Show also runs that were removed."),
        click.option(
            "-n", "--limit", type=click.IntRange(min=0), metavar="N",
            help=f"Show at most N; 0 shows all (default: {_MOST_SHOWN} in a table, else all).",
        ),
        click.option("--differs", is_flag=True, help="Show only columns in which the runs differ."),
        click.option(
            "-c", "--columns", metavar="NAMES", multiple=True,
            help="Names and patterns, as `auc,params.train.*`; a `-` before one leaves it out.",
        ),
        click.option(
            "--group-by", "by", metavar="NAMES",
            help="Put runs together that are alike in these columns; show means and spread.",
        ),
        click.option("--sort", default="", metavar="NAMES", help="Such as `-auc,started`."),
        click.option(
            "-w", "--where", "filter", default="", metavar="FILTER",
            help="Such as `roc_auc > 0.7 and params.train.family == 'forest'`.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


@click.group(cls=_Runs, invoke_without_command=True)
@_view_options
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values.")
@json_option
@click.pass_context
def runs(ctx: click.Context, /, by: str | None, as_csv: bool, as_json: bool, **given: Any) -> None:
    """List the runs of this project, newest first; the sub-commands look at one or change it.

    RUN is an id, its beginning, its last eight characters or their beginning, or a name.
    """
    if (command := ctx.invoked_subcommand) is not None:
        _refuse_view(ctx, command)
        return
    if as_csv and as_json:
        raise click.UsageError("ask for --csv or for --json")
    from dataclasses import replace

    from mlops_nb.core.project import find_project
    from mlops_nb.pipeline.listing import stages_in_order

    as_table = not (as_csv or as_json)
    view = _view(as_table=as_table, **given)
    keys = _words((by,)) if by is not None else None
    project = find_project(Path.cwd())
    with _index(project) as (store, index):
        if as_table:
            view = replace(view, stages=stages_in_order(project))  # the last has what matters
        if keys is not None:
            _list_groups(index, view, keys, as_csv=as_csv, as_json=as_json)
        else:
            _list_runs(store, index, view, as_csv=as_csv, as_json=as_json)


def _refuse_view(ctx: click.Context, command: str) -> None:
    """Raise if what only the list understands stands before the sub-command `command`."""
    from click.core import ParameterSource

    for option in ctx.command.params:
        if ctx.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE:
            flag = option.opts[-1]
            what = f"{flag} belongs to the list of runs, and stands before `{command}`"
            raise click.UsageError(f"{what}; write options of `{command}` after it", ctx)


def _view(*, as_table: bool, columns: tuple[str, ...], limit: int | None, **given: Any) -> View:
    """Return what is to be looked at."""
    from mlops_nb.runs.view import View

    if limit is None and as_table:
        limit = _MOST_SHOWN
    return View(columns=_words(columns), limit=limit or None, **given)


def _words(texts: tuple[str, ...]) -> list[str]:
    """Return the names in lists that are separated by commas."""
    return [word.strip() for text in texts for word in text.split(",") if word.strip()]


@contextmanager
def _index(project: Project) -> Iterator[tuple[Store, Index]]:
    """Give the store and the table of the runs of `project`; say so if that takes long."""
    from mlops_nb.pipeline.listing import all_runs
    from mlops_nb.runs.store import Store

    from .progress import patience

    with all_runs(project) as index:
        with patience("looking at the runs"):
            index.names()
        yield Store(project.runs), index


def _list_runs(store: Store, index: Index, view: View, *, as_csv: bool, as_json: bool) -> None:
    """Print the runs of `view`."""
    from mlops_nb.runs.summary import summary
    from mlops_nb.runs.view import page_of

    page = page_of(index, view)
    if as_csv:
        print_csv(page.columns, [[row.get(name) for name in page.columns] for row in page.rows])
    elif as_json:
        chosen = bool(view.columns) or view.differs
        print_json([
            summary(store, str(row["id"]))
            | ({"columns": {n: row[n] for n in page.columns if n in row}} if chosen else {})
            for row in page.rows
        ])  # fmt: skip
    else:
        from .runtable import print_runs

        print_runs(page, any_at_all=page.total > 0 or index.rows(limit=0, removed=True)[1] > 0)
        works.print_sweeps(store)


def _list_groups(
    index: Index, view: View, by: list[str], *, as_csv: bool, as_json: bool
) -> None:
    """Print the runs of `view` in groups."""
    from mlops_nb.runs.view import groups_of

    if not by:
        raise click.UsageError("--group-by names no column")
    groups = groups_of(index, view, by)
    if as_json:
        print_json([group.to_json() for group in groups])
        return
    from .runtable import group_table, print_groups

    if as_csv:
        print_csv(*group_table(groups))
    else:
        print_groups(groups)


# ---- one run -------------------------------------------------------------------------------------


@runs.command()
@run_argument
@json_option
def show(run: str, as_json: bool) -> None:
    """Show everything that is known of RUN; with --json its record and what was said about it."""
    from mlops_nb.runs.summary import details

    store = this_store()
    found = details(store, store.find(run))
    if as_json:
        print_json(found)
        return
    from .runtable import print_run

    print_run(found)


for command in (*works.COMMANDS, *annotate.COMMANDS, *share.COMMANDS):
    runs.add_command(command)

COMMANDS = (runs,)
