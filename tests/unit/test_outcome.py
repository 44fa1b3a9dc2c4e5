import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.core.states import State
from mlops_nb.notebook.outcome import CellOutcome, Failure, Outcome, error_of

states = st.sampled_from(["pending", "ok", "error", "killed:oom", "killed:signal", "timeout"])
seconds = st.floats(0, 1e6)
cells = st.builds(CellOutcome, st.none() | st.integers(1), st.text(), states, seconds, seconds)
failures = st.builds(Failure, st.text(), st.text(), st.none() | st.integers(1))
outcomes = st.builds(
    Outcome,
    st.text(),
    states,
    st.lists(cells).map(tuple),
    st.text(),
    st.text(),
    error=st.none() | failures,
)


@given(outcomes)
def test_an_outcome_survives_json(outcome: Outcome) -> None:
    assert Outcome.from_json(json.loads(json.dumps(outcome.to_json()))) == outcome


@pytest.mark.parametrize("state", ["killed:signal", "killed:oom", "timeout", "cancelled"])
def test_what_happens_between_two_cells_is_said_to_be_after_the_first(state: State) -> None:
    cells = CellOutcome(4, "a", "ok"), CellOutcome(5, "b", "pending")
    failure = Failure(state, "gone")
    between = Outcome("nb", state, cells, "", "", error=failure)
    assert str(error_of(between)).startswith("nb, after cell 4: ")
    first = Outcome("nb", state, cells[1:], "", "", error=failure)
    assert str(error_of(first)).startswith("nb, before the first cell: ")


def test_importing_outcome_and_report_imports_no_engine() -> None:
    code = "import sys, mlops_nb.notebook.outcome, mlops_nb.notebook.report; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "mlops_nb.notebook.report" in loaded
    assert not {"papermill", "nbformat", "nbclient", "psutil", "zmq"} & loaded
