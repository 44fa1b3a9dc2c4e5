"""Progress by stage: a live table on a terminal, prefixed lines in a pipe; on standard error."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .progress import LiveTable

if TYPE_CHECKING:
    from mlops_nb.core.project import Project
    from mlops_nb.pipeline.repro import ReproEvent


@dataclass
class _Row:
    """What is shown of a stage that has more to tell than that nothing has changed."""

    state: str = "running"
    began: float = field(default_factory=time.monotonic)
    seconds: float | None = None
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=30))
    """The last that its command has said."""


class StageProgress(LiveTable):
    """Shows the events of a reproduction; use it as a context manager."""

    def __init__(self, project: Project) -> None:
        from mlops_nb.pipeline.cells import Cells
        from mlops_nb.pipeline.kept import executions_folder

        self._rows: dict[str, _Row] = {}
        self._unchanged = self._stages = 0
        self._cells = Cells(executions_folder(project))

    def follow(self, event: ReproEvent) -> None:
        """Show one event; that nobody reads any more does not stop the pipeline."""
        if event.kind == "planned":
            self._stages = len(event.stages)
        elif event.kind == "running":
            self._rows[event.stage] = _Row()
        elif event.kind == "said" and event.stage in self._rows:
            self._rows[event.stage].lines.append(event.text)
        elif event.kind == "ended" and event.state == "unchanged":
            self._unchanged += 1
        elif event.kind == "ended":
            row = self._rows.setdefault(event.stage, _Row())
            row.state, row.seconds = str(event.state), event.seconds
        for line in self._worth_a_line(event):
            with contextlib.suppress(OSError):  # a closed pipe, a closed terminal
                self._print(line)

    def _worth_a_line(self, event: ReproEvent) -> list[str]:
        """Return the lines that say what has happened."""
        stage = event.stage
        if event.kind == "noted":
            return [f"DVC: {event.text}"]
        if event.kind == "left out":
            return [f"warning: {event.text}"]
        if self._live is not None:  # the table says the rest, but not what led to a failure
            lines = self._rows[stage].lines if event.state == "failed" else ()
            return [f"{stage} | {line}" for line in lines]
        if event.kind == "planned":
            jobs = f"up to {event.jobs} at once" if event.jobs > 1 else "one after the other"
            return [f"{len(event.stages)} stage(s), {jobs}; the pipeline allows {event.width}"]
        if event.kind == "said":
            return [f"{stage} | {event.text}"]
        if event.kind == "ended":
            took = event.state in ("ran", "failed")
            after = f" after {event.seconds:.1f} s" if took else ""
            return [f"{stage}: {event.state}{after}"]
        return [f"{stage}: running"]

    def _shown(self) -> Any:
        """Return the live table: stages that run or have run, the newest if there are many."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table("stage", "state", "at", "seconds", box=None)
        for stage, row in list(self._rows.items())[-20:]:
            took = time.monotonic() - row.began if row.seconds is None else row.seconds
            place = self._place(stage, row) if row.seconds is None else ""
            table.add_row(*map(Text, (stage, row.state, place, f"{took:.0f}")))
        waiting = self._stages - self._unchanged - len(self._rows)
        counts = f"{self._stages} stages: {self._unchanged} unchanged, {waiting} to be looked at"
        if not self._stages:
            counts = "looking at the pipeline"
        return Group(table, Text(counts)) if self._rows else Text(counts)

    def _place(self, stage: str, row: _Row) -> str:
        """Return at which cell a stage is, or what it said last if it is not a notebook."""
        return self._cells.at(stage) or (row.lines[-1] if row.lines else "")
