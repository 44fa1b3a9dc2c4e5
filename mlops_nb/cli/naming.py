"""The argument RUN of many commands: which run is meant, and how a shell completes it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlops_nb.core.project import Project
    from mlops_nb.runs.store import Store


def complete_run(
    _context: click.Context, _option: click.Parameter, text: str
) -> list[CompletionItem]:
    """Return the runs that `text` may become, newest first: their names, else their short ids."""
    from mlops_nb.core.project import enclosing_project
    from mlops_nb.pipeline.listing import kept_runs
    from mlops_nb.runs.run import short_id

    if (project := enclosing_project(Path.cwd())) is None or not project.runs.is_dir():
        return []
    with kept_runs(project) as index:
        rows, _ = index.rows(columns=["id", "name", "state", "started"], removed=True)
    found = []
    for row in rows:
        facts = f"{row['state']} {row.get('started', '')}"
        for word in (row.get("name"), short_id(str(row["id"])), row["id"]):
            if word and str(word).startswith(text):
                found.append(CompletionItem(str(word), help=facts))
                break
    return found


run_argument = click.argument("run", shell_complete=complete_run)
runs_argument = click.argument(
    "runs", metavar="[RUN...]", nargs=-1, shell_complete=complete_run
)
where_option = click.option(
    "-w", "--where", metavar="FILTER",
    help="The runs as well that `mlops-nb runs --where FILTER` lists.",
)  # fmt: skip


def this_store() -> Store:
    """Return the runs of this project."""
    from mlops_nb.core.project import find_project
    from mlops_nb.runs.store import Store

    return Store(find_project(Path.cwd()).runs)


def chosen_runs(
    project: Project, runs: Sequence[str], where: str | None, *, removed: bool = False
) -> list[str]:
    """Return the ids of the `runs` that are named, and of those that the filter `where` finds.

    With `removed` the filter finds those alone that were removed.

    Raises
    ------
    UsageError
        If there are none, or the filter has no meaning.
    """
    from mlops_nb.errors import UsageError
    from mlops_nb.pipeline.listing import all_runs
    from mlops_nb.runs.store import Store

    store = Store(project.runs)
    found = [store.find(run) for run in runs]  # a mistake in one, and nothing is done to any
    if where is not None:
        if not where.strip():
            raise UsageError("the filter is empty", hint="see `mlops-nb runs --help`")
        with all_runs(project) as index:
            rows, _ = index.rows(filter=where, columns=["id", "removed"], removed=removed)
        found += [str(row["id"]) for row in rows if bool(row.get("removed")) == removed]
        if not found:
            kind, shown = ("removed run", "runs --all") if removed else ("run", "runs")
            raise UsageError(f"no {kind} fits `{where}`", hint=f"see `mlops-nb {shown}`")
    if not found:
        raise UsageError("no run is named", hint="name some, or find them by --where FILTER")
    return list(dict.fromkeys(found))


def warn_of_taken_name(store: Store, name: str, own: str = "") -> None:
    """Say so if `name` is the name or the id of a run other than `own`."""
    from mlops_nb.runs.run import short_id

    if not name:
        return
    warn_of_namesakes("run", name, [other for other in store.called(name) if other != own])
    taken = (run for run in store.ids() if name == run or name.lower() == short_id(run))
    if any(run != own for run in taken):
        what = f"`{name}` is the id of another run, and goes on to mean that one"
        click.echo(f"warning: {what}; choose a name that is none", err=True)


def warn_of_namesakes(kind: str, name: str, others: Sequence[str]) -> None:
    """Say so if `others` of the same `kind` are called `name` as well."""
    from mlops_nb.runs.run import short_id

    if others:
        what = f"{len(others)} other {kind}(s) called `{name}`, such as {short_id(others[-1])}"
        click.echo(f"warning: there are {what}; only ids tell them apart", err=True)
