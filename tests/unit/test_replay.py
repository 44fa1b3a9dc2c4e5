"""A journal is replayed only by what can read it."""

from pathlib import Path
from typing import Any

import pytest

from mlops_nb.errors import UsageError
from mlops_nb.notebook.journal import VERSION, Journal
from mlops_nb.notebook.replay import Replay

NODE: dict[str, Any] = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
BEGAN = {"entry": "began", "notebook": "a.ipynb", "node": NODE, "numbers": [], "titles": []}
BEGAN |= {"began": "2013-01-01T05:15:00+00:00", "kernel": "python3"}


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
