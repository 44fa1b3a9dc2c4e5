"""The command `sweep`: many runs from one line in Hydra's multirun grammar."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .background import detach_option, detach_sweep
from .naming import warn_of_namesakes
from .run import said_options
from .search import (
    best_line,
    exit_code,
    headline,
    more_trials,
    planned_search,
    search_options,
    taken,
    warn,
)
from .show import json_option, print_json, print_table, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mlops_nb.core.project import Project
    from mlops_nb.sweep.conduct import Conducted
    from mlops_nb.sweep.executor import Executor
    from mlops_nb.sweep.place import Opened, Place
    from mlops_nb.sweep.record import Sweep
    from mlops_nb.sweep.summary import Summary


@click.command()
@click.argument("overrides", nargs=-1)
@click.option(
    "-j", "--jobs", type=click.IntRange(min=1), metavar="N",
    help="How many trials may run at once (default: one per processor).",
)  # fmt: skip
@click.option("-f", "--force", is_flag=True, help="Run stages also where nothing changed.")
@click.option("--resume", metavar="SWEEP", help="Run the trials of SWEEP without a successful run.")
@click.option("--metric", metavar="KEY", help="The metric to show or search, such as `evaluate.auc`.")
@click.option(
    "--on", metavar="PLACE", default="pool", show_default=True,
    help="Where trials run: pool, ray, ray://HOST:PORT, ray:ADDRESS, slurm or slurm:local, and options "
    "after commas, such as `slurm,cpus=4,partition=short`.",
)  # fmt: skip
@search_options
@said_options
@detach_option
@json_option
def sweep(
    overrides: tuple[str, ...],
    jobs: int | None,
    resume: str | None,
    metric: str | None,
    on: str,
    detach: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Run the pipeline once for each config that OVERRIDES stand for.

    OVERRIDES are in Hydra's multirun grammar, such as `train=mean,median train.seed=range(0,5)`.
    All trials are checked before one begins, and all have the code of this moment. What several
    trials have in common is computed once. A trial that fails stops nothing, Ctrl-C keeps what is
    done, and `--resume` runs the rest.

    With `--search`, OVERRIDES say where values may lie, such as `train.rate=tag(log,interval(1e-3,1))
    train.depth=range(2,9)`, and each trial is chosen in view of the earlier ones.
    """
    from mlops_nb.core.project import find_project
    from mlops_nb.sweep.place import parse_place
    from mlops_nb.sweep.summary import summarize

    words = taken(given, resumes=bool(resume))
    project, place = find_project(Path.cwd()), parse_place(on)

    def checked(jobs: int | None) -> Sweep:
        if resume:
            return more_trials(_resumed(project, resume, overrides, jobs, **given), words)
        return _planned(project, overrides, jobs, metric, words, **given)

    if detach:
        elsewhere = on if place.kind != "pool" else None
        _detach(project, checked(jobs), metric, elsewhere, as_json=as_json)
        return
    with _opened(project, place, checked, jobs, resumed=bool(resume)) as (opened, what):
        metric = metric or what.metric
        done = _conducted(project, what, opened.executor, metric)
    _finish(summarize(project, done.sweep, metric), interrupted=done.interrupted, as_json=as_json)


def _detach(
    project: Project, what: Sweep, metric: str | None, on: str | None, *, as_json: bool
) -> None:
    """Leave a sweep to a process of its own, with the options that its record does not have."""
    options = [f"--jobs={what.jobs}", *([f"--metric={metric}"] if metric else [])]
    options += [f"--on={on}"] if on else []
    detach_sweep(project, what.id, options, as_json=as_json)


def _conducted(
    project: Project, what: Sweep, executor: Executor, metric: str | None
) -> Conducted:
    """Run the trials of a sweep that are left to be run, and show how they get on."""
    from mlops_nb.sweep.conduct import alive_trials, conduct
    from mlops_nb.sweep.searching import search_of

    from .trials import TrialProgress

    click.echo(headline(what), err=True)
    if going_on := alive_trials(project, what):
        line = f"{len(going_on)} trial(s) still go on from before, and are left out"
        click.echo(line, err=True)
    shown = metric or what.metric
    with search_of(project, what) as source, TrialProgress(project, what, shown) as progress:
        return conduct(project, what, executor, progress.listen, source)


def _finish(summary: Summary, *, interrupted: bool, as_json: bool) -> None:
    """Show what came of a sweep, say what is left to be done, and exit accordingly."""
    if as_json:
        print_json(summary.to_json())
    else:
        _print(summary)
    code, line = _ending(summary, interrupted=interrupted)
    if line:
        click.echo(line, err=True)
    sys.exit(code)


@contextlib.contextmanager
def _opened(
    project: Project,
    place: Place,
    checked: Callable[[int | None], Sweep],
    jobs: int | None,
    *,
    resumed: bool,
) -> Iterator[tuple[Opened, Sweep]]:
    """Give the executor and the sweep; what takes long to open is opened when all is checked."""
    from dataclasses import replace

    from mlops_nb.sweep.plan import withdraw_sweep
    from mlops_nb.sweep.place import open_place

    def say(line: str) -> None:
        click.echo(line, err=True)

    if not place.is_slow:
        with contextlib.closing(open_place(project, place, say)) as opened:  # it loads meanwhile
            yield opened, checked(jobs or (None if resumed else opened.at_once))
        return
    what = checked(jobs)
    try:
        opened = open_place(project, place, say)
    except BaseException:
        if not resumed:
            withdraw_sweep(project, what)
        raise
    with contextlib.closing(opened):
        yield opened, what if jobs or resumed else replace(what, jobs=opened.at_once)


def _ending(summary: Summary, *, interrupted: bool) -> tuple[int, str]:
    """Return the exit code, and what is left to say."""
    if summary.search:
        return exit_code(summary, interrupted=interrupted)
    left = [trial for trial in summary.trials if trial.state != "ok"]
    if not left:
        return 0, ""
    line = f"{len(left)} of {len(summary.trials)} trials have no successful run; run them with"
    return 130 if interrupted else 1, f"{line} `mlops-nb sweep --resume {summary.sweep}`"


def _planned(
    project: Project,
    overrides: tuple[str, ...],
    jobs: int | None,
    metric: str | None,
    search: Mapping[str, Any] | None,
    *,
    force: bool,
    **said: Any,
) -> Sweep:
    """Return a new sweep."""
    from mlops_nb.core.processes import processors
    from mlops_nb.runs.annotations import Annotations
    from mlops_nb.sweep.plan import plan_sweep
    from mlops_nb.sweep.measures import checked_metric
    from mlops_nb.sweep.naming import sweeps_called
    from mlops_nb.sweep.record import Sweep

    words = Annotations(said["name"], frozenset(said["tags"]), said["note"], said["hypothesis"])
    command = ("mlops-nb", *sys.argv[1:])
    at_once = jobs or processors()
    warn_of_namesakes("sweep", said["name"], sweeps_called(project, said["name"]))
    shown = metric or ""
    if metric:
        shown, doubt = checked_metric(project, metric)
        warn(doubt)
    if search:
        asked = Sweep("", (), {}, (), at_once, force, command)
        return planned_search(project, overrides, metric, search, asked, words)
    return plan_sweep(
        project, overrides, jobs=at_once, force=force, command=command, said=words, metric=shown
    )


def _resumed(
    project: Project, text: str, overrides: tuple[str, ...], jobs: int | None, **given: Any
) -> Sweep:
    """Return the sweep that is to be finished, in its own words."""
    from dataclasses import replace

    from mlops_nb.sweep.naming import find_sweep
    from mlops_nb.sweep.record import read_sweep

    if overrides or any(given.values()):
        raise click.UsageError(
            "--resume keeps what the sweep was given: leave the rest out, but -j"
        )
    found = read_sweep(project, find_sweep(project, text))
    return replace(found, jobs=jobs or found.jobs)


def _print(summary: Summary) -> None:
    """Print what came of each trial, and of the trials that differ in their seeds alone."""
    from mlops_nb.runs.run import short_id

    rows = [
        [
            t.number,
            " ".join(t.varied),
            t.state,
            f"{t.seconds:.1f}" if t.run else "",
            t.failure or _figure(t.metric),
            t.run,
        ]
        for t in summary.trials
    ]
    columns = ["trial", "overrides", "state", "seconds", summary.metric or "metric", "run"]
    print_table(f"Sweep {summary.sweep}", columns, rows)
    groups = [
        [
            ", ".join(map(str, group.trials)),
            spread.n,
            f"{spread.mean:.6g}",
            _figure(spread.deviation),
        ]
        for group in summary.groups
        if len(group.trials) > 1 and (spread := group.spreads.get(summary.metric))
    ]
    print_table(f"Seeds: {summary.metric}", ["trials", "n", "mean", "deviation"], groups)
    if summary.search:
        click.echo(best_line(summary))
    failed = [t.run for t in summary.trials if t.failure]
    if failed:
        click.echo(f"`mlops-nb open RUN` shows why one failed, such as {short_id(failed[0])}")


def _figure(value: Any) -> str:
    """Return how a metric is shown in a table."""
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else shown(value)


COMMANDS = (sweep,)
