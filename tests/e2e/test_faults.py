"""What cells do to an execution: it ends, it is bounded, and it tells the truth."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import psutil
import pytest

from mlops_nb import errors
from mlops_nb.notebook.execute import Request, execute
from mlops_nb.notebook.outcome import Outcome

pytestmark = pytest.mark.slow


def run(folder: Path, *sources: str, timeout: float | None = 120) -> Outcome:
    """Execute a notebook of the given cells in `folder`."""
    cells = [nbformat.v4.new_code_cell(text, id=f"c{i}") for i, text in enumerate(sources)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "nb.ipynb")
    return execute(
        Request(
            folder / "nb.ipynb",
            cwd=folder,
            report=folder / "report.ipynb",
            kept=folder / "kept",
            timeout=timeout,
        )
    )


def text_of(folder: Path, cell: int) -> str:
    """Return what a cell of the report shows as text."""
    outputs = nbformat.read(folder / "report.ipynb", as_version=4).cells[cell].outputs
    return "".join(o.get("text", "") or o.get("data", {}).get("text/plain", "") for o in outputs)


def nobody_works_in(folder: Path) -> bool:
    return not [p for p in psutil.process_iter(["cwd"]) if p.info["cwd"] == str(folder)]


MUCH = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_faults import run
outcome = run(Path(sys.argv[1]), "for i in range(20_000): print('x' * 99_999)", "'after'")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
print(outcome.cells[0].peak_memory_bytes // 2**20)
"""


def test_two_gigabytes_of_output_fill_neither_memory_nor_disk(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MUCH, str(tmp_path), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    ours, kernels = map(int, done.stdout.split())
    assert ours < 900 and kernels < 700  # measured: 450 and 260
    assert text_of(tmp_path, 0).endswith("cut after 64 MiB; the cell wrote 1,907 MiB\n")
    assert text_of(tmp_path, 1) == "'after'"
    on_disk = sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())
    assert on_disk < 150 * 2**20


def test_a_cell_that_forks_leaves_no_child_behind(tmp_path: Path) -> None:
    fork = "import os, time\nif os.fork() == 0:\n    time.sleep(600)\n    os._exit(0)"
    background = "import subprocess\np = subprocess.Popen(['sleep', '600'])"
    assert run(tmp_path, fork, background, "'on'").state == "ok"
    assert text_of(tmp_path, 2) == "'on'" and nobody_works_in(tmp_path)


def test_a_thread_that_goes_on_does_not_hold_up_the_end(tmp_path: Path) -> None:
    thread = (
        "import threading, time\nt = threading.Thread(target=time.sleep, args=(600,))\nt.start()"
    )
    outcome = run(tmp_path, thread, "'on'")
    assert outcome.state == "ok" and outcome.wall_seconds < 60 and nobody_works_in(tmp_path)


def test_a_cell_that_closes_its_streams_goes_on(tmp_path: Path) -> None:
    closing = "import os, sys\nprint('a', flush=True)\nos.close(1); os.close(2); sys.stdout.close()"
    outcome = run(tmp_path, closing, "'on'")
    assert outcome.state == "ok" and text_of(tmp_path, 1) == "'on'"


@pytest.mark.parametrize("code", [0, 7])
def test_a_cell_that_ends_its_process_is_killed_whatever_it_says(tmp_path: Path, code: int) -> None:
    with pytest.raises(errors.KernelKilled, match=f"exited with status {code}"):
        run(tmp_path, f"import os\nos._exit({code})")
    assert nobody_works_in(tmp_path)


def test_output_that_is_not_utf_8_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # ipykernel would leave the descriptors alone
    raw = "import os, time\nos.write(1, b'caf\\xe9 ok\\n')\ntime.sleep(1)  # a thread reads it"
    assert run(tmp_path, raw, "print('\\udce9')", "1").state == "ok"
    assert "ok" in text_of(tmp_path, 0)


HELD = """
import ctypes
ctypes.PyDLL(None).sleep(600)  # PyDLL keeps the interpreter lock
"""


def test_c_code_that_holds_the_interpreter_lock_is_stopped_in_time(tmp_path: Path) -> None:
    with pytest.raises(errors.ExecutionTimeout):
        run(tmp_path, "print('before')", HELD, timeout=8)
    assert nobody_works_in(tmp_path)


def test_a_read_only_directory_is_refused_before_anything_starts(tmp_path: Path) -> None:
    request = Request(
        tmp_path / "nb.ipynb",
        cwd=tmp_path,
        report=tmp_path / "report.ipynb",
        kept=Path("/proc/kept"),
    )
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / "nb.ipynb")
    with pytest.raises(errors.UnwritablePath):
        execute(request)
