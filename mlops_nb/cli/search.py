"""What `sweep` takes and says when it searches: options, the plan, and the best trial."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mlops_nb.core.project import Project
    from mlops_nb.runs.annotations import Annotations
    from mlops_nb.sweep.record import Sweep
    from mlops_nb.sweep.summary import Summary

_WORDS = ("direction", "trials", "sampler", "seed", "pruner", "series")
"""The options that say how to search."""
_TRIALS = 20


def search_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a search."""
    for option in (
        click.option("--series", metavar="KEY", help="What the pruner watches (default: the metric's name)."),
        click.option("--pruner", type=click.Choice(["none", "median", "halving", "hyperband"]),
                     help="Who ends trials early, by the steps they record (default: none)."),
        click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Makes a search repeatable."),
        click.option("--sampler", type=click.Choice(["tpe", "random", "grid"]),
                     help="Who proposes the trials (default: tpe)."),
        click.option("--trials", type=click.IntRange(1, 10_000), metavar="N",
                     help=f"How many trials a search has (default: {_TRIALS})."),
        click.option("--direction", type=click.Choice(["maximize", "minimize"]),
                     help="What to do with the metric."),
        click.option("--search", "is_search", is_flag=True,
                     help="Search what `interval`, `range` and `choice` span for the best METRIC."),
    ):  # fmt: skip
        command = option(command)
    return command


def taken(given: dict[str, Any], *, resumes: bool) -> dict[str, Any] | None:
    """Take the options of a search out of `given`; return them if there is to be one."""
    words = {name: given.pop(name) for name in _WORDS}
    is_search = given.pop("is_search")
    allowed = {"trials"} if resumes else set(_WORDS) if is_search else set()
    for name, value in words.items():
        if value is not None and name not in allowed:
            what = "stands in the record of the sweep" if resumes else "needs `--search`"
            raise click.UsageError(f"`--{name}` {what}")
    if resumes and is_search:
        raise click.UsageError("--resume goes on with a search as it was asked: leave `--search` out")
    return words if is_search or words["trials"] else None


def planned_search(
    project: Project,
    overrides: Sequence[str],
    metric: str | None,
    words: Mapping[str, Any],
    asked: Sweep,
    said: Annotations,
) -> Sweep:
    """Return a new search."""
    import secrets

    from mlops_nb.sweep.measures import series_doubt
    from mlops_nb.sweep.searching import plan_search

    if not metric:
        raise click.UsageError("`--search` needs `--metric KEY`, such as `--metric evaluate.auc`")
    given = {name: value for name, value in words.items() if value is not None}
    options = {"trials": _TRIALS, "seed": secrets.randbelow(1 << 31), **given}
    planned = plan_search(project, overrides, asked, said, metric, **options)
    if watch := planned.search["watch"]:
        warn(series_doubt(project, watch))
    return planned


def warn(doubt: str) -> None:
    """Say what is in doubt, if anything is."""
    if doubt:
        click.echo(f"warning: {doubt}", err=True)


def more_trials(sweep: Sweep, words: Mapping[str, Any] | None) -> Sweep:
    """Return the sweep with as many trials as are asked for now."""
    from mlops_nb.sweep.searching import with_trials

    if not words:
        return sweep
    if not sweep.search:
        raise click.UsageError(f"`--trials` is for searches, and sweep {sweep.id} is none")
    return with_trials(sweep, words["trials"])


def headline(sweep: Sweep) -> str:
    """Return what is about to begin."""
    if not sweep.search:
        return f"sweep {sweep.id}: {len(sweep.trials)} trial(s), {sweep.jobs} at once"
    aim = sweep.search
    how = f"{aim['direction']} {aim['metric']}, {aim['sampler']}, seed {aim['seed']}"
    how += f", pruner {aim['pruner']}" if aim["pruner"] != "none" else ""
    return f"search {sweep.id}: {how}, {aim['trials']} trial(s), {sweep.jobs} at once"


def best_line(summary: Summary) -> str:
    """Return the best value of a search and what gave it."""
    best = summary.best
    if best is None:
        return "best: no trial has succeeded"
    metric, words = summary.search["metric"], " ".join(best.overrides)
    return f"best: {metric} {best.value:.6g} in trial {best.trial}, {words} (run {best.run})"


def exit_code(summary: Summary, *, interrupted: bool) -> tuple[int, str]:
    """Return the exit code of a search that is over for now, and what is left to say."""
    count, wanted = len(summary.trials), summary.search["trials"]
    open_ones = sum(trial.state in ("pending", "cancelled") for trial in summary.trials)
    if interrupted:
        line = f"{count - open_ones} of {wanted} trials are over; go on with"
        return 130, f"{line} `mlops-nb sweep --resume {summary.sweep}`"
    failed = sum(trial.state not in ("ok", "pruned") for trial in summary.trials)
    return (0 if summary.best else 1), f"{failed} of {count} trials failed" if failed else ""
