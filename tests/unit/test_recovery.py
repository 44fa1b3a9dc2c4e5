"""A journal is replayed only by what can read it, and its notebook is written where it may."""

from pathlib import Path
from typing import Any

import pytest

from mlops_nb.errors import UsageError
from mlops_nb.notebook.journal import VERSION, Journal
from mlops_nb.notebook.replay import Replay
from mlops_nb.pipeline.recovery import recover, summaries

NODE: dict[str, Any] = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
BEGAN = {"entry": "began", "notebook": "a.ipynb", "node": NODE, "numbers": [], "titles": []}
BEGAN |= {"started": "2013-01-01T05:15:00.000+00:00", "at": 0.0, "kernel": "python3"}


def journal(folder: Path, *entries: dict[str, Any]) -> Path:
    written = Journal(folder / "kept" / "journal.jsonl")
    for entry in entries:
        written.append(entry)
    written.close()
    return written.path


def test_a_journal_of_this_version_is_read(tmp_path: Path) -> None:
    path = journal(tmp_path, BEGAN | {"version": VERSION})
    assert Replay(path, outputs=False).ending.state == "killed:signal"


@pytest.mark.parametrize("version", [VERSION + 1, None, "1"])
def test_a_journal_of_another_version_is_refused_in_one_line(
    tmp_path: Path, version: object
) -> None:
    path = journal(tmp_path, {"entry": "began", "version": version})
    with pytest.raises(UsageError, match=f"a journal of version {version}, this reads {VERSION}"):
        Replay(path)


def test_what_is_no_journal_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a journal; see `mlops-nb recover --list`"):
        Replay(journal(tmp_path, {"entry": "cell"}))


def test_a_recovered_notebook_takes_nobodys_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = journal(tmp_path, BEGAN | {"version": VERSION})
    place, outcome = recover(path)
    assert (place, outcome.state) == (Path("a-recovered.ipynb"), "killed:signal")
    with pytest.raises(UsageError, match=r"a-recovered.ipynb exists; choose a name with -o"):
        recover(path)
    page, _ = recover(path, tmp_path / "a.html")
    assert page.read_text().startswith("<!DOCTYPE html>")


def test_executions_are_listed_newest_first_without_what_cannot_be_read(tmp_path: Path) -> None:
    kept = [tmp_path / f"2013010{day}T051500.000-a-0a1b2c3d" for day in (1, 2, 3)]
    for folder, version in zip(kept, (VERSION, VERSION + 1, VERSION), strict=True):
        folder.mkdir()
        journal(folder, BEGAN | {"version": version}).rename(folder / "journal.jsonl")
    assert [summary.folder for summary in summaries(kept)] == [kept[2], kept[0]]
    assert next(summaries(kept)).to_json()["cells"] == "0/0"
