"""The commands that say something about runs, and those that remove them."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .naming import (
    chosen_runs,
    run_argument,
    runs_argument,
    this_store,
    warn_of_taken_name,
    where_option,
)
from .show import json_option, print_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlops_nb.runs.annotations import Annotations


def _annotate(
    run: str, change: Callable[[Annotations], Annotations], done: str, *, as_json: bool
) -> None:
    """Change what is said about a run, and show that it is done."""
    store = this_store()
    found = store.find(run)
    _show({found: store.annotate(found, change)}, done, as_json=as_json)


def _show(said: dict[str, Annotations], done: str, *, as_json: bool) -> None:
    """Show what is now said about runs, by their ids."""
    if as_json:
        documents = [{"id": run, **annotations.to_json()} for run, annotations in said.items()]
        print_json(documents[0] if len(documents) == 1 else documents)
        return
    for run in said:
        click.echo(f"{run}: {done}")


@click.command()
@run_argument
@click.argument("name")
@json_option
def name(run: str, name: str, as_json: bool) -> None:
    """Call RUN by a NAME of its own; an empty one takes the name away."""
    text, store = name.strip(), this_store()
    warn_of_taken_name(store, text, store.find(run))
    done = f"called `{text}`" if text else "has no name"
    _annotate(run, lambda said: replace(said, name=text), done, as_json=as_json)


@click.command()
@run_argument
@click.argument("tags", metavar="TAG...", nargs=-1, required=True)
@click.option("--remove", is_flag=True, help="Take the tags away.")
@json_option
def tag(run: str, tags: tuple[str, ...], remove: bool, as_json: bool) -> None:
    """Tag RUN; `"baseline" in tags` is a filter that finds it."""
    given = frozenset(tags)

    def change(said: Annotations) -> Annotations:
        return replace(said, tags=said.tags - given if remove else said.tags | given)

    done = f"{'without' if remove else 'tagged'} {', '.join(sorted(given))}"
    _annotate(run, change, done, as_json=as_json)


@click.command()
@run_argument
@click.argument("text", required=False)
@json_option
def note(run: str, text: str | None, as_json: bool) -> None:
    """Write TEXT as the note of RUN, or show its note; `-` reads it from standard input."""
    if text is None:
        store = this_store()
        found = store.find(run)
        said = store.annotations(found)
        _show({found: said}, said.note or "has no note", as_json=as_json)
        return
    written = sys.stdin.read().rstrip() if text == "-" else text
    done = "noted" if written else "has no note"
    _annotate(run, lambda said: replace(said, note=written), done, as_json=as_json)


@click.command()
@run_argument
@click.option("--off", is_flag=True, help="Take the star away.")
@json_option
def star(run: str, off: bool, as_json: bool) -> None:
    """Star RUN; `starred` is a filter that finds it."""
    done = "not starred" if off else "starred"
    _annotate(run, lambda said: replace(said, starred=not off), done, as_json=as_json)


@click.command()
@runs_argument
@where_option
@json_option
def remove(runs: tuple[str, ...], where: str | None, as_json: bool) -> None:
    """Take RUN... out of the table; `runs unremove` brings them back until `runs gc` deletes them.

    A whole sweep goes by `--where "sweep == 'ID'"`.
    """
    from mlops_nb.core.project import find_project
    from mlops_nb.runs.store import Store

    project = find_project(Path.cwd())
    found, store = chosen_runs(project, runs, where), Store(project.runs)
    done = "removed; `mlops-nb runs unremove` brings it back"
    _show({run: store.remove(run) for run in found}, done, as_json=as_json)


@click.command()
@runs_argument
@click.option("-w", "--where", metavar="FILTER", help="Those removed runs as well that fit.")
@json_option
def unremove(runs: tuple[str, ...], where: str | None, as_json: bool) -> None:
    """Bring RUN... back that were removed; `runs --all` shows those as well."""
    from mlops_nb.core.project import find_project
    from mlops_nb.runs.store import Store

    project = find_project(Path.cwd())
    found, store = chosen_runs(project, runs, where, removed=True), Store(project.runs)
    _show({run: store.restore(run) for run in found}, "back", as_json=as_json)


@click.command()
@click.option(
    "--older-than", default="30d", show_default=True, metavar="AGE",
    help="How long ago that was: 12h, 30d, 2w; 0 is any time.",
)  # fmt: skip
@click.option("--dry", is_flag=True, help="Only say what would be deleted.")
@json_option
def gc(older_than: str, dry: bool, as_json: bool) -> None:
    """Delete the runs that were removed some time ago, and what killed ones have left behind.

    With a run go its reports, the code that git keeps for it and its DVC experiment; what it has in
    the DVC cache is for `dvc gc`. What `restore --here` set aside and the pages of `open` go when
    they are as old; an older restore can no longer be undone.
    """
    from datetime import UTC, datetime

    from mlops_nb.core.project import find_project
    from mlops_nb.pipeline.disposal import dispose, parse_age

    project = find_project(Path.cwd())
    found = dispose(project, parse_age(older_than), datetime.now(UTC), dry=dry)
    document: dict[str, Any] = {"dry": dry, **asdict(found)}
    if as_json:
        print_json(document)
        return
    verb = "would delete" if dry else "deleted"
    counts = f"{len(found.runs)} run(s), {len(found.experiments)} DVC experiment(s)"
    click.echo(f"{verb} {counts}, {len(found.worktrees)} abandoned worktree(s)")
    click.echo(f"{verb} what {len(found.undo)} restore(s) set aside, pages of {len(found.pages)} run(s)")
    if found.leftovers:
        click.echo(f"{verb} {len(found.leftovers)} thing(s) that killed processes had begun")
    for run in found.runs:
        click.echo(f"  {run}")


COMMANDS = (name, tag, note, star, remove, unremove, gc)
