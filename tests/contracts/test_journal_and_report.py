"""What is rebuilt from a journal is what the execution itself wrote, byte for byte."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import psutil
import pytest

from mlops_nb.errors import ExecutionError
from mlops_nb.notebook.execute import Request, execute
from mlops_nb.notebook.journal import JOURNAL, read_entries
from mlops_nb.notebook.limits import Limits
from mlops_nb.notebook.replay import KILLED, Replay
from mlops_nb.notebook.report import render

pytestmark = pytest.mark.slow

CELLS = {
    "text and result": ("import sys\nprint('out'); print('err', file=sys.stderr)\n{'b', 'a'}",),
    "progress by carriage return": (
        "import time\nfor i in range(30):\n    print(f'\\r{i}', end='', flush=True); time.sleep(.01)",  # noqa: E501
    ),
    "a display of an earlier cell is updated": (
        "h = display('one', display_id=True); display('two', display_id='b')",
        "h.update('three'); h.display('four')",
    ),
    "cleared": (
        "from IPython.display import clear_output\nfor i in range(3):\n"
        "    clear_output(wait=True); display(i)",
        "print('gone'); clear_output(); print('there')",
    ),
    "widgets": (
        "import ipywidgets as w\nout = w.Output()\nwith out:\n    print('caught'); display('too')\n"
        "out",
        "s = w.IntSlider(3); display(s); s.value = 5; out.clear_output()\nwith out: print('again')",
    ),
    "a figure": ("import matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.show(); plt.figure(2)",),
    "an error": ("def f():\n    return 1 / 0", "print('before')\nf()", "never = 1"),
    "an exit": ("print('before', flush=True)\nimport os, time\ntime.sleep(.3)\nos._exit(7)", "1"),
    "too late": ("print('before', flush=True)\nimport time\ntime.sleep(60)", "1"),
    "secrets": (
        "import sys, time\nfor c in 'my hunter2 and hunt':\n    print(c, end='', flush=True)",
        "'hunter2'",
    ),
    "not UTF-8": ("import os, sys\nos.write(1, b'\\xff\\xfe\\n'); print('\\ud800'); 'a\\ud800'",),
    "stdout closed": ("import sys\nprint('a')\nsys.stdout.close()", "2"),
}


def request(folder: Path, sources: tuple[str, ...], **options: object) -> Request:
    """Return what asks for a notebook of the given cells."""
    cells = [nbformat.v4.new_code_cell(text, id=f"c{i}") for i, text in enumerate(sources)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "nb.ipynb")
    places = {"cwd": folder, "report": folder / "report.ipynb", "kept": folder / "kept"}
    return Request(folder / "nb.ipynb", **places, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", CELLS)
def test_a_replay_is_the_report_and_the_outcome(name: str, tmp_path: Path) -> None:
    limits = Limits(5.0 if name == "too late" else None)
    asked = request(tmp_path, CELLS[name], limits=limits, redact=("hunter2",))
    with contextlib.suppress(ExecutionError):
        execute(asked)
    outcome = json.loads((asked.kept / "outcome.json").read_text())
    replay = Replay(asked.kept / JOURNAL)

    assert render(replay.notebook()) == Path(outcome["report"]).read_text()
    assert json.loads(json.dumps(replay.outcome().to_json())) == outcome
    nbformat.validate(nbformat.reads(render(replay.notebook()), as_version=4))


RUN = """
import sys
from pathlib import Path
from mlops_nb.notebook.execute import Request, execute
folder = Path(sys.argv[1])
execute(Request(folder / "nb.ipynb", cwd=folder, report=folder / "r.ipynb", kept=folder / "kept"))
"""
SLOW = ("print('first')", "import time\nfor i in range(600):\n    print(i, flush=True)\n"
        "    time.sleep(.02)", "'never'")  # fmt: skip


@contextlib.contextmanager
def runner(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the notebook of `folder` in a process of its own."""
    process = subprocess.Popen([sys.executable, "-c", RUN, str(folder)], stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_for(path: Path, kind: str, cell: int) -> None:
    """Wait until the journal at `path` has a message of `cell`."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if any((e.get("type"), e.get("cell")) == (kind, cell) for e in read_entries(path)):
                return
        time.sleep(0.02)
    raise AssertionError(f"no {kind} of cell {cell}")


def left_in(folder: Path) -> list[psutil.Process]:
    """Return the processes that work in `folder`."""
    return [p for p in psutil.process_iter(["cwd"]) if p.info["cwd"] == str(folder)]


def test_an_execution_can_be_read_while_it_runs_and_after_its_process_was_killed(
    tmp_path: Path,
) -> None:
    request(tmp_path, SLOW)
    journal = tmp_path / "kept" / JOURNAL
    with runner(tmp_path) as process:
        wait_for(journal, "stream", 1)
        running = Replay(journal)
        assert running.ending.state == "running"
        assert [cell.state for cell in running.outcome().cells] == ["ok", "running", "pending"]
        process.send_signal(signal.SIGKILL)
        process.wait()
    killed = Replay(journal)
    outcome = killed.outcome()
    assert [cell.state for cell in outcome.cells] == ["ok", "killed:signal", "pending"]
    assert outcome.error and (outcome.error.cell, outcome.error.message) == (2, KILLED)
    first, second, third = killed.notebook()["cells"]
    assert first["outputs"][0]["text"] == "first\n"
    assert second["outputs"][0]["text"].startswith("0\n")
    assert KILLED in second["outputs"][-1]["evalue"] and KILLED in third["outputs"][0]["text"]
    deadline = time.monotonic() + 5
    while left_in(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left_in(tmp_path) == []


def test_a_full_disk_stops_the_execution_in_one_line(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    small = tmp_path / "small"
    small.mkdir()
    options = ["-t", "tmpfs", "-o", "size=512k", "none"]
    subprocess.run(["mount", *options, str(small)], check=True)
    try:
        print_much = "for i in range(100): print('x' * 100_000, flush=True)"
        asked = request(tmp_path, ("print('first')", print_much, "1"))
        asked = Request(**{**vars(asked), "kept": small / "kept"})
        with pytest.raises(ExecutionError) as caught:
            execute(asked)
        replay = Replay(small / "kept" / JOURNAL)
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert "No space left on device" in str(caught.value) and "\n" not in str(caught.value)
    assert replay.ending.state == "killed:signal"
    assert replay.outcome().cells[0].state == "ok"
    assert left_in(tmp_path) == []
