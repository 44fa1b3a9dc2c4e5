import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from mlops_nb.errors import NotebookError
from mlops_nb.notebook.document import read_document
from mlops_nb.notebook.prepare import Prepared, Request, prepare, titles
from mlops_nb.notebook.report import canonical


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


def test_a_notebook_of_an_older_format_is_prepared_alike_each_time(tmp_path: Path) -> None:
    lines = {"cell_type": "code", "language": "python", "input": ["a = 1\n", "a"], "outputs": []}
    old = {"nbformat": 3, "metadata": {"name": ""}, "worksheets": [{"cells": [lines]}]}
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps(old))
    first, second = (prepare(Request(path, tmp_path, path, path)) for _ in range(2))
    assert first == second and first.notebook["cells"][0]["source"] == "a = 1\na"


def test_absent_metadata_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    cells = [{"cell_type": "code", "source": "x"}, {**code("y"), "metadata": None}]
    path.write_text(json.dumps({"nbformat": 4, "metadata": None, "cells": cells}))
    assert prepare(Request(path, tmp_path, path, path)).runnable == (0, 1)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"nbformat": 4}', "\x00", '{"cells": [1], "nb'])
def test_what_is_no_notebook_is_refused_as_elsewhere(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.ipynb").write_text(text)
    with pytest.raises(NotebookError) as elsewhere:
        read_document(tmp_path / "a.ipynb")
    said = str(elsewhere.value).replace(str(tmp_path / "a.ipynb"), "a.ipynb")
    with pytest.raises(NotebookError, match=f"^{re.escape(said)}$"):
        prepare(Request(tmp_path / "a.ipynb", tmp_path, tmp_path, tmp_path))


def test_an_output_is_missing_if_it_is_not_there_or_the_check_finds_fault(tmp_path: Path) -> None:
    path = tmp_path / "a.ipynb"
    (tmp_path / "there.csv").touch()
    request = Request(path, tmp_path, path, path, outputs=("there.csv", "absent.csv"))
    assert request.missing() == ("absent.csv",)
    checked = replace(request, check=lambda: ("there.csv (too long)",))
    assert checked.missing() == ("absent.csv", "there.csv (too long)")


def test_values_go_after_the_code_cell_that_declares_them(tmp_path: Path) -> None:
    prose = {"cell_type": "markdown", "metadata": {"tags": ["parameters"]}, "source": "# Values"}
    cells = [prose, code("x"), code("a = 0", "parameters")]
    ready = prepared(tmp_path / "a.ipynb", cells, "a = 1")
    assert [cell["source"] for cell in ready.notebook["cells"]][2:] == ["a = 0", "a = 1"]
    declared = read_document(tmp_path / "a.ipynb").parameters_cell
    assert declared is not None and declared.number == 3


@pytest.mark.parametrize("tags", [None, 5, "parameters", {"a": 1}, [None, 5]])
def test_tags_that_are_no_list_of_words_are_none(tmp_path: Path, tags: object) -> None:
    cell = {"cell_type": "code", "metadata": {"tags": tags}, "source": "a = 0", "outputs": []}
    ready = prepared(tmp_path / "a.ipynb", [cell], "a = 1")
    assert ready.numbers == (None, 1) and ready.runnable == (0, 1)
    assert read_document(tmp_path / "a.ipynb").parameters_cell is None


@pytest.mark.parametrize("name", ["kernelspec", "language_info", "mlops_nb", "widgets"])
@pytest.mark.parametrize("value", [5, None, "python3", ["python3"]])
def test_metadata_of_another_shape_is_left_out(tmp_path: Path, name: str, value: object) -> None:
    path = tmp_path / "a.ipynb"
    cell = code("x") | {"metadata": {name: value}}
    node = {"cells": [cell], "metadata": {name: value}, "nbformat": 4, "nbformat_minor": 4}
    path.write_text(json.dumps(node))
    ready = prepare(Request(path, tmp_path, path, path))
    assert ready.kernel == "python3" and name not in ready.notebook["metadata"]
    assert name not in ready.notebook["cells"][0]["metadata"]
    assert canonical(ready.notebook)


def test_a_heading_is_the_title_of_the_cell_below_it_and_others_go_by_their_first_line() -> None:
    def cell(kind: str, source: str) -> dict[str, str]:
        return {"cell_type": kind, "source": source}

    cells = [cell("markdown", "# Load"), cell("code", "a = 1"), cell("code", "\nb = 2\nc = 3")]
    assert titles(cells) == ("Load", "Load", "b = 2")
