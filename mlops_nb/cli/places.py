"""What one does with a single run: `restore` and `open`."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .progress import patience
from .run import chosen
from .show import json_option, print_json, print_table

if TYPE_CHECKING:
    from mlops_nb.core.project import Project
    from mlops_nb.pipeline.data_remote import Fetched
    from mlops_nb.pipeline.restore import Restored
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
) -> int:
    """Bring back what RUN was: its code, parameters, dvc.lock and outputs.

    With --to DIR in a folder of its own, a worktree of git. With --here in the workspace: tracked
    files and outputs become those of the run, everything that is replaced is set aside, and --undo
    puts it back. Outputs that the cache lacks come from the default DVC remote of the workspace; if
    some are not to be had, all others are restored, and the exit code is 1. RUN is an id, the
    beginning of one, or a name.
    """
    from mlops_nb.core.project import find_project

    if sum((to is not None, here, undo is not None)) != 1:
        raise click.UsageError("say one of --to DIR, --here and --undo")
    if (run is None) != (undo is not None):
        raise click.UsageError("name a run, unless you undo")
    project = find_project(Path.cwd())
    if undo is not None:
        _undo(project, "" if undo == _LAST else undo, as_json=as_json)
        return 0
    if to is not None:
        return _restore_to(project, str(run), to, as_json=as_json)
    return _restore_here(project, str(run), yes=yes, as_json=as_json)


def _restore_to(project: Project, run: str, to: Path, *, as_json: bool) -> int:
    """Restore into a folder of its own; return the exit code."""
    from mlops_nb.pipeline.restore import restore_to

    found = chosen(project, run)
    with patience(_FETCHING):
        restored = restore_to(project, found, Path(os.path.abspath(to)))
    again = f"`git worktree remove --force {shlex.quote(str(to))}` and restore once more"
    code = _tell_outputs(restored, found.id, again)
    if as_json:
        print_json({"run": found.id, "place": str(restored.place.root)} | _outputs(restored))
        return code
    click.echo(f"run {found.id} is in {restored.place.root}")
    click.echo(f"when it is no longer needed: git worktree remove {shlex.quote(str(to))}")
    return code


_FETCHING = "restoring; what the cache lacks comes from the DVC remote"


def _restore_here(project: Project, run: str, *, yes: bool, as_json: bool) -> int:
    """Restore in the workspace; return the exit code."""
    from mlops_nb.pipeline.restore import Restored
    from mlops_nb.pipeline.restore_here import preview, restore_here

    seen = preview(project, chosen(project, run))
    if not as_json:
        _show(seen)
    if not seen.changes:
        click.echo("the workspace is as that run left it", err=as_json)
    elif not yes and not _is_agreed(project):
        click.echo("nothing was changed", err=as_json)
        return 0
    name, restored = "", Restored(project)
    if seen.changes:
        with patience(_FETCHING):
            name, restored = restore_here(project, seen)
    is_elsewhere = ".dvc/config" in {change.path for change in seen.changes}  # the remote as well
    again = "`mlops-nb restore --undo` and restore once more"
    code = _tell_outputs(restored, seen.run.id, again if is_elsewhere else "restore once more")
    if as_json:
        changes = [vars(change) for change in seen.changes]
        print_json({"run": seen.run.id, "undo": name, "changes": changes} | _outputs(restored))
    elif seen.changes:
        click.echo(f"run {seen.run.id} is restored; to have back what was: mlops-nb restore --undo")
    return code


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


def _outputs(restored: Restored) -> dict[str, Any]:
    """Return what became of the outputs, for machines."""
    return {"missing": list(restored.missing), "fetched": restored.fetched.files}


def _tell_outputs(restored: Restored, run: str, again: str) -> int:
    """Say how many files came from the remote, and which outputs are missing; return the exit code.

    `again` says how to restore once they are to be had.
    """
    if restored.fetched.files:
        click.echo(f"{restored.fetched.files} file(s) came from the DVC remote", err=True)
    if not restored.missing:
        return 0
    names = f"{len(restored.missing)} output(s): {', '.join(restored.missing)}"
    what, hint = _reason(restored.fetched, run)
    click.echo(f"error: {what} {names}; {hint}, then {again}", err=True)
    return 1


def _reason(fetched: Fetched, run: str) -> tuple[str, str]:
    """Return why outputs are missing, and what helps."""
    from mlops_nb.pipeline.data_remote import ADD_REMOTE

    if not fetched.has_remote:
        exported = f"import what `mlops-nb runs export --data {run} FILE` writes where the run is"
        return f"{fetched.why}, and the cache lacks", f"{ADD_REMOTE} if one has them, or {exported}"
    if fetched.why:
        return f"DVC: {fetched.why}; the cache lacks", "see where `dvc remote list` leads"
    hint = f"`mlops-nb runs push --data {run}` where the run is"
    return "neither the cache nor the DVC remote has all of", hint


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
