"""What the progress of a sweep says."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_nb.cli.trials import TrialProgress
from mlops_nb.core.project import Project
from mlops_nb.notebook.journal import JOURNAL, entry_line
from mlops_nb.runs.run import new_id
from mlops_nb.sweep.executor import News
from mlops_nb.sweep.record import Sweep, Trial


@pytest.mark.parametrize("is_live", [False, True])
def test_why_kernels_start_cold_is_said_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], is_live: bool
) -> None:
    from rich.console import Console

    project = Project(tmp_path)
    trials = [Trial(number, ("a=1",), "") for number in (1, 2, 3)]
    progress = TrialProgress(project, Sweep("s", (), {}, trials), None)
    for number, refusal in ((1, ""), (2, "threads are alive"), (3, "threads are alive")):
        run = new_id()
        journal = project.runs / run / "executions" / "train" / JOURNAL
        journal.parent.mkdir(parents=True)
        kernel = {"entry": "kernel", "refusal": refusal}
        journal.write_bytes(entry_line({"entry": "began"}) + entry_line(kernel))
        progress.listen(News(number, "over", run, state="error"))
    console = Console(record=True, width=80)
    said = capsys.readouterr().err
    if is_live:
        progress._console = console
        console.print(progress._shown())
        said = console.export_text()
    assert said.count("kernels start cold: threads are alive") == 1
