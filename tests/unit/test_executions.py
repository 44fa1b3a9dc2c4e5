"""Each execution has a folder of its own, and old ones can be removed."""

from __future__ import annotations

import os
from pathlib import Path

from mlops_nb.pipeline.executions import new_folder, remove_executions

NOBODY = 2**22 + 1  # above the highest process id that Linux gives


def test_executions_that_one_process_begins_at_once_share_no_folder(tmp_path: Path) -> None:
    assert len({new_folder(tmp_path, "train") for _ in range(100)}) == 100


def test_folders_sort_by_the_time_of_their_execution(tmp_path: Path) -> None:
    earlier = tmp_path / f"20130101T051500-train-{NOBODY}"
    same_second = tmp_path / f"20130101T051500.001-train-0a1b2c3d-{NOBODY}"
    later = new_folder(tmp_path, "ingest")
    assert sorted([later, same_second, earlier]) == [earlier, same_second, later]


def test_the_older_are_removed_whichever_version_made_them(tmp_path: Path) -> None:
    old = [
        tmp_path / f"20130101T051500-my-train-{NOBODY}",
        tmp_path / f"20130101T051500.001-train-12345678-{NOBODY}",
    ]
    kept, foreign = new_folder(tmp_path, "train"), tmp_path / "notes"
    for folder in (*old, kept, foreign):
        folder.mkdir()
    assert remove_executions(tmp_path, keep=1) == tuple(old)
    assert kept.exists() and foreign.exists()


def test_an_execution_that_may_still_run_is_kept(tmp_path: Path) -> None:
    (running := new_folder(tmp_path, "train")).mkdir()
    assert running.name.endswith(f"-{os.getpid()}")
    assert remove_executions(tmp_path, keep=0) == () and running.exists()
