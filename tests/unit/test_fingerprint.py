import json
from pathlib import Path

import pytest

from mlops_nb.notebook.document import Document, read_document
from mlops_nb.notebook.signature import Signature
from mlops_nb.notebook.stage import Stage
from mlops_nb.pipeline.fingerprint import (
    code_fingerprint,
    code_fingerprints,
    module_roots,
    not_covered,
)


def code(source: str, *tags: str, **fields: object) -> dict:
    cell = {"cell_type": "code", "source": source, "metadata": {"tags": list(tags)}}
    return cell | {"outputs": [], "execution_count": None, "id": "c"} | fields


def markdown(source: str) -> dict:
    return {"cell_type": "markdown", "source": source, "metadata": {}, "id": "m"}


@pytest.fixture
def document(tmp_path: Path):
    def document(*cells: dict, kernel: str = "python3", language: str = "python") -> Document:
        path = tmp_path / "30_train.ipynb"
        metadata = {"kernelspec": {"name": kernel, "language": language}}
        content = {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": list(cells)}
        path.write_text(json.dumps(content))
        return read_document(path)

    return document


@pytest.fixture
def fingerprint(tmp_path: Path, document):
    (tmp_path / "model.py").write_text("from shared import f  # why\n")
    (tmp_path / "shared.py").write_text("f = 1\n")
    (tmp_path / "other.py").write_text("g = 1\n")

    def fingerprint(*cells: dict, **kernel: str) -> str:
        return code_fingerprint(tmp_path, document(*cells, **kernel))

    return fingerprint


PARAMETERS = code("seed: int = 0", "parameters")
BODY = code("from model import f\nf")


def test_it_is_a_named_digest(fingerprint) -> None:
    assert fingerprint(PARAMETERS, BODY).startswith("sha256:")


@pytest.mark.parametrize(
    "cells",
    [
        (markdown("# Title"), PARAMETERS, markdown("Prose."), BODY),
        (PARAMETERS, code("from model import f  # the model\n\nf\n")),
        (PARAMETERS, code("from model import f\nf", "hide-input", "slow")),
        (
            PARAMETERS,
            code(
                "from model import f\nf",
                execution_count=7,
                id="other",
                outputs=[{"output_type": "stream", "name": "stdout", "text": "1"}],
                metadata={"collapsed": True, "jupyter": {"outputs_hidden": True}},
            ),
        ),
        (PARAMETERS, code("# nothing but a comment"), code(""), BODY),
        (PARAMETERS, BODY, code("1 / 0", "skip-execution")),
        (PARAMETERS, code(["from model import f\n", "f"]), {**markdown("x"), "cell_type": "raw"}),
    ],
)
def test_what_changes_no_result_does_not_count(fingerprint, cells) -> None:
    assert fingerprint(*cells) == fingerprint(PARAMETERS, BODY)


@pytest.mark.parametrize(
    "cells",
    [
        (PARAMETERS, code("from model import f\nf + 1")),
        (code("seed: int = 1", "parameters"), BODY),
        (code("seed: int = 0"), BODY),
        (PARAMETERS, code("from model import f\nf", "raises-exception")),
        (PARAMETERS, code("from model import f\nf", "skip-execution")),
        (PARAMETERS, code("from model import f"), code("f")),
        (BODY, PARAMETERS),
        (PARAMETERS, BODY, code("!ls")),
    ],
)
def test_what_may_change_a_result_counts(fingerprint, cells) -> None:
    assert fingerprint(*cells) != fingerprint(PARAMETERS, BODY)


def test_of_injected_parameters_the_place_counts_and_not_the_values(fingerprint) -> None:
    def injected(values: str) -> dict:
        return code(values, "injected-parameters")

    one = fingerprint(PARAMETERS, injected("seed = 1"), BODY)
    assert one == fingerprint(PARAMETERS, injected("seed = 2"), BODY)
    assert one != fingerprint(PARAMETERS, BODY, injected("seed = 1"))


def test_the_kernel_counts(fingerprint) -> None:
    assert fingerprint(PARAMETERS) != fingerprint(PARAMETERS, kernel="python3.13")


def test_a_module_counts_when_it_is_imported_and_its_effect_changed(fingerprint, tmp_path) -> None:
    before = fingerprint(PARAMETERS, BODY)
    (tmp_path / "other.py").write_text("g = 2\n")
    (tmp_path / "shared.py").write_text("# a comment\n\nf = 1\n")
    assert fingerprint(PARAMETERS, BODY) == before
    (tmp_path / "shared.py").write_text("f = 2\n")
    assert fingerprint(PARAMETERS, BODY) != before


@pytest.mark.parametrize(
    "line", ["%run other.py", "%load_ext other", "runpy.run_path('other.py')", "%run setup.ipynb"]
)
def test_code_that_runs_without_an_import_statement_counts(fingerprint, tmp_path, line) -> None:
    def setup(prose: str) -> None:
        cells = [markdown(prose), code("%run other.py")]
        content = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
        (tmp_path / "setup.ipynb").write_text(json.dumps(content))

    setup("# Before")
    before = fingerprint(PARAMETERS, code(line))
    setup("# After")
    (tmp_path / "other.py").write_text("# a comment\ng = 1\n")
    assert fingerprint(PARAMETERS, code(line)) == before
    (tmp_path / "other.py").write_text("g = 2\n")
    assert fingerprint(PARAMETERS, code(line)) != before


def test_a_skipped_cell_imports_nothing(fingerprint, tmp_path) -> None:
    cells = (PARAMETERS, code("import other", "skip-execution"))
    before = fingerprint(*cells)
    (tmp_path / "other.py").write_text("g = 2\n")
    assert fingerprint(*cells) == before


@pytest.mark.parametrize("name", ["python", "Python", "ipython", "IPython", "python3", "Python3"])
def test_imports_count_however_the_kernel_spells_python(fingerprint, tmp_path, name) -> None:
    before = fingerprint(PARAMETERS, BODY, language=name)
    assert before == fingerprint(PARAMETERS, BODY)
    (tmp_path / "shared.py").write_text("f = 2\n")
    assert fingerprint(PARAMETERS, BODY, language=name) != before


def test_other_languages_count_to_the_letter(fingerprint) -> None:
    r = {"kernel": "ir", "language": "R"}
    assert fingerprint(code("x <- 1"), **r) != fingerprint(code("x <- 1 # one"), **r)
    assert fingerprint(code("x <- 1"), **r) == fingerprint(code("x <- 1"), markdown("#"), **r)


def test_it_is_the_same_in_every_python(fingerprint) -> None:
    cells = (PARAMETERS, code('x = f"{seed!r:>{10}} # {1 + 1}"  # a\ny = """\n#\n"""\n'))
    assert fingerprint(*cells) == (
        "sha256:2f4ddda7c1d3c96ea30354a341ebaacc88e70928ae381e0bdea593d95c57e242"
    )


def test_stages_and_their_roots(tmp_path: Path, document) -> None:
    (tmp_path / "src/lib").mkdir(parents=True)
    (tmp_path / "src/lib/__init__.py").write_text("")
    (tmp_path / "model.py").write_text("import lib\n")
    notebook = document(PARAMETERS, code("import model, json"))
    stage = Stage("train", "nbs/pipeline/30_train.ipynb", notebook, Signature("", (), ()))
    assert module_roots(tmp_path, [stage]) == ("model.py", "src/lib")
    assert code_fingerprints(tmp_path, [stage]) == {"train": code_fingerprint(tmp_path, notebook)}


def test_a_script_is_a_root_of_its_own_since_its_folder_may_hold_outputs(
    tmp_path: Path, document
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/fetch.py").write_text("")
    notebook = document(PARAMETERS, code("%run data/fetch.py"))
    stage = Stage("train", "nbs/pipeline/30_train.ipynb", notebook, Signature("", (), ()))
    assert module_roots(tmp_path, [stage]) == ("data/fetch.py",)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%run $script", "what `%run` runs is worked out when it runs"),
        ("%run missing.py", "`missing.py` is no file of the project"),
        ("!python other.py", "what a shell command runs is not seen"),
        ("files = !ls", "what a shell command runs is not seen"),
        ("import_module(name)", "what `import_module` loads is worked out when it runs"),
        ("from runpy import run_path as go; go(path)", "what `run_path` loads is worked out"),
        ("exec(open('other.py').read())", "what `exec` runs is worked out when it runs"),
        ("import sys; sys.path.insert(0, 'lib')", "a folder that is put on `sys.path`"),
    ],
)
def test_code_that_cannot_be_followed_is_named_with_cell_and_line(
    tmp_path: Path, document, line: str, said: str
) -> None:
    notebook = document(PARAMETERS, markdown("# Title"), code(f"x = 1\n{line}"))
    stage = Stage("train", "nbs/pipeline/30_train.ipynb", notebook, Signature("", (), ()))
    (note,) = not_covered(tmp_path, [stage])
    assert note.startswith("nbs/pipeline/30_train.ipynb, cell 3, line 2: ") and said in note


def test_a_shell_cell_and_a_module_are_named_too(tmp_path: Path, document) -> None:
    (tmp_path / "model.py").write_text("import importlib\n\nimportlib.import_module(NAME)\n")
    notebook = document(PARAMETERS, code("import model"), code("%%bash\npython model.py"))
    stage = Stage("train", "nbs/pipeline/30_train.ipynb", notebook, Signature("", (), ()))
    shell, module = not_covered(tmp_path, [stage])
    assert shell.startswith("nbs/pipeline/30_train.ipynb, cell 3, line 1: ")
    assert module.startswith("model.py, line 3: what `import_module` loads")


def test_what_is_followed_or_loads_nothing_is_not_named(tmp_path: Path, document) -> None:
    (tmp_path / "other.py").write_text("")
    lines = "%run other.py\n%matplotlib inline\n%load_ext mlops_nb\n%load_ext autoreload\neval('1')"
    notebook = document(PARAMETERS, code(lines), code("%%html\n<b>x</b>"))
    stage = Stage("train", "nbs/pipeline/30_train.ipynb", notebook, Signature("", (), ()))
    assert not_covered(tmp_path, [stage]) == ()
