"""At which cell a stage is, while its journal grows."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_nb.notebook.journal import JOURNAL, entry_line
from mlops_nb.pipeline.cells import Cells

CODE = {"cell_type": "code", "source": "1", "outputs": [], "metadata": {}, "execution_count": None}
BEGAN = {
    "entry": "began",
    "at": 0.0,
    "started": "",
    "kernel": "",
    "notebook": "nb.ipynb",
    "node": {"cells": [CODE | {"id": "a"}, CODE | {"id": "b"}], "metadata": {}},
    "numbers": [1, 2],
    "titles": ["Load", "Fit"],
}


def append(folder: Path, name: str, *entries: dict[str, object], tail: bytes = b"") -> None:
    path = folder / name / JOURNAL
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as journal:
        journal.write(b"".join(map(entry_line, entries)) + tail)


def test_an_execution_from_before_is_not_taken_for_the_present_one(tmp_path: Path) -> None:
    append(tmp_path, "20260101T000000.000-train-00000001", BEGAN)
    cells = Cells(tmp_path)
    assert cells.at("train") == ""

    append(tmp_path, "20260101T000001.000-train-00000002", BEGAN)
    append(
        tmp_path,
        "20260101T000001.000-train-00000002",
        {"entry": "message", "at": 0.1, "content": '{"entry":"cell","cell":1}'},
        {"entry": "cell", "at": 0.1, "cell": 0},
    )
    assert cells.at("train") == "1/2 Load"
    assert cells.at("evaluate") == ""


def test_a_folder_with_the_name_of_a_stage_is_no_execution_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "train").mkdir()
    monkeypatch.chdir(tmp_path)
    cells = Cells(tmp_path / "executions")
    assert cells.at("train") == ""
    name = "20260101T000001.000-train-00000002"
    append(tmp_path / "executions", name, BEGAN, {"entry": "cell", "at": 0.1, "cell": 0})
    assert cells.at("train") == "1/2 Load"


def test_a_line_in_the_making_is_read_when_it_is_whole(tmp_path: Path) -> None:
    cells = Cells(tmp_path)
    name = "20260101T000001.000-train-00000002"
    last = entry_line({"entry": "cell", "at": 0.2, "cell": 1})
    append(tmp_path, name, BEGAN, {"entry": "cell", "at": 0.1, "cell": 0}, tail=last[:9])
    assert cells.at("train") == "1/2 Load"

    append(tmp_path, name, tail=last[9:])
    assert cells.at("train") == "2/2 Fit"


def test_a_journal_that_is_gone_is_no_error(tmp_path: Path) -> None:
    cells = Cells(tmp_path)
    name = "20260101T000001.000-train-00000002"
    append(tmp_path, name, BEGAN, {"entry": "cell", "at": 0.1, "cell": 0})
    assert cells.at("train") == "1/2 Load"
    (tmp_path / name / JOURNAL).unlink()

    assert cells.at("train") == "1/2 Load"
