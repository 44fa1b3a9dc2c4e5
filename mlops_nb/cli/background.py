"""What `--detach` does: a process that is on record, waits for its turn, and outlives the terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .show import print_json

if TYPE_CHECKING:
    from mlops_nb.core.project import Project
    from mlops_nb.pipeline.run import PreparedRun


def detach_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option that puts the work into the background."""
    option = click.option(
        "-d", "--detach", is_flag=True,
        help="Return at once; the work goes on in the background, after what is there already.",
    )  # fmt: skip
    return option(command)


def detach_run(project: Project, prepared: PreparedRun, *, as_json: bool) -> None:
    """Run what is prepared in the background."""
    from mlops_nb.pipeline.background import begin_in_background
    from mlops_nb.runs.run import new_id

    run = new_id()
    order = json.dumps(prepared.to_json())
    log = begin_in_background(project, run, ["background", "run", run], order)
    _report(project, "run", run, log, as_json=as_json)


def detach_sweep(project: Project, sweep: str, options: Sequence[str], *, as_json: bool) -> None:
    """Run what is left of a sweep in the background, with the `options` of its command."""
    from mlops_nb.pipeline.background import begin_in_background

    log = begin_in_background(project, sweep, ["background", "sweep", sweep, *options])
    _report(project, "sweep", sweep, log, as_json=as_json)


def _report(project: Project, kind: str, id: str, log: Path, *, as_json: bool) -> None:
    """Say what was begun, and what one may do about it."""
    from mlops_nb.pipeline.queue import jobs
    from mlops_nb.runs.run import short_id

    before = [job.id for job in jobs(project)]
    ahead = before.index(id) if id in before else 0
    if as_json:
        print_json({"kind": kind, "id": id, "log": str(log), "ahead": ahead})
        return
    after = f", after {ahead} other{'s' if ahead > 1 else ''}" if ahead else ""
    click.echo(f"{kind} {id} goes on in the background{after}")
    click.echo(f"watch it with `mlops-nb runs watch {short_id(id)}`, stop it with ", nl=False)
    click.echo(f"`mlops-nb runs stop {short_id(id)}`; it writes to {project.relative(log)}")


@click.group(hidden=True)
def background() -> None:
    """Do what was detached; `run` and `sweep` begin this themselves."""
    from mlops_nb.pipeline.background import become_interruptible

    become_interruptible()


@background.command("run")
@click.argument("id")
def run_in_background(id: str) -> None:
    """Run the run that standard input says, as ID."""
    from mlops_nb.core.project import find_project
    from mlops_nb.pipeline.background import say_ready
    from mlops_nb.pipeline.queue import queued
    from mlops_nb.pipeline.recording import Recording
    from mlops_nb.pipeline.run import prepared_from_json, run_in_turn

    from .run import progress, report

    project = find_project(Path.cwd())
    prepared = prepared_from_json(json.load(sys.stdin))
    with queued(project, "run", id) as place:
        code, params = prepared.snapshot, prepared.params
        recording = Recording(project, prepared.asked, code, params=params, waits_as=id)

        def wait() -> None:
            say_ready()
            place.wait()

        with progress(project) as shown:
            ran = run_in_turn(recording, prepared, wait, shown.follow)
    report(ran, as_json=False)


@background.command("sweep", context_settings={"ignore_unknown_options": True})
@click.argument("id")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def sweep_in_background(context: click.Context, id: str, options: tuple[str, ...]) -> None:
    """Finish the sweep ID with the OPTIONS of the command `sweep`."""
    from mlops_nb.core.project import find_project
    from mlops_nb.pipeline.background import say_ready
    from mlops_nb.pipeline.queue import queued

    from .sweep import sweep

    with queued(find_project(Path.cwd()), "sweep", id) as place:
        say_ready()
        place.wait()
        sweep.main(["--resume", id, *options], standalone_mode=False, parent=context)


COMMANDS = (background,)
