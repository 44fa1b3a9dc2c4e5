"""The commands on what runs and waits: `runs watch` and `runs stop`."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .progress import LiveTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlops_nb.core.project import Project
    from mlops_nb.pipeline.glimpse import Glimpse
    from mlops_nb.runs.run import Run
    from mlops_nb.runs.store import Store
    from mlops_nb.sweep.works import Work

_LOOK_SECONDS = 1.0


@click.command()
@click.argument("work", metavar="[RUN|SWEEP]", required=False)
def watch(work: str | None) -> None:
    """Show what runs and what waits on this project, or one RUN or SWEEP, as it goes on.

    Ctrl-C leaves, and does nothing to the work. The exit code is that of the RUN or SWEEP; without
    one it goes on until Ctrl-C. In a pipe it prints a line for each thing that happens.
    """
    from mlops_nb.core.project import find_project
    from mlops_nb.sweep.works import meant_work

    project = find_project(Path.cwd())
    named = meant_work(project, work) if work else None
    if named is None:
        with contextlib.suppress(KeyboardInterrupt):
            _follow(project, None)
        return
    sys.exit(_follow(project, named))


def _follow(project: Project, named: Work | None) -> int:
    """Show the works until the named one is over; return its exit code."""
    from mlops_nb.core.alarm import Alarm
    from mlops_nb.pipeline.queue import QUEUE
    from mlops_nb.runs.store import Store
    from mlops_nb.runs.watching import Changes
    from mlops_nb.sweep.record import sweeps_folder

    with Alarm() as alarm:
        changes = Changes(Store(project.runs), alarm)
        for folder in (project.state / QUEUE, sweeps_folder(project)):
            alarm.add(folder)
        with Works(project) as table:
            while True:
                shown = table.look(changes.alive, named)
                if named is not None and shown[0].is_over:
                    return shown[0].exit_code
                alarm.wait(_LOOK_SECONDS)
                changes.take()


class Works(LiveTable):
    """Shows what runs and waits; use it as a context manager."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._works: Sequence[Work] = ()
        self._said: dict[str, str] = {}
        self._glimpses: dict[str, Glimpse] = {}

    def look(self, alive: set[str], named: Work | None) -> Sequence[Work]:
        """Learn how everything stands, or only what is named; say what is new in a pipe."""
        from mlops_nb.sweep.works import run_work, sweep_work, works

        before = self._works
        if named is None:
            self._works = works(self._project, alive)
        else:
            again = run_work if named.kind == "run" else sweep_work
            self._works = [again(self._project, named.id)]
        for work in self._works:
            self._say(work)
        for work in {w.id: w for w in before if w.id not in {now.id for now in self._works}}.values():
            again = run_work if work.kind == "run" else sweep_work
            self._say(again(self._project, work.id))
        return self._works

    def _say(self, work: Work) -> None:
        """Print what is new of a work."""
        for key, line in _lines(work):
            if self._said.get(key) != line:
                self._said[key] = line
                if self._live is None or (key == work.id and work.is_over):
                    self._print(line)

    def _shown(self) -> Any:
        """Return the live table: what runs, with its trials that run, and what waits."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table("", "what", "state", "stage", "at", "seconds", box=None)
        works = self._works
        for work in works:
            for cells in self._rows(work):
                table.add_row(*map(Text, cells))
        return Group(table) if works else Text("nothing runs or waits here; Ctrl-C leaves")

    def _rows(self, work: Work) -> Iterator[tuple[str, ...]]:
        """Yield what is shown of a work."""
        if work.run is not None:
            yield self._row(work.run, _title(work), _state(work))
            return
        yield (_title(work), _words(work), _state(work), _over(work), "", "")
        for number, run in sorted((work.trials or {}).items()):
            if run.state == "running":
                yield self._row(run, f"  trial {number}", "running")

    def _row(self, run: Run, title: str, state: str) -> tuple[str, ...]:
        """Return what is shown of a run."""
        from mlops_nb.pipeline.glimpse import Glimpse

        stage = next((name for name, s in run.stages.items() if s["state"] == "running"), "")
        if run.id not in self._glimpses:
            self._glimpses[run.id] = Glimpse(self._project, run)
        at = self._glimpses[run.id].at(stage) if stage else ""
        seconds = f"{_elapsed(run):.0f}" if run.state == "running" else ""
        return (title, " ".join(run.overrides), state, stage, at, seconds)


def _elapsed(run: Run) -> float:
    """Return for how long a run has been going on."""
    from datetime import datetime

    return time.time() - datetime.fromisoformat(run.started).timestamp()


def _title(work: Work) -> str:
    """Return what a work is called."""
    from mlops_nb.runs.run import short_id

    return f"{work.kind} {short_id(work.id)}"


def _words(work: Work) -> str:
    """Return what was asked for."""
    asked = work.run or work.sweep
    return " ".join(asked.overrides) if asked else ""


def _state(work: Work) -> str:
    """Return how a work stands, in words."""
    return f"waiting, {work.ahead} before it" if work.state == "pending" else work.state


def _lines(work: Work) -> Iterator[tuple[str, str]]:
    """Yield what is said of a work and its parts in a pipe, each with a key."""
    from mlops_nb.runs.failure import failed_line

    title = _title(work)
    if work.run is not None:
        for stage, facts in work.run.stages.items():
            if facts["state"] != "pending":
                took = facts.get("seconds")
                after = f" after {took:.1f} s" if took and facts["how"] in ("ran", "failed") else ""
                yield f"{work.id} {stage}", f"{title} {stage}: {facts['how']}{after}"
    for number, run in sorted((work.trials or {}).items()):
        failed = "" if run.state == "cancelled" else failed_line(f"{title} trial {number}", run)
        yield f"{work.id} {number}", failed or f"{title} trial {number}: {run.state}"
    seconds = work.run.wall_seconds if work.run is not None else None
    after = f" after {seconds:.1f} s" if work.is_over and seconds is not None else ""
    failed = failed_line(title, work.run) if work.run is not None and work.state != "cancelled" else ""
    yield work.id, failed or f"{title}: {_state(work)}{after}"


def print_sweeps(store: Store) -> None:
    """Print the sweeps that run or wait, which the table of runs does not have."""
    from mlops_nb.core.project import Project

    project = Project(store.folder.parent.parent)
    if not (project.state / "sweeps").is_dir():
        return
    from mlops_nb.sweep.works import works

    for work in works(project, alive=()):
        click.echo(f"{_title(work)}: {_state(work)}, {_over(work)}")


def _over(work: Work) -> str:
    """Return how many trials of a sweep are over."""
    from mlops_nb.core.states import UNFINISHED

    done = sum(run.state not in UNFINISHED for run in (work.trials or {}).values())
    return f"{done} of {len(work.sweep.trials) if work.sweep else 0} over"


@click.command()
@click.argument("work", metavar="[RUN|SWEEP]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Stop everything that runs or waits here.")
@click.option("--force", is_flag=True, help="Do not wait for the stages; a second stop does not either.")
def stop(work: tuple[str, ...], every: bool, force: bool) -> None:
    """Interrupt RUN or SWEEP, as Ctrl-C does where it was started; what is done is kept.

    A sweep that was stopped is finished by `mlops-nb sweep --resume SWEEP`.
    """
    from mlops_nb.core.project import find_project
    from mlops_nb.sweep.works import alive_runs, meant_work, works

    if every == bool(work):
        raise click.UsageError("give a RUN or a SWEEP, or --all")
    project = find_project(Path.cwd())
    if every:
        chosen = works(project, alive_runs(project))[::-1]  # what waits must not begin meanwhile
    else:
        chosen = [meant_work(project, text) for text in work]
    if not chosen:
        click.echo("nothing runs or waits here")
    if not all([_stop(project, one, force=force) for one in chosen]):
        sys.exit(2)


def _stop(project: Project, work: Work, *, force: bool) -> bool:
    """Stop a work and say so; return whether there was anything to stop."""
    from mlops_nb.runs.run import short_id
    from mlops_nb.sweep.stopping import stop

    title = _title(work)
    try:
        hard = None if work.is_over else stop(project, work, hard=force)
    except PermissionError:
        click.echo(f"error: {title} is another user's; ask them to stop it", err=True)
        return False
    if hard is None:
        click.echo(f"error: {title} does not go on; it is `{work.state}`", err=True)
        return False
    if hard:
        click.echo(f"{title} is stopped")
    else:
        again = f"`mlops-nb runs stop --force {short_id(work.id)}` does not wait for that"
        click.echo(f"{title} is interrupted and ends when its stages have; {again}")
    return True


COMMANDS = (watch, stop)
