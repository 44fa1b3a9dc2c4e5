"""What cells do to an execution: it ends, it is bounded, and it tells the truth."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest

from mlops_nb import errors
from mlops_nb.notebook.execute import Request, execute
from mlops_nb.notebook.journal import JOURNAL, is_written
from mlops_nb.notebook.limits import Limits, parse_size
from mlops_nb.notebook.outcome import Outcome
from mlops_nb.notebook.replay import Replay
from tests.kills import until

pytestmark = pytest.mark.slow


LIMITS = Limits(seconds=120)


def run(folder: Path, *sources: str, limits: Limits = LIMITS) -> Outcome:
    """Execute a notebook of the given cells in `folder`."""
    cells = [nbformat.v4.new_code_cell(text, id=f"c{i}") for i, text in enumerate(sources)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "nb.ipynb")
    return execute(
        Request(
            folder / "nb.ipynb",
            cwd=folder,
            report=folder / "report.ipynb",
            kept=folder / "kept",
            limits=limits,
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
    assert text_of(tmp_path, 0).endswith("cut after 64 MiB; the cell wrote 1.863 GiB\n")
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


DAEMONS = """
import os, subprocess, sys, time
subprocess.Popen(["sleep", "600"], start_new_session=True)
os.system("(setsid sleep 600 &)")  # an orphan in a session of its own
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print("from the daemon", flush=True)
        time.sleep(600)
    os._exit(0)
os.wait()
time.sleep({seconds})
"""


def test_daemons_that_hold_the_streams_open_hold_up_nothing(tmp_path: Path) -> None:
    outcome = run(tmp_path, DAEMONS.format(seconds=0), "'on'")
    assert outcome.state == "ok" and text_of(tmp_path, 1) == "'on'"
    until(lambda: nobody_works_in(tmp_path), "the daemons to end")


def test_daemons_of_a_kernel_that_is_killed_are_ended_with_it(tmp_path: Path) -> None:
    with pytest.raises(errors.KernelKilled, match="killed by SIGKILL"):
        run(tmp_path, DAEMONS.format(seconds=0), "import os\nos.kill(os.getpid(), 9)")
    until(lambda: nobody_works_in(tmp_path), "the daemons to end")


def test_daemons_of_a_killed_runner_are_ended_with_it(tmp_path: Path) -> None:
    cells = (DAEMONS.format(seconds=1), "open('begun', 'w').close()\ntime.sleep(600)")
    script = "import sys\nfrom pathlib import Path\nsys.path.insert(0, sys.argv[2])\n"
    script += f"from test_faults import run\nrun(Path(sys.argv[1]), *{cells!r})"
    command = [sys.executable, "-c", script, str(tmp_path), str(Path(__file__).parent)]
    with subprocess.Popen(command) as process:
        until(lambda: (tmp_path / "begun").exists(), "the second cell")
        process.kill()
    until(lambda: nobody_works_in(tmp_path), "the daemons to end")


def test_bytes_for_standard_output_come_out_whatever_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # ipykernel would leave the descriptors alone
    raw = "import subprocess, time\nsubprocess.run(['printf', r'\\377\\376 ok\\n'])\ntime.sleep(1)"
    assert run(tmp_path, raw, "1").state == "ok"
    assert " ok" in text_of(tmp_path, 0) and text_of(tmp_path, 1) == "1"


@pytest.mark.parametrize(
    "cell",
    [
        "import faulthandler\nfaulthandler._stack_overflow()",
        "import sys\nsys.setrecursionlimit(10**9)\n"
        "class Deep:\n    def __getattr__(self, name):\n        return repr(self)\n"
        "    def __repr__(self):\n        return str(self.x)\nrepr(Deep())",
    ],
    ids=["stack", "recursion"],
)
def test_recursion_without_end_is_a_killed_kernel(tmp_path: Path, cell: str) -> None:
    with pytest.raises(errors.KernelKilled, match="killed by SIGSEGV") as caught:
        run(tmp_path, "1", cell, "2")
    outcome = caught.value.outcome
    assert outcome and outcome["error"]["signal"] == "SIGSEGV"
    assert [cell["state"] for cell in outcome["cells"]] == ["ok", "killed:signal", "pending"]
    assert nobody_works_in(tmp_path)


HELD = """
import ctypes
ctypes.PyDLL(None).sleep(600)  # PyDLL keeps the interpreter lock
"""


def test_c_code_that_holds_the_interpreter_lock_is_stopped_in_time(tmp_path: Path) -> None:
    with pytest.raises(errors.ExecutionTimeout) as stopped:
        run(tmp_path, "print('before')", HELD, limits=Limits(seconds=120, cell_seconds=3))
    assert stopped.value.outcome
    assert [cell["state"] for cell in stopped.value.outcome["cells"]] == ["ok", "timeout"]
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


# Memory

FAST = "block = b'x' * {megabytes}_000_000\nimport time\ntime.sleep(1)"
SLOW = """
import time
print("begun", flush=True)
blocks = []
for _ in range({megabytes} // 20):
    blocks.append(b"x" * 20_000_000)
    time.sleep(0.02)
"""
IN_A_CHILD = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', '''{cell}'''])"
SHARED = """
import os, time
block = b"x" * {megabytes}_000_000
children = [os.fork() for _ in range(1)]
for child in children:
    if child == 0:
        time.sleep(1)
        os._exit(0)
    os.waitpid(child, 0)
"""


@pytest.mark.parametrize(
    "cell",
    [
        FAST.format(megabytes=900),
        SLOW.format(megabytes=900),
        IN_A_CHILD.format(cell=SLOW.format(megabytes=900)),
    ],
    ids=["fast", "slow", "in a child"],
)
def test_a_kernel_that_takes_too_much_memory_is_ended_and_says_so(
    tmp_path: Path, cell: str
) -> None:
    limits = Limits(seconds=120, memory_bytes=parse_size("500M"))
    with pytest.raises(
        errors.KernelKilled, match=r"used [\d.]+ MiB, the limit is 500 MiB"
    ) as caught:
        run(tmp_path, "1", cell, "2", limits=limits)
    outcome = caught.value.outcome
    assert outcome and outcome["state"] == "killed:oom"
    assert [cell["state"] for cell in outcome["cells"]] == ["ok", "killed:oom", "pending"]
    assert outcome["error"]["signal"] == "SIGKILL"
    assert outcome["error"]["output"] == ("begun" if "begun" in cell and "'''" not in cell else "")
    assert outcome["cells"][1]["peak_memory_bytes"] > 400 * 2**20
    assert nobody_works_in(tmp_path)


@pytest.mark.parametrize("cell", [FAST, SLOW, SHARED], ids=["fast", "slow", "shared"])
def test_a_kernel_within_its_memory_is_left_alone(tmp_path: Path, cell: str) -> None:
    limits = Limits(seconds=120, memory_bytes=parse_size("500M"))
    assert run(tmp_path, cell.format(megabytes=320), limits=limits).state == "ok"


def test_a_cell_that_takes_too_long_is_named_and_the_next_is_not_run(tmp_path: Path) -> None:
    sleep = "import time\nprint('begun', flush=True)\ntime.sleep({})"
    with pytest.raises(errors.ExecutionTimeout, match="cell 2: not finished after 2 s") as caught:
        cells = [sleep.format(seconds) for seconds in (0, 60, 0)]
        run(tmp_path, *cells, limits=Limits(seconds=60, cell_seconds=2))
    outcome = caught.value.outcome
    assert outcome and outcome["error"]["output"] == "begun"
    assert [cell["state"] for cell in outcome["cells"]] == ["ok", "timeout", "pending"]


def test_a_memory_limit_ends_one_execution_and_leaves_the_one_beside_it(tmp_path: Path) -> None:
    cells = {"greedy": FAST.format(megabytes=900), "modest": "import time\ntime.sleep(4)"}
    running = {}
    for name, cell in cells.items():
        folder = tmp_path / name
        folder.mkdir()
        node = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell, id="c0")])
        nbformat.write(node, folder / "nb.ipynb")
        command = [sys.executable, "-m", "mlops_nb", "execute", "nb.ipynb", "--memory", "500M"]
        own = {"PYTHONPATH": str(Path(__file__).parents[2]), "XDG_STATE_HOME": str(folder)}
        pipe = {"stderr": subprocess.PIPE, "text": True}
        running[name] = subprocess.Popen(command, cwd=folder, env=os.environ | own, **pipe)
    said = {name: process.communicate(timeout=120)[1] for name, process in running.items()}
    assert running["modest"].returncode == 0, said
    assert running["greedy"].returncode == 3 and "the limit is 500 MiB" in said["greedy"]
    assert re.search(r"the peak memory was [\d.]+ MiB; the report so far is", said["greedy"])


LAST_WORDS = """
import os, time
print("last words", flush=True)
time.sleep(0.3)  # what is still in the process when it dies, dies with it
os.kill(os.getpid(), 9)
"""


def test_a_cell_that_dies_is_known_at_once(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(errors.KernelKilled, match="killed by SIGKILL") as caught:
        run(tmp_path, LAST_WORDS)
    outcome = caught.value.outcome
    assert outcome and outcome["error"]["signal"] == "SIGKILL"
    assert outcome["error"]["output"] == "last words"
    assert "the last output was `last words`; the peak memory was" in str(caught.value)
    assert time.monotonic() - started < 30


IN_A_GROUP = """
import os, sys
from pathlib import Path
group = Path(sys.argv[1])
(group / "cgroup.procs").write_text(str(os.getpid()))
sys.path.insert(0, sys.argv[3])
from mlops_nb.errors import KernelKilled
from test_faults import run
for cell in ("block = b'x' * 600_000_000", "import os; os.kill(os.getpid(), 9)"):
    try:
        run(Path(sys.argv[2]), cell)
    except KernelKilled as error:
        print(error.outcome["state"], error.outcome["error"]["message"])
"""


def test_memory_that_ran_out_is_told_apart_from_a_signal(tmp_path: Path) -> None:
    group = Path("/sys/fs/cgroup/memory")
    limit = "memory.limit_in_bytes"
    if not group.is_dir():
        group, limit = Path("/sys/fs/cgroup"), "memory.max"
    group = group / own_group() / f"mlops-nb-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / limit).write_text(str(400 * 2**20))
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        command = [sys.executable, "-c", IN_A_GROUP, str(group), str(tmp_path)]
        command.append(str(Path(__file__).parent))
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    finally:
        group.rmdir()
    assert done.stdout.splitlines() == [
        "killed:oom killed by SIGKILL, out of memory",
        "killed:signal killed by SIGKILL",
    ]


def own_group() -> str:
    """Return the control group for memory of this process, relative to the mount."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    groups = {line.split(":")[1]: line.split(":", 2)[2] for line in lines}
    return groups.get("memory", groups.get("", "/")).lstrip("/")


def test_children_that_come_and_go_in_groups_of_their_own_do_not_end_a_kernel(
    tmp_path: Path,
) -> None:
    many = (
        "import subprocess, time\nend = time.monotonic() + 4\nwhile time.monotonic() < end:\n"
        "    subprocess.run(['true'], start_new_session=True)\n'done'"
    )
    outcome = run(tmp_path, many)
    assert outcome.state == "ok"


def test_a_daemon_that_a_kernel_leaves_at_its_very_end_ends_with_it(tmp_path: Path) -> None:
    daemon = "import os, subprocess\nsubprocess.Popen(['sleep', '600'], start_new_session=True)\n"
    hidden = "os.system('(setsid sleep 601 &)')\nos._exit(1)"
    with pytest.raises(errors.KernelKilled):
        run(tmp_path, daemon + hidden)
    until(lambda: nobody_works_in(tmp_path), "the daemons to end")


def test_a_file_whose_name_is_not_utf8_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.csv")).write_text("1")
    outcome = run(tmp_path, r"open(b'caf\xe9.csv').read()")
    (use,) = outcome.files
    assert os.fsencode(use.path) == b"caf\xe9.csv"
    kept = json.loads((tmp_path / "kept" / "outcome.json").read_text())
    assert kept["files"][0]["path"] == use.path


def test_what_nobody_has_foreseen_is_written_down_and_lets_the_journal_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: object, **__: object) -> None:
        raise RuntimeError("who would have thought")

    monkeypatch.setattr("mlops_nb.notebook.engine.Engine.run", stumble)
    with pytest.raises(RuntimeError, match="who would"):
        run(tmp_path, "1")
    journal = tmp_path / "kept" / JOURNAL
    assert not is_written(journal)
    outcome = Replay(journal).outcome()
    assert outcome.state == "error" and outcome.error
    assert outcome.error.message == "who would have thought"
