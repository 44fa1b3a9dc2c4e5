"""Which cell used which file: what Python opens is seen in both ways, and the rest by seccomp."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pandas as pd
import pytest

from mlops_nb.errors import CellFailed, ExecutionTimeout, KernelKilled
from mlops_nb.notebook.capture import Capture
from mlops_nb.notebook.execute import Request, execute
from mlops_nb.notebook.ledger import Ledger
from mlops_nb.notebook.limits import Limits
from mlops_nb.notebook.outcome import Outcome

pytestmark = pytest.mark.slow

Run = Callable[..., Outcome]
LEVELS = {"full": "", "python only": "python"}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that executes cells beside a few files, at a level of capture."""
    root = tmp_path / "project"
    root.mkdir()
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (root / "table.csv").write_text("a,b\n1,2\n3,4\n")
    pd.DataFrame({"a": [1, 3]}).to_parquet(root / "table.parquet")
    with sqlite3.connect(root / "table.db") as database:
        database.execute("create table t (a int)")
    database.close()

    def execute_cells(*sources: str, level: str = "full", **options: Any) -> Outcome:
        monkeypatch.setenv("MLOPS_NB_CAPTURE", LEVELS.get(level, level))
        cells = [nbformat.v4.new_code_cell(text, id=f"c{i}") for i, text in enumerate(sources)]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), root / "nb.ipynb")
        places = {"cwd": root, "report": tmp_path / "report.ipynb", "kept": tmp_path / "kept"}
        outcome = execute(Request(**{"path": root / "nb.ipynb", **places, **options}))
        if level in LEVELS:
            assert outcome.capture == level, outcome.capture_reason
        return outcome

    return execute_cells


def uses(outcome: Outcome) -> list[tuple[str, str, int | None, int | None]]:
    return [(use.path, use.mode, use.cell, use.line) for use in outcome.files]


PYTHON = {
    "open": ("open('table.csv').read()", [("table.csv", "read", 1, 1)]),
    "open to write": ("with open('new', 'w') as f:\n    pass", [("new", "write", 1, 1)]),
    "open to append": ("open('table.csv', 'a').close()", [("table.csv", "write", 1, 1)]),
    "open to do both": ("open('table.csv', 'r+').close()", [("table.csv", "read", 1, 1)]),
    "open to do both, and it does": (
        "with open('table.csv', 'r+') as f:\n    f.write('c,d,e')",
        [("table.csv", "read", 1, 1), ("table.csv", "write", 1, 1)],
    ),
    "a file that is in the way": (
        "try:\n    open('table.csv', 'x')\nexcept FileExistsError:\n    pass",
        [],
    ),
    "pathlib": (
        "from pathlib import Path\nPath('new').write_text(\n    Path('table.csv').read_text()\n)",
        [("table.csv", "read", 1, 3), ("new", "write", 1, 2)],
    ),
    "bytes": ("open(b'table.csv').close()", [("table.csv", "read", 1, 1)]),
    "os.open": ("import os\nos.close(os.open('table.csv', 0))", [("table.csv", "read", 1, 2)]),
    "the exact line": (
        "\n\n# a comment\nfor i in range(2):\n    pass\n\n    open('table.csv')",
        [("table.csv", "read", 1, 7)],
    ),
    "through a function of the cell": (
        "def f(path):\n    return open(path)\n\n\nf('table.csv')",
        [("table.csv", "read", 1, 2)],
    ),
    "in a thread": (
        "import threading\nt = threading.Thread(target=open, args=['table.csv'])\n"
        "t.start()\nt.join()",
        [("table.csv", "read", 1, None)],
    ),
    "numpy": (
        "import numpy as np\nnp.save('new.npy', np.zeros(3))\nnp.load('new.npy')",
        [("new.npy", "write", 1, 2), ("new.npy", "read", 1, 3)],
    ),
    "pandas": (
        "import pandas as pd\npd.read_csv('table.csv').to_csv('new.csv')",
        [("table.csv", "read", 1, 2), ("new.csv", "write", 1, 2)],
    ),
    "a draft that is renamed": (
        "import os\nopen('draft', 'w').close()\nos.replace('draft', 'new')",
        [("draft", "write", 1, 2), ("new", "write", 1, 3)],
    ),
    "a file that is not there": ("try:\n    open('nowhere')\nexcept OSError: pass", []),
    "a directory": ("import os\nos.listdir('.')", []),
    "an import": ("import json, numpy.random\nimport matplotlib.pyplot as plt\nplt.figure()", []),
    "a temporary file": (
        "import tempfile\nwith tempfile.NamedTemporaryFile() as f:\n    open(f.name).close()",
        [],
    ),
    "another directory": (
        "import os\nos.mkdir('sub')\nos.chdir('sub')\nopen('../table.csv').close()",
        [("table.csv", "read", 1, 4)],
    ),
    "a cell run by a magic": ("%%capture\nopen('table.csv')", [("table.csv", "read", 1, 1)]),
    "top-level await": (
        "import asyncio\nawait asyncio.sleep(.01)\nopen('table.csv')",
        [("table.csv", "read", 1, 3)],
    ),
    "a directory named by number": (
        "import os\nat = os.open('/', os.O_RDONLY)\nopen('table.csv').close()",
        [("table.csv", "read", 1, 3)],
    ),
    "all files closed": (
        "import os\nopen('table.csv').close()\nos.closerange(90, 300)\nopen('new', 'w').close()",
        [("table.csv", "read", 1, 2), ("new", "write", 1, 4)],
    ),
}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", PYTHON)
def test_what_python_opens(name: str, level: str, run: Run) -> None:
    source, expected = PYTHON[name]
    found = uses(run(source, level=level))
    if name == "in a thread":
        found = [(path, mode, cell, None) for path, mode, cell, _ in found]
    assert found == expected


OTHERS = {
    "parquet by pyarrow": (
        "import pyarrow.parquet as pq\nx = 1\ntable = pq.read_table('table.parquet')\n"
        "pq.write_table(table, 'new.parquet')",
        [("table.parquet", "read", 1, 3), ("new.parquet", "write", 1, 4)],
    ),
    "parquet by pandas": (
        "import pandas as pd\npd.read_parquet('table.parquet').to_parquet('new.parquet')",
        [("table.parquet", "read", 1, 2), ("new.parquet", "write", 1, 2)],
    ),
    "a dataset of pyarrow": (
        "import pyarrow.dataset as ds\nds.dataset('table.parquet').to_table()",
        [("table.parquet", "read", 1, 2)],
    ),
    "duckdb": (
        "import duckdb\nduckdb.sql(\"select * from 'table.parquet'\").fetchall()\n"
        "duckdb.sql(\"copy (select 1 as a) to 'new.csv'\")",
        [("table.parquet", "read", 1, 2), ("new.csv", "write", 1, 3)],
    ),
    "polars": (
        "import polars as pl\npl.scan_parquet('table.parquet').collect()\n"
        "pl.read_csv('table.csv').write_parquet('new.parquet')",
        [("table.parquet", "read", 1, 2), ("table.csv", "read", 1, 3),
         ("new.parquet", "write", 1, 3)],
    ),
    "sqlite": (
        "import sqlite3\nc = sqlite3.connect('table.db')\nc.execute('select * from t').fetchall()",
        [("table.db", "read", 1, 2)],
    ),
    "a shell": (
        "x = 1\n!cat table.csv > new.csv",
        [("new.csv", "write", 1, 2), ("table.csv", "read", 1, 2)],
    ),
    "another process": (
        "import subprocess, sys\nsubprocess.run(['cat', 'table.csv'])\n"
        "subprocess.run([sys.executable, '-c', 'open(\"new\", \"w\")'])",
        [("table.csv", "read", 1, 2), ("new", "write", 1, 3)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_what_others_open(name: str, run: Run) -> None:
    source, expected = OTHERS[name]
    assert sorted(uses(run(source))) == sorted(expected)


# What belongs to no cell, and what must not be disturbed


@pytest.mark.parametrize("level", LEVELS)
def test_an_open_after_the_last_cell_belongs_to_none(level: str, run: Run) -> None:
    outcome = run("import atexit\natexit.register(open, 'late', 'w')", "open('new', 'w')",
                  level=level)  # fmt: skip
    assert (Path(outcome.report or "").parent / "project" / "late").exists()
    assert uses(outcome) == [("new", "write", 2, 1)]


@pytest.mark.parametrize("level", LEVELS)
def test_lines_are_those_of_the_cell_that_runs(level: str, run: Run) -> None:
    outcome = run("def load():\n    return open('table.csv')", "x = 1\n\nload()", level=level)
    assert uses(outcome) == [("table.csv", "read", 2, 3)]


@pytest.mark.parametrize("level", LEVELS)
def test_the_report_is_the_same_whatever_is_seen(level: str, run: Run) -> None:
    cells = ("import os\nopen('table.csv').read()", "open('nowhere')")
    reports = []
    for one in ("0", level):
        with pytest.raises(CellFailed) as failed:
            run(*cells, level=one)
        assert failed.value.report is not None
        reports.append(failed.value.report.read_bytes())
    assert reports[0] == reports[1]


def test_nothing_is_seen_if_nobody_wants_it(run: Run) -> None:
    outcome = run("open('table.csv').close()", level="0")
    assert (outcome.capture, outcome.capture_reason) == ("off", "MLOPS_NB_CAPTURE=0")
    assert outcome.files == ()


@pytest.mark.parametrize("level", LEVELS)
def test_a_killed_kernel_leaves_what_its_cells_had_opened(level: str, run: Run) -> None:
    with pytest.raises(KernelKilled) as killed:
        run("open('table.csv').close()\nimport os\nos.kill(os.getpid(), 9)", level=level)
    assert killed.value.outcome is not None
    outcome = Outcome.from_json(killed.value.outcome)
    assert uses(outcome) == [("table.csv", "read", 1, 1)] and outcome.capture == level


@pytest.mark.parametrize("level", LEVELS)
def test_a_cell_that_opens_without_end_is_stopped_in_time(level: str, run: Run) -> None:
    with pytest.raises(ExecutionTimeout) as stopped:
        run("while True:\n    open('table.csv').close()", level=level, limits=Limits(3))
    assert stopped.value.outcome is not None
    assert uses(Outcome.from_json(stopped.value.outcome)) == [("table.csv", "read", 1, 2)]


@pytest.mark.parametrize("level", LEVELS)
def test_threads_and_processes_open_side_by_side(level: str, run: Run) -> None:
    outcome = run(
        "import os\nfrom concurrent.futures import ThreadPoolExecutor\n"
        "def work(n):\n    for i in range(300):\n        os.close(os.open(f'{n}.txt', 66))\n"
        "children = []\nfor n in range(3):\n    pid = os.fork()\n    if not pid:\n"
        "        work(n)\n        os._exit(0)\n    children.append(pid)\n"
        "with ThreadPoolExecutor(4) as pool:\n    list(pool.map(work, range(3, 9)))\n"
        "assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]",
        level=level,
    )
    expected = range(9) if level == "full" else range(3, 9)
    assert {f"{n}.txt" for n in expected} <= {use.path for use in outcome.files}


def test_more_files_than_anybody_reads_are_counted(run: Run) -> None:
    outcome = run("for i in range(1200):\n    open(f'{i}.txt', 'w').close()")
    assert len(outcome.files) == 1000 and outcome.files_left_out == 200


def test_a_notebook_within_a_notebook_is_seen_as_far_as_python_goes(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_NB_WARM", "0")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    outcome = run(
        "import nbformat, pathlib\nfrom mlops_nb.notebook.execute import Request, execute\n"
        "nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(\"open('table.csv')\")])\n"
        "nbformat.write(nb, 'inner.ipynb')\nhere = pathlib.Path.cwd()\n"
        "inner = execute(Request(here / 'inner.ipynb', here, here / 'r.ipynb', here / 'kept'))\n"
        "assert inner.capture == 'python only', inner.capture\n"
        "assert inner.capture_reason == 'another seccomp listener', inner.capture_reason\n"
        "assert [use.path for use in inner.files] == ['table.csv']"
    )
    assert ("table.csv", "read", 1, 6) in uses(outcome)  # by a child process of the cell


def test_the_runner_keeps_no_files_and_threads(run: Run) -> None:
    run("1")
    before = len(os.listdir("/proc/self/fd")), threading.active_count()
    for level in ("full", "full", "python only"):
        run("open('table.csv').close()", level=level)
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before


def test_without_descriptors_to_listen_with_the_kernel_tells_what_python_opens(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = "listening takes file descriptors: Too many open files"
    monkeypatch.setattr("mlops_nb.notebook.capture._reserve_descriptors", lambda _: refused)
    outcome = run("open('table.csv').close()", level="")
    assert (outcome.capture, outcome.capture_reason) == ("python only", refused)
    assert uses(outcome) == [("table.csv", "read", 1, 1)]


def test_a_kernel_goes_on_whose_listener_could_not_start(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    threads = SimpleNamespace(Thread=refuse)
    monkeypatch.setattr("mlops_nb.notebook.listener.threading", threads)
    outcome = run("open('table.csv').read()", "open('new', 'w').close()", level="")
    assert outcome.state == "ok" and outcome.capture == "off"
    assert "can't start new thread" in outcome.capture_reason


def test_that_processes_could_not_be_looked_into_is_said(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bytes:
        raise PermissionError(13, "as Yama says it of children that are none of ours")

    monkeypatch.setattr("mlops_nb.notebook.listener.raw_path", refuse)
    outcome = run("open('table.csv').close()")
    assert outcome.files == () and outcome.capture_reason == "not what child processes open"


def test_a_capture_that_was_closed_can_be_closed_again_and_invite_another_kernel(
    tmp_path: Path,
) -> None:
    capture = Capture(Ledger(str(tmp_path)), tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        assert "files.sock" in capture.invite(tmp_path / name)
        capture.close()
        mine = os.open(os.devnull, os.O_RDONLY)  # gets the number of what was closed
        capture.close()
        os.close(mine)


def test_a_kernel_that_is_not_of_python_is_not_asked(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapper = tmp_path / "other.py"  # a kernel that does not look like the one of IPython
    wrapper.write_text(
        "import runpy, sys\nrunpy.run_module('ipyk' + 'ernel_launcher', run_name='__main__')\n"
    )
    spec = {"argv": [sys.executable, str(wrapper), "-f", "{connection_file}"]}
    folder = tmp_path / "jupyter" / "kernels" / "other"
    folder.mkdir(parents=True)
    named = {"display_name": "other", "language": "other"}
    (folder / "kernel.json").write_text(json.dumps(spec | named))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    outcome = run("open('table.csv').close()", kernel="other", level="")
    assert (outcome.capture, outcome.capture_reason) == ("off", "not the kernel of IPython")
