"""A notebook file is read as it is, and what is no notebook is said in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_nb.errors import NotebookError
from mlops_nb.notebook.document import read_document, read_notebook

Builder = Callable[..., dict[str, Any]]


def test_cells_are_numbered_as_a_reader_counts_them(tmp_path: Path, notebook: Builder) -> None:
    content = notebook("a = 1\nb = 2", "c", parameters="seed: int = 0")
    content["cells"].insert(0, {"cell_type": "markdown", "metadata": {}, "source": "# Title"})
    path = tmp_path / "nb.ipynb"
    path.write_text(json.dumps(content))
    document = read_document(path)
    assert [cell.number for cell in document.cells] == [1, 2, 3, 4]
    assert [cell.source for cell in document.cells][2] == "a = 1\nb = 2"
    assert document.parameters_cell is document.cells[1]
    assert (document.kernel, document.language) == ("python3", "python")


def test_the_first_tagged_code_cell_holds_the_parameters(tmp_path: Path, notebook: Builder) -> None:
    content = notebook("x = 1", "y = 1")
    tagged = {"metadata": {"tags": ["other", "parameters"]}}
    content["cells"][0] |= {"cell_type": "markdown", **tagged}
    content["cells"][1] |= tagged
    path = tmp_path / "nb.ipynb"
    path.write_text(json.dumps(content))
    found = read_document(path).parameters_cell
    assert found is not None and found.source == "y = 1"


def test_sparse_metadata_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "nb.ipynb"
    cells = [
        {"cell_type": "code", "source": "a", "metadata": {"tags": "parameters"}},
        {"cell_type": "code", "source": [], "metadata": {"tags": [["x"], None, "b"]}},
        {"cell_type": "raw", "source": "a"},
    ]
    path.write_text(json.dumps({"nbformat": 4, "metadata": None, "cells": cells}))
    document = read_document(path)
    assert (document.kernel, document.language) == ("", "python")
    assert [sorted(cell.tags) for cell in document.cells] == [[], ["b"], []]


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_notebook_of_an_older_format_is_upgraded(tmp_path: Path, version: int) -> None:
    source = ["a = 1\n", "b"] if version == 3 else "a = 1\nb"
    cell = {"cell_type": "code", "language": "python", "input": source, "outputs": []}
    tagged = {"metadata": {"tags": ["parameters"]}, "collapsed": False}
    content: dict[str, Any] = {"nbformat": version, "nbformat_minor": 0, "metadata": {}}
    if version == 1:
        content["cells"] = [{"cell_type": "code", "code": "a = 1\nb"}]
    else:
        content["worksheets"] = [{"cells": [cell | (tagged if version == 3 else {})]}]
    path = tmp_path / "nb.ipynb"
    path.write_text(json.dumps(content))
    document = read_document(path)
    assert [(cell.kind, cell.source) for cell in document.cells] == [("code", "a = 1\nb")]
    assert (document.parameters_cell is not None) == (version == 3)
    assert read_notebook(path) == read_notebook(path)
    nbformat.validate(nbformat.from_dict(read_notebook(path)))


PARTS = st.recursive(
    st.none() | st.integers(0, 1) | st.sampled_from(["", "code", "pyout"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["cells", "cell_type", "input", "outputs", "output_type"]), inner
        )
    ),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(-1, 3), PARTS, PARTS)
def test_an_old_notebook_is_upgraded_or_refused_in_one_line(
    tmp_path: Path, version: int, cells: object, metadata: object
) -> None:
    content = {"nbformat": version, "cells": cells, "worksheets": cells, "metadata": metadata}
    path = tmp_path / "nb.ipynb"
    path.write_text(json.dumps(content))
    try:
        read_document(path)
    except NotebookError as error:
        assert len(str(error).splitlines()) == 1 and error.hint


def test_a_notebook_is_called_as_the_caller_asks(tmp_path: Path) -> None:
    with pytest.raises(NotebookError, match=r"^nbs/nb\.ipynb: no such file"):
        read_notebook(tmp_path / "nbs" / "nb.ipynb", "nbs/nb.ipynb")


BAD = {
    "empty": (b"", "not a notebook"),
    "text": (b"import numpy\n", "not a notebook"),
    "binary": (b"\x89PNG\xff\xfe", "not text"),
    "list": (b"[1, 2]", "not a notebook"),
    "other JSON": (b'{"a": 1}', "not a notebook"),
    "new version": (b'{"nbformat": 5, "cells": []}', "format 5 is not supported"),
    "no version": (b'{"nbformat": true, "cells": []}', "not a notebook"),
    "old version": (b'{"nbformat": 3, "worksheets": []}', "cannot be upgraded"),
    "unknown version": (b'{"nbformat": 0, "worksheets": []}', "cannot be upgraded"),
    "no cells": (b'{"nbformat": 4}', "no list of cells"),
    "cells": (b'{"nbformat": 4, "cells": {}}', "no list of cells"),
    "cell": (b'{"nbformat": 4, "cells": [1]}', "cell 1 is broken"),
    "source": (b'{"nbformat": 4, "cells": [{"cell_type": "code"}]}', "cell 1 is broken"),
    "lines": (b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": [1]}]}', "is broken"),
    "truncated": (b'{"nbformat": 4,\n "cells": [{"cell_ty', "truncated or broken JSON at line 2"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_notebook_is_said_in_one_line(tmp_path: Path, name: str) -> None:
    content, said = BAD[name]
    path = tmp_path / "nb.ipynb"
    path.write_bytes(content)
    with pytest.raises(NotebookError, match=said) as caught:
        read_document(path)
    assert len(str(caught.value).splitlines()) == 1 and caught.value.exit_code == 2
    assert caught.value.hint


def test_an_absent_file_and_a_directory_are_no_notebooks(tmp_path: Path) -> None:
    with pytest.raises(NotebookError, match="no such file"):
        read_document(tmp_path / "nb.ipynb")
    with pytest.raises(NotebookError, match="cannot be read"):
        read_document(tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 400))
def test_a_notebook_cut_off_anywhere_is_refused(
    tmp_path: Path, notebook: Builder, length: int
) -> None:
    whole = json.dumps(notebook("a = 1", parameters="b: int = 2"), indent=1).encode()
    path = tmp_path / "nb.ipynb"
    path.write_bytes(whole[:length])
    with pytest.raises(NotebookError):
        read_document(path)


@pytest.mark.parametrize("depth", [101, 600, 100_000])
@pytest.mark.parametrize("place", ["metadata", "cells"])
def test_metadata_that_is_nested_too_deeply_is_one_line(
    tmp_path: Path, notebook: Builder, depth: int, place: str
) -> None:
    content = notebook("x = 1")
    holder = content if place == "metadata" else content["cells"][0]
    holder["metadata"] = {"deep": "DEEP"}
    path = tmp_path / "nb.ipynb"
    path.write_text(json.dumps(content).replace('"DEEP"', "[" * depth + "]" * depth))
    with pytest.raises(NotebookError, match="nested too deeply") as caught:
        read_notebook(path)
    assert "\n" not in str(caught.value)
