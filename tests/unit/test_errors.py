"""Every error is one line with a next step, knows its exit code and survives a process boundary."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_nb import errors
from mlops_nb.errors import MlopsNbError, UsageError, did_you_mean

NASTY = "a\nb\r\x0b\x85\u2028c\t"
EXAMPLES: list[MlopsNbError] = [
    UsageError(NASTY, hint=NASTY),
    errors.ProjectError(Path("p"), NASTY, hint="go"),
    errors.NotebookError("n.ipynb", NASTY, hint="go"),
    errors.SignatureError("n.ipynb", 3, NASTY, hint="go"),
    errors.ConfigError(NASTY, hint="go"),
    errors.PipelineError(NASTY, hint="go"),
    errors.RecordError(NASTY, hint="go"),
    errors.ParameterError(NASTY, hint="go"),
    errors.UnknownParameter(NASTY, ["seed"], "n.ipynb"),
    errors.InvalidParameter("x", NASTY, "int", "n.ipynb"),
    errors.MissingParameter("x", "n.ipynb"),
    errors.PortError("x", NASTY, "is outside", where="n.ipynb", hint="go"),
    errors.KernelNotInstalled("ir", [], NASTY),
    errors.UnwritablePath(Path("p"), NASTY),
    errors.MissingExtra("ray", "ray"),
    errors.CheckFailed([NASTY], hint="go"),
    errors.ModelError(NASTY, hint="go"),
    errors.ExecutionError(NASTY, report=Path("r")),
    errors.CellFailed("n", 1, 2, NASTY, "ValueError", NASTY, report=Path("r")),
    errors.OutputMissing("n", ["a"], report=None),
    errors.UndeclaredFiles("n", ["a"], report=None),
    errors.ExecutionStopped("n", None, "a cause", report=Path("r"), after=3),
    errors.KernelKilled("n", None, "signal 9", report=Path("r")),
    errors.JournalLost("n", 3, errors.UnwritablePath("kept/journal.jsonl", "full"), Path("kept")),
    errors.ExecutionTimeout("n", 1, "not finished after 0.5 s", report=Path("r")),
    errors.ExecutionCancelled("n", 1, report=None),
    errors.StagesFailed({"a": NASTY}, ["b"], exit_code=3, reproduction={"stages": []}),
    errors.StagesFailed({}, [], exit_code=130, reproduction={"stages": []}),
    errors.PipelineKilled(NASTY, ["a"]),
]


def test_every_class_of_the_tree_has_an_example() -> None:
    classes = {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, MlopsNbError) and value is not MlopsNbError
    }
    assert {type(error) for error in EXAMPLES} == classes


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_is_one_line_with_an_exit_code(error: MlopsNbError) -> None:
    assert len(str(error).splitlines()) == 1
    assert (
        error.exit_code == 2
        if isinstance(error, UsageError)
        else error.exit_code in (1, 3, 124, 130)
    )
    assert error.hint or getattr(error, "report", 1) is None
    assert 400 <= error.status < 600


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_crosses_a_process_boundary_with_its_attributes(error: MlopsNbError) -> None:
    for twin in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert type(twin) is type(error) and str(twin) == str(error)
        assert vars(twin) == vars(error) and twin.args == error.args


def test_a_close_name_is_suggested_and_a_strange_one_gets_the_list() -> None:
    assert did_you_mean("sead", ["seed", "rows"]) == "did you mean `seed`?"
    assert did_you_mean("zzz", ["seed", "rows"]) == "known: rows, seed"
    assert did_you_mean("zzz", []) == "none is declared"


@given(st.text(), st.lists(st.text(max_size=5), max_size=3))
def test_any_name_gets_a_hint(name: str, known: list[str]) -> None:
    assert did_you_mean(name, known)
