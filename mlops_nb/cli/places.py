"""What one does with a single run: `restore` and `open`."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .run import chosen
from .show import json_option, print_json, print_table

if TYPE_CHECKING:
    from mlops_nb.core.project import Project
    from mlops_nb.pipeline.restore_here import Preview

_LAST = "last"


@click.command()
@click.argument("run", required=False)
@click.option("--to", type=click.Path(path_type=Path), metavar="DIR", help="A new folder for it.")
@click.option("--here", is_flag=True, help="In the workspace, after a preview and a question.")
@click.option("-y", "--yes", is_flag=True, help="With --here: do not ask.")
@click.option(
    "--undo", is_flag=False, flag_value=_LAST, metavar="[NAME]",
    help="Put back what the last restore, or the one called NAME, has replaced.",
)
@json_option
def restore(
    run: str | None, to: Path | None, here: bool, yes: bool, undo: str | None, as_json: bool
) -> None:
    """Bring back what RUN was: its code, parameters, dvc.lock and outputs.

    With --to DIR in a folder of its own, a worktree of git. With --here in the workspace: tracked
    files and outputs become those of the run, everything that is replaced is set aside, and --undo
    puts it back. RUN is an id, the beginning of one, or a name.
    """
    from mlops_nb.core.project import find_project

    if sum((to is not None, here, undo is not None)) != 1:
        raise click.UsageError("say one of --to DIR, --here and --undo")
    if (run is None) != (undo is not None):
        raise click.UsageError("name a run, unless you undo")
    project = find_project(Path.cwd())
    if undo is not None:
        _undo(project, "" if undo == _LAST else undo, as_json=as_json)
    elif to is not None:
        _restore_to(project, str(run), to, as_json=as_json)
    else:
        _restore_here(project, str(run), yes=yes, as_json=as_json)


def _restore_to(project: Project, run: str, to: Path, *, as_json: bool) -> None:
    """Restore into a folder of its own."""
    from mlops_nb.pipeline.restore import restore_to

    found = chosen(project, run)
    restored = restore_to(project, found, Path(os.path.abspath(to)))
    _warn_missing(restored.missing)
    if as_json:
        place = str(restored.place.root)
        print_json({"run": found.id, "place": place, "missing": list(restored.missing)})
        return
    click.echo(f"run {found.id} is in {restored.place.root}")
    click.echo(f"when it is no longer needed: git worktree remove {shlex.quote(str(to))}")


def _restore_here(project: Project, run: str, *, yes: bool, as_json: bool) -> None:
    """Restore in the workspace."""
    from mlops_nb.pipeline.restore_here import preview, restore_here

    seen = preview(project, chosen(project, run))
    if not as_json:
        _show(seen)
    if not seen.changes:
        click.echo("the workspace is as that run left it", err=as_json)
    elif not yes and not _is_agreed(project):
        click.echo("nothing was changed", err=as_json)
        return
    name, missing = restore_here(project, seen) if seen.changes else ("", ())
    _warn_missing(missing)
    if as_json:
        changes = [vars(change) for change in seen.changes]
        facts = {"run": seen.run.id, "undo": name, "changes": changes, "missing": list(missing)}
        print_json(facts)
    elif seen.changes:
        click.echo(f"run {seen.run.id} is restored; to have back what was: mlops-nb restore --undo")


def _is_agreed(project: Project) -> bool:
    """Ask whether to go on; where nobody sees a question, the answer may be on standard input."""
    from mlops_nb.errors import ProjectError

    if sys.stdin is not None and sys.stdin.isatty():
        return click.confirm("Restore?", err=True)
    answer = sys.stdin.readline() if sys.stdin is not None else ""
    if not answer:
        what = "nothing was restored, since nobody can be asked here"
        raise ProjectError(project.root, what, hint="say --yes, or --to DIR for a folder of its own")
    return answer.strip().lower() in ("y", "yes")


_MOST_SHOWN = 20


def _show(seen: Preview) -> None:
    """Say what would change."""
    shown = seen.changes[:_MOST_SHOWN]
    rows = [[c.path, c.how, "output" if c.is_output else "file"] for c in shown]
    print_table(f"Restoring {seen.run.id}", ["path", "how", "kind"], rows)
    if len(shown) < len(seen.changes):
        click.echo(f"and {len(seen.changes) - len(shown)} more")
    for is_output, kind in ((False, "files"), (True, "outputs")):
        counts = [f"{seen.count(how, is_output=is_output)} {how}" for how in _HOW]
        click.echo(f"{kind}: {', '.join(counts)}")
    click.echo(f"not committed: {seen.uncommitted} files; --undo brings back what is replaced")


_HOW = ("changed", "added", "removed")


def _undo(project: Project, name: str, *, as_json: bool) -> None:
    """Put back what a restore has replaced."""
    from mlops_nb.pipeline.undo import undo

    undone = undo(project, name)
    if as_json:
        print_json(vars(undone) | {"paths": list(undone.paths)})
        return
    click.echo(f"put back {len(undone.paths)} files and outputs")
    click.echo(f"what was there until now: mlops-nb restore --undo {undone.before}")


def _warn_missing(missing: tuple[str, ...]) -> None:
    """Say which outputs are not there."""
    if missing:
        some = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        click.echo(
            f"warning: the cache lacks {len(missing)} outputs ({some}); try `dvc pull`", err=True
        )


@click.command("open")
@click.argument("run")
@click.argument("stage", required=False)
@click.option("--print", "only_print", is_flag=True, help="Only say where the page is.")
def open_(run: str, stage: str | None, only_print: bool) -> None:
    """Open the reports of RUN, or that of STAGE, in the browser.

    Of a stage that failed, that is what ran of it. Without a display the path is printed. RUN is an
    id, the beginning of one, or a name.
    """
    from mlops_nb.core.project import find_project
    from mlops_nb.pipeline.opening import pages_of

    project = find_project(Path.cwd())
    page = pages_of(project, chosen(project, run), stage or "")
    click.echo(str(page))
    if not only_print and _has_display():
        import webbrowser

        if not webbrowser.open(page.as_uri()):
            click.echo("warning: no browser could be started", err=True)


def _has_display() -> bool:
    """Return whether a browser has a screen to open on, or was named."""
    names = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")
    return sys.platform in ("darwin", "win32") or any(map(os.environ.get, names))


COMMANDS: tuple[Any, ...] = (restore, open_)
