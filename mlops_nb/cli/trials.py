"""Progress by trial: a live table on a terminal, plain lines in a pipe; on standard error."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .progress import LiveTable

if TYPE_CHECKING:
    from mlops_nb.core.project import Project
    from mlops_nb.runs.run import Run
    from mlops_nb.sweep.aim import Aim
    from mlops_nb.sweep.executor import News
    from mlops_nb.sweep.record import Sweep


_FAILED = ("error", "killed:oom", "killed:signal", "timeout")
"""The states of trials that have something to say about what kept them from their end."""


@dataclass
class _Row:
    """What is shown of a trial."""

    state: str = "waiting"
    stage: str = ""
    began: float = 0.0
    seconds: float | None = None
    metric: str = ""


class TrialProgress(LiveTable):
    """Shows the news of a sweep; use it as a context manager."""

    def __init__(self, project: Project, sweep: Sweep, metric: str | None) -> None:
        from mlops_nb.sweep.summary import varied

        self._project, self._metric = project, metric
        self._words = {number: " ".join(own) for number, own in varied(sweep).items()}
        self._rows = {trial.number: _Row() for trial in sweep.trials}
        self._count = len(sweep.trials)
        self._aim: Aim | None = None
        self._best: tuple[float, int] | None = None
        self._cold = ""
        if sweep.search:
            self._begin_search(project, sweep)

    def _begin_search(self, project: Project, sweep: Sweep) -> None:
        """Show how far a search has come."""
        from mlops_nb.sweep.aim import aim_from_json
        from mlops_nb.sweep.summary import summarize

        self._aim = aim_from_json(sweep.search)
        self._count = self._aim.trials
        summary = summarize(project, sweep)
        for trial in summary.trials:
            if trial.state not in ("pending", "cancelled"):
                shown = f"{summary.metric} {trial.metric}" if trial.state == "ok" else ""
                self._rows[trial.number] = _Row(trial.state, "", 0.0, trial.seconds, shown)
        if summary.best is not None:
            self._best = summary.best.value, summary.best.trial

    def listen(self, news: News) -> None:
        """Show one piece of news; that nobody reads any more does not stop the sweep."""
        from mlops_nb.runs.failure import failed_line, failure_of

        row, failure = self._rows.setdefault(news.trial, _Row()), ""
        if news.kind == "added":
            fixed = self._aim.space.fixed if self._aim else []
            self._words[news.trial] = " ".join(w for w in news.text.split(" ") if w not in fixed)
        elif news.kind == "began":
            row.state, row.began, row.seconds = "running", time.monotonic(), None
        elif news.kind == "running":
            row.stage = news.stage
        elif news.kind == "over":
            row.state, row.stage = news.state or "unknown", ""
            row.seconds = time.monotonic() - row.began if row.began else 0.0
            run = self._run(news.run)
            row.metric = self._figure(news.trial, run) if run and news.state == "ok" else ""
            if run is not None and news.state in _FAILED:
                row.metric = failure_of(run)
                failure = failed_line(f"trial {news.trial}", run)
        elif news.kind == "step":
            row.metric = f"{news.value:.6g} at step {news.step}"
        for line in filter(None, [failure or self._line(news, row), self._line_of_cold(news)]):
            with contextlib.suppress(OSError):  # a closed pipe, a closed terminal
                self._print(line)

    def _line_of_cold(self, news: News) -> str:
        """Return the line that says why kernels start cold, once; a live table has it below."""
        from mlops_nb.runs.store import Store
        from mlops_nb.sweep.cold_start import cold_start

        if self._cold or news.kind != "over" or not news.run:
            return ""
        why = cold_start(Store(self._project.runs).folder_of(news.run))
        self._cold = f"kernels start cold: {why}" if why else ""
        return self._cold if self._live is None else ""

    def _run(self, run: str) -> Run | None:
        """Return the record of a run that is over, if there is one."""
        from mlops_nb.runs.run import Run
        from mlops_nb.runs.store import Store

        found = Store(self._project.runs).read(run) if run else None
        return found if isinstance(found, Run) else None

    def _figure(self, trial: int, found: Run) -> str:
        """Return the metric of a run that is over, with its name."""
        from mlops_nb.sweep.measures import flat
        from mlops_nb.sweep.summary import headline_of

        sought = self._aim.value(flat(found.metrics)) if self._aim else None
        if sought is not None and self._aim is not None:
            if self._best is None or self._aim.is_better(sought, self._best[0]):
                self._best = sought, trial
        asked = self._metric or (self._aim.metric if self._aim else None)
        name, value = headline_of(self._project, found, asked)
        return f"{name} {value}" if value is not None else ""

    def _line(self, news: News, row: _Row) -> str:
        """Return the line that says what has happened, if it is worth one."""
        trial = f"trial {news.trial}"
        if self._live is not None:
            return f"{trial}: {news.text}" if news.kind == "over" and news.text else ""
        if news.kind == "began":
            return f"{trial}: running, {self._words[news.trial]}"
        if news.kind == "ended":
            return f"{trial} {news.stage}: {news.state} after {news.seconds:.1f} s"
        if news.kind == "over":
            more = ", ".join(filter(None, [row.metric, news.text]))
            return f"{trial}: {row.state} after {row.seconds:.1f} s{', ' if more else ''}{more}"
        return ""

    def _shown(self) -> Any:
        """Return the live table: as many trials as there is room for, those that run first."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        room = max(5, self._console.height - 5)
        ranked = sorted(self._rows, key=lambda number: self._rows[number].state == "waiting")
        begun = [n for n in ranked if self._rows[n].state != "waiting"][-room:]
        chosen = (begun + [n for n in ranked if self._rows[n].state == "waiting"])[:room]
        table = Table("trial", "overrides", "state", "stage", "seconds", "metric", box=None)
        for number in sorted(chosen):
            row = self._rows[number]
            took = row.seconds if row.seconds is not None else time.monotonic() - row.began
            seconds = f"{took:.0f}" if row.began else ""
            cells = (str(number), self._words[number], row.state, row.stage, seconds, row.metric)
            table.add_row(*map(Text, cells))
        over = sum(row.seconds is not None for row in self._rows.values())
        best = f"; best {self._best[0]:.6g} in trial {self._best[1]}" if self._best else ""
        below = [Text(f"{over} of {self._count} trials are over{best}")]
        below += [Text(self._cold)] if self._cold else []
        return Group(table, *below)
