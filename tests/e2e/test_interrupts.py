"""Ctrl-C in a real terminal: the first interrupts the cell, the second ends everything at once."""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.e2e.conftest import Shop, environment
from tests.kills import until, workers
from tests.terminal import CTRL_C, Terminal
from tests.warm import Warm, warm_server

pytestmark = pytest.mark.slow

PATIENT = "import time\nopen('begun', 'w').close()\ntime.sleep(600)"
STUBBORN = (
    "import signal, subprocess, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    "subprocess.Popen(['sleep', '600'])\nopen('begun', 'w').close()\ntime.sleep(600)"
)


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    with warm_server() as server:
        yield server


@pytest.fixture(params=["cold", "warm"])
def environ(request: pytest.FixtureRequest, warm: Warm) -> dict[str, str]:
    """Return the environment for a cold, and for a warm start."""
    return {**environment(), **warm.environ, "MLOPS_NB_WARM": str(int(request.param == "warm"))}


def execution(
    folder: Path, cell: str, environ: dict[str, str], tool: tuple[str, ...] = ("-m", "mlops_nb")
) -> Terminal:
    """Execute a notebook in a terminal by `tool`, as far as into its second cell."""
    sources = ("print('before')", cell, "never = 1")
    cells = [nbformat.v4.new_code_cell(text, id=f"c{i}") for i, text in enumerate(sources)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "nb.ipynb")
    command = [sys.executable, *tool, "execute", "nb.ipynb", "-o", "out.ipynb"]
    terminal = Terminal(command, folder, environ | {"XDG_STATE_HOME": str(folder)})
    until(lambda: (folder / "begun").exists(), "the cell to run")
    return terminal


def outcome_in(folder: Path) -> dict[str, Any]:
    (path,) = folder.glob("**/executions/*/outcome.json")
    value: dict[str, Any] = json.loads(path.read_text())
    return value


def test_the_first_interrupts_the_cell_which_shows_where_it_was(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    terminal = execution(tmp_path, PATIENT, environ)
    terminal.press(CTRL_C)
    assert terminal.end() == 130
    assert b"cell 2: interrupted" in terminal.shown and b"Traceback" not in terminal.shown
    outcome = outcome_in(tmp_path)
    assert [cell["state"] for cell in outcome["cells"]] == ["ok", "cancelled", "pending"]
    assert outcome["error"]["line"] == 3 and outcome["error"]["source"] == "time.sleep(600)"
    error = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells[1].outputs[0]
    assert error["ename"] == "KeyboardInterrupt"
    text = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error["traceback"]))
    assert "----> 3 time.sleep(600)" in text
    assert workers(tmp_path) == []


PATIENT_TOOL = """
from mlops_nb.notebook import kernel
kernel.INTERRUPT_SECONDS = 3600
from mlops_nb.__main__ import main
main()
"""


def test_the_second_ends_a_cell_that_does_not_listen(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    cold = environ | {"MLOPS_NB_WARM": "0"}
    terminal = execution(tmp_path, STUBBORN, cold, ("-c", PATIENT_TOOL))
    terminal.press(CTRL_C)
    time.sleep(0.3)  # two signals at once are one
    terminal.press(CTRL_C)
    assert terminal.end() == 130
    assert b"cell 2: interrupted" in terminal.shown and b"Traceback" not in terminal.shown
    assert outcome_in(tmp_path)["state"] == "cancelled"
    assert workers(tmp_path) == []


def test_a_cell_that_does_not_listen_is_ended_also_without_a_second(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    terminal = execution(tmp_path, STUBBORN, environ)
    terminal.press(CTRL_C)
    assert terminal.end() == 130
    assert outcome_in(tmp_path)["state"] == "cancelled" and workers(tmp_path) == []


HOOK = "import atexit, time\natexit.register(lambda: (open('begun', 'w').close(), time.sleep(600)))"


def test_also_an_exit_hook_that_takes_for_ever_is_ended(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    terminal = execution(tmp_path, HOOK, environ)
    terminal.press(CTRL_C)
    assert terminal.end() == 130 and b"Traceback" not in terminal.shown
    assert outcome_in(tmp_path)["state"] == "cancelled" and workers(tmp_path) == []


@pytest.mark.parametrize("presses", [1, 2])
def test_dvc_repro_is_interrupted_with_its_stage(
    shop: Shop, environ: dict[str, str], presses: int
) -> None:
    shop.replace("nbs/pipeline/20_train.ipynb", "import json", PATIENT.replace("\n", ";"))
    terminal = Terminal(["dvc", "repro"], shop.root, environ)
    until(lambda: shop.path("begun").exists(), "the stage to run")
    for _ in range(presses):
        terminal.press(CTRL_C)
        time.sleep(0.3)
    assert terminal.end() != 0
    if presses == 1:  # after a second one, DVC may let go of the terminal first
        assert b"cell 4: interrupted" in terminal.shown, terminal.shown
    newest = sorted(shop.path(".mlops_nb/executions").iterdir())[-1]
    until(lambda: not workers(shop.root), "everything to end")
    assert json.loads((newest / "outcome.json").read_text())["state"] == "cancelled"
    (shop.path("begun")).unlink()
    shop.replace("nbs/pipeline/20_train.ipynb", PATIENT.replace("\n", ";"), "import json")
    assert shop.repro("train") <= {"plan", "train"}


def test_a_closed_terminal_is_an_interrupt(tmp_path: Path, environ: dict[str, str]) -> None:
    terminal = execution(tmp_path, PATIENT, environ)
    terminal.close()
    until(lambda: not workers(tmp_path), "everything to end")
    assert outcome_in(tmp_path)["state"] == "cancelled"
    error = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells[1].outputs[0]
    assert error["ename"] == "KeyboardInterrupt"


def test_under_nohup_a_closed_terminal_is_none(tmp_path: Path, environ: dict[str, str]) -> None:
    cell = PATIENT.replace("600", "2")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        terminal = execution(tmp_path, cell, environ)
    finally:
        signal.signal(signal.SIGHUP, before)
    terminal.close()
    until(lambda: not workers(tmp_path), "everything to end")
    assert [cell["state"] for cell in outcome_in(tmp_path)["cells"]] == ["ok", "ok", "ok"]
