import json
from pathlib import Path

import pytest

from mlops_nb.errors import NotebookError
from mlops_nb.notebook.prepare import Prepared, Request, prepare


def code(source: str, *tags: str) -> dict[str, object]:
    return {"cell_type": "code", "metadata": {"tags": list(tags)}, "source": source, "outputs": []}


def prepared(path: Path, cells: list[dict[str, object]], injected: str | None) -> Prepared:
    node = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    path.write_text(json.dumps(node))
    return prepare(Request(path, path.parent, path, path, injected=injected))


def test_values_go_after_the_parameters_cell(tmp_path: Path) -> None:
    ready = prepared(tmp_path / "a.ipynb", [code("x"), code("a = 0", "parameters")], "a = 1")
    assert [cell["source"] for cell in ready.notebook["cells"]] == ["x", "a = 0", "a = 1"]
    assert ready.numbers == (1, 2, None)


def test_without_a_parameters_cell_they_go_to_the_top(tmp_path: Path) -> None:
    assert prepared(tmp_path / "a.ipynb", [code("x")], "a = 1").numbers == (None, 1)


def test_values_of_an_earlier_execution_are_replaced(tmp_path: Path) -> None:
    cells = [code("a = 0", "parameters"), code("a = 9", "injected-parameters"), code("x")]
    ready = prepared(tmp_path / "a.ipynb", cells, "a = 1")
    assert [cell["source"] for cell in ready.notebook["cells"]] == ["a = 0", "a = 1", "x"]
    assert ready.numbers == (1, None, 3)


@pytest.mark.parametrize("injected", [None, ""])
def test_nothing_is_injected_when_there_is_nothing(tmp_path: Path, injected: str | None) -> None:
    assert prepared(tmp_path / "a.ipynb", [code("x")], injected).numbers == (1,)


def test_cells_to_skip_are_not_run(tmp_path: Path) -> None:
    ready = prepared(tmp_path / "a.ipynb", [code("x", "skip-execution"), code(" "), code("y")], "")
    assert ready.runnable == (2,)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"nbformat": 4}', "\x00", '{"cells": [1], "nb'])
def test_what_is_no_notebook_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.ipynb").write_text(text)
    with pytest.raises(NotebookError, match=r"a\.ipynb: not a notebook"):
        prepare(Request(tmp_path / "a.ipynb", tmp_path, tmp_path, tmp_path))
