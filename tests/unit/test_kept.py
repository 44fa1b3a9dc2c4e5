"""Each execution has a folder of its own, and old ones can be removed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mlops_nb.errors import UsageError
from mlops_nb.notebook.journal import JOURNAL, Journal
from mlops_nb.pipeline.kept import (
    execution_folders,
    find_journal,
    new_folder,
    remove_executions,
)

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
    running = Journal(new_folder(tmp_path, "train") / JOURNAL)
    assert remove_executions(tmp_path, keep=0) == () and running.path.exists()
    running.close()
    assert remove_executions(tmp_path, keep=0) == (running.path.parent,)


def test_an_execution_is_found_by_stage_by_name_and_by_path(tmp_path: Path) -> None:
    names = ["20130101T0515-train", "20130102T0515-train", "20130103T0515-my-stage"]
    names = [f"{day[:13]}00.000{day[13:]}-0a1b2c3d" for day in names]
    folders = [tmp_path / name for name in names]
    for folder in folders:
        folder.mkdir()
    found = execution_folders(tmp_path)
    assert found == folders
    assert find_journal("train", found) == folders[1] / JOURNAL
    assert find_journal("my-stage", found) == folders[2] / JOURNAL
    assert find_journal("20130101", found) == folders[0] / JOURNAL
    assert find_journal(str(folders[0]), []) == folders[0] / JOURNAL
    (folders[0] / JOURNAL).touch()
    assert find_journal(str(folders[0] / JOURNAL), []) == folders[0] / JOURNAL


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("trian", "no execution `trian`; did you mean `train`?"),
        ("2013", "`2013` stands for several executions"),
        ("2014", "no execution `2014`; known: train"),
    ],
)
def test_an_execution_that_is_not_known_is_one_line(tmp_path: Path, named: str, said: str) -> None:
    folders = [tmp_path / f"2013010{day}T051500.000-train-0a1b2c3d" for day in (1, 2)]
    with pytest.raises(UsageError, match=re.escape(said)):
        find_journal(named, folders)


def test_a_file_or_link_named_like_an_execution_is_none(tmp_path: Path) -> None:
    kept = new_folder(tmp_path, "train")
    kept.mkdir()
    (tmp_path / f"20130101T051500-train-{NOBODY}").write_text("")
    (tmp_path / f"20130102T051500-train-{NOBODY}").symlink_to(kept)
    assert execution_folders(tmp_path) == [kept]
    assert remove_executions(tmp_path, keep=0) == (kept,)


def test_a_stage_comes_before_a_folder_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("train", "20130101"):
        (tmp_path / name).mkdir()
    folders = [tmp_path / "20130101T051500.000-train-0a1b2c3d"]
    assert find_journal("train", folders) == folders[0] / JOURNAL
    assert find_journal("20130101", folders) == folders[0] / JOURNAL
    assert find_journal("./train", folders) == Path("train") / JOURNAL
    assert find_journal("train", []) == Path("train") / JOURNAL


def test_digits_at_the_end_of_a_stage_are_not_taken_for_the_random_part(tmp_path: Path) -> None:
    folder = tmp_path / "20260101T000000.000-report-20240101-12345678"
    folder.mkdir()
    assert find_journal("report-20240101", [folder]) == folder / JOURNAL
