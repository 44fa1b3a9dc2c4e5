"""Cleaning takes what a session left, and nothing that the author wrote."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from mlops_nb.errors import NotebookError, UnwritablePath
from mlops_nb.notebook.clean import clean_notebooks, cleaned
from mlops_nb.notebook.document import read_document

Builder = Callable[..., dict[str, Any]]


@pytest.fixture
def used(notebook: Builder) -> dict[str, Any]:
    """Return a notebook as JupyterLab, Colab and papermill leave one behind."""
    content = copy.deepcopy(notebook("print(1)", parameters="seed: int = 0"))
    content["metadata"] |= {"language_info": {"version": "3.11.2"}, "widgets": {}, "papermill": {}}
    content["metadata"]["kernelspec"]["env"] = {}
    for number, cell in enumerate(content["cells"], 7):
        cell["execution_count"] = number
        cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["1\n"]}]
        cell["metadata"] |= {"collapsed": True, "jupyter": {"source_hidden": True}, "trusted": True}
        cell["metadata"] |= {"execution": {"iopub.status.busy": "now"}, "name": "a-name"}
    content["cells"].append(
        {
            "cell_type": "markdown",
            "id": "m",
            "metadata": {"slideshow": {"slide_type": "slide"}, "scrolled": True},
            "source": "![x](attachment:x.png)",
            "attachments": {"x.png": {"image/png": "aGk="}},
        }
    )
    return content


def test_outputs_counts_and_volatile_metadata_go_and_the_rest_stays(used: dict[str, Any]) -> None:
    clean = cleaned(used)
    parameters, code, text = clean["cells"]
    assert parameters["metadata"] == {"tags": ["parameters"], "name": "a-name"}
    assert code["outputs"] == [] and code["execution_count"] is None and code["id"] == "cell-1"
    assert text["attachments"] == used["cells"][2]["attachments"] and "outputs" not in text
    assert text["metadata"] == {"slideshow": {"slide_type": "slide"}}
    assert set(clean["metadata"]) == {"kernelspec"} and "env" not in clean["metadata"]["kernelspec"]
    assert cleaned(clean) == clean
    sources = ["".join(cell["source"]) for cell in clean["cells"]]
    assert sources == ["seed: int = 0", "print(1)", "![x](attachment:x.png)"]


def test_what_an_author_or_a_tool_meant_stays(used: dict[str, Any]) -> None:
    meant = {
        "title": "Late flights",
        "authors": [{"name": "A. Author"}],
        "jupytext": {"formats": "ipynb,py:percent"},
    }
    used["metadata"] |= meant
    used["cells"][1]["metadata"] |= {"nbgrader": {"grade": True}}
    clean = cleaned(used)
    assert {name: clean["metadata"][name] for name in meant} == meant
    assert clean["cells"][1]["metadata"]["nbgrader"] == {"grade": True}


def test_a_notebook_in_another_language_stays_in_it(tmp_path: Path, used: dict[str, Any]) -> None:
    used["metadata"]["kernelspec"] = {"name": "ir", "display_name": "R"}
    used["metadata"]["language_info"] = {"name": "R", "version": "4.4.1", "mimetype": "text/x-r"}
    path = tmp_path / "nb.ipynb"
    path.write_text(json.dumps(used))
    clean_notebooks([path])
    assert read_document(path).language == "R"
    kept = json.loads(path.read_text())["metadata"]["language_info"]
    assert kept == {"name": "R", "mimetype": "text/x-r"}


def test_a_notebook_of_an_older_format_is_cleaned_into_a_valid_one(tmp_path: Path) -> None:
    output = {"output_type": "stream", "stream": "stdout", "text": ["1"]}
    cell = {"cell_type": "code", "language": "python", "input": ["print(1)"], "outputs": [output]}
    path = tmp_path / "nb.ipynb"
    old = {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": [cell]}]}
    path.write_text(json.dumps(old))
    assert clean_notebooks([path]) == (path,) and clean_notebooks([path]) == ()
    node = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(node)
    assert [cell.source for cell in node.cells] == ["print(1)"]


def test_a_clean_notebook_is_valid_and_clean(tmp_path: Path, used: dict[str, Any]) -> None:
    path = tmp_path / "nb.ipynb"
    path.write_text(json.dumps(used))
    assert clean_notebooks([path], write=False) == (path,) == clean_notebooks([path])
    nbformat.validate(nbformat.read(path, as_version=4))
    once = path.read_bytes()
    assert clean_notebooks([path]) == () and path.read_bytes() == once


def test_it_is_written_as_jupyterlab_writes_it(tmp_path: Path, used: dict[str, Any]) -> None:
    path, twin = tmp_path / "nb.ipynb", tmp_path / "twin.ipynb"
    used["cells"][1]["source"] = ["print('żółć 🙂')"]
    path.write_text(json.dumps(used))
    clean_notebooks([path])
    nbformat.write(nbformat.read(path, as_version=4), twin)
    assert path.read_bytes() == twin.read_bytes()


def test_nothing_is_written_when_one_of_them_is_no_notebook(
    tmp_path: Path, used: dict[str, Any]
) -> None:
    good, bad = tmp_path / "good.ipynb", tmp_path / "bad.ipynb"
    good.write_text(json.dumps(used))
    bad.write_text("{")
    with pytest.raises(NotebookError):
        clean_notebooks([good, bad])
    assert json.loads(good.read_text()) == used


def test_a_notebook_that_cannot_be_written_is_as_it_was(
    tmp_path: Path, used: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "nb.ipynb"
    path.write_text(json.dumps(used))

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(UnwritablePath, match="Permission denied"):
        clean_notebooks([path])
    assert json.loads(path.read_text()) == used


@pytest.mark.parametrize("metadata", [None, {}, {"kernelspec": None}, {"kernelspec": "python"}])
def test_a_notebook_without_a_kernel_is_cleaned_too(metadata: object) -> None:
    assert cleaned({"cells": [], "metadata": metadata, "nbformat": 4})["metadata"] == {}
