"""A failed execution goes on where it can, and what comes of it is what a straight one gives."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import nbformat
import pytest

from mlops_nb.errors import ExecutionError, KernelKilled, UsageError
from mlops_nb.notebook.basis import Present
from mlops_nb.notebook.execute import Request, execute
from mlops_nb.notebook.journal import JOURNAL, read_entries
from mlops_nb.notebook.limits import Limits
from mlops_nb.notebook.outcome import Outcome
from mlops_nb.notebook.prepare import prepare
from mlops_nb.notebook.replay import Replay
from mlops_nb.notebook.report import render
from mlops_nb.notebook.resume import Resumption, find_attempt, plan
from mlops_nb.pipeline.attempts import grounds

from ..warm import warm_server
from .conftest import Shop, write_stage

pytestmark = pytest.mark.slow

FAILS, MENDED = "1 / 0", "'mended'"


@dataclass
class Book:
    """A notebook that is executed again and again in `root`, with a checkpoint after each cell."""

    root: Path
    cells: list[str]
    values: dict[str, object] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    redact: tuple[str, ...] = ()
    runs: int = 0

    @property
    def folders(self) -> list[Path]:
        return sorted((self.root / "runs").glob("*"))

    def request(self, *, resume: bool) -> Request:
        self.runs += 1
        cells = [nbformat.v4.new_code_cell(text, id=f"c{i}") for i, text in enumerate(self.cells)]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), self.root / "nb.ipynb")
        places = self.root / "nb.ipynb", self.root / "report.ipynb"
        earlier = find_attempt(self.folders, *places) if resume else None
        known = grounds(self.root, None, self.values, earlier)
        known = replace(known, seconds=0.0, inputs=self.inputs, outputs=self.outputs)
        kept = self.root / "runs" / f"{self.runs:03d}"
        return Request(
            places[0],
            cwd=self.root,
            report=places[1],
            kept=kept,
            redact=self.redact,
            grounds=known,
            limits=Limits(seconds=120),
        )

    def run(self, *, resume: bool = False) -> Outcome:
        return execute(self.request(resume=resume))

    def fail(self) -> Path:
        """Execute it; return the folder of the attempt, which has to fail."""
        with pytest.raises(ExecutionError):
            self.run()
        return self.folders[-1]

    def plan(self) -> Resumption:
        """Return what would be made of the last attempt."""
        request = self.request(resume=True)
        assert request.grounds is not None and request.grounds.earlier is not None
        environ = {**os.environ, **request.environ}
        prepared = prepare(request)
        present = Present(prepared, request.grounds, self.root, "python3", environ)
        return plan(request.grounds.earlier, present)

    @property
    def report(self) -> str:
        return (self.root / "report.ipynb").read_text()

    def mend(self) -> None:
        self.cells = [MENDED if text == FAILS else text for text in self.cells]


def entries(folder: Path, kind: str) -> list[dict[str, object]]:
    return [entry for entry in read_entries(folder / JOURNAL) if entry["entry"] == kind]


def checkpoints(root: Path) -> list[Path]:
    return list(root.rglob("state.pickle"))


# What is restored

STATES: dict[str, tuple[list[str], list[str]]] = {
    "python": (
        [
            "import random, enum, os, sys\nfrom dataclasses import dataclass, field, fields\n"
            "random.seed(3)\nx = 5\ndef f():\n    return x\n"
            "def counter():\n    n = 0\n    def step():\n        nonlocal n\n        n += 1\n"
            "        return n\n    return step\nstep = counter(); step()",
            "class Base:\n    kept = []\n    def __init__(self, a): self.a = a\n"
            "    def say(self): return f'{type(self).__name__} {self.a}'\n"
            "class Child(Base):\n    def say(self): return 'a ' + super().say()\n"
            "class Colour(enum.Enum):\n    RED = 1\n"
            "@dataclass\nclass Point:\n    x: int = 1\n"
            "    tags: list = field(default_factory=list)\n"
            "child, red, point = Child(2), Colour.RED, Point()\nBase.kept.append(1)",
            "inner = [1]; outer = {'same': inner}; alike = inner; ring = []; ring.append(ring)\n"
            "g = iter([1, 2, 3]); next(g)",
            "os.environ['LESSON'] = 'on'; os.makedirs('sub', exist_ok=True); os.chdir('sub')\n"
            "sys.path.append('/nowhere')\nprint('to be kept', file=sys.stderr)\n'result'",
        ],
        [
            "_, In[1][:9], Out",
            "x = 7\nf(), step(), random.random(), next(g)",
            "inner.append(2); outer, alike is inner, ring[0] is ring",
            "child.say(), isinstance(child, Base), Base.kept, red is Colour.RED, Colour(1) is red",
            "point == Point(), [(f.name, f.default_factory is list) for f in fields(Point)]",
            "os.environ['LESSON'], os.path.basename(os.getcwd()), sys.path[-1]",
            "_3, _i2[:5], __",
        ],
    ),
    "libraries": (
        [
            "import numpy as np, pandas as pd, matplotlib.pyplot as plt\n"
            "from sklearn.linear_model import LogisticRegression\n"
            "np.random.seed(1); rng = np.random.default_rng(2); np.set_printoptions(precision=2)\n"
            "pd.set_option('display.max_rows', 6); plt.rcParams['figure.figsize'] = (2, 1)",
            "a = np.arange(12.0); view = a[2:5]; grid = a.reshape(3, 4); columns = grid.T[::2]\n"
            "rng.random(), np.random.rand()",
            "table = pd.DataFrame({'a': range(10), 'b': list('abcdefghij'),\n"
            "    't': pd.date_range('2020', periods=10), 'n': pd.array([1, None] * 5)})\n"
            "column = table['a']; X = table[['a']].to_numpy(copy=True)\ntable",
            "figure, axes = plt.subplots(); axes.plot([1, 2]); plt.show()\n"
            "model = LogisticRegression().fit(X, [0, 1] * 5)",
        ],
        [
            "a[:] = 1.2345; view, grid[0], columns",
            "rng.random(), np.random.rand(), np.array([1.23456])",
            "column.iloc[0] = 100; table",
            "model.predict_proba(X)[:2]",
            "plt.plot([2, 1]); plt.show()\nfigure",
        ],
    ),
    "messages": (
        [
            "import logging, warnings\n"
            "logging.basicConfig(level='INFO', format='%(name)s says %(message)s')\n"
            "log = logging.getLogger('shop'); log.info('one')",
            "def warn():\n    warnings.warn('once')\nwarn()\ndef bad():\n    return 1 / zero",
            "warnings.filterwarnings('ignore', message='twice')\n"
            "h = display('shown', display_id='d')",
        ],
        [
            "log.info('two')",
            "warn(); warnings.warn('twice')",
            "h.update('changed'); len(In)",
            "import inspect, traceback\nzero = 0\ntry:\n    bad()\nexcept ZeroDivisionError:\n"
            "    traceback.print_exc()\ninspect.getsource(bad)",
            "try:\n    bad()\nexcept ZeroDivisionError:\n    get_ipython().showtraceback()",
        ],
    ),
}


@pytest.mark.parametrize("name", STATES)
def test_a_resumed_execution_gives_the_report_of_a_straight_one(name: str, tmp_path: Path) -> None:
    before, after = STATES[name]
    book = Book(tmp_path, [*before, FAILS, *after])
    book.fail()
    book.mend()
    outcome = book.run(resume=True)
    report = book.report
    assert outcome.resumed and outcome.resumed.reason == ""
    assert outcome.resumed.restored == len(before) and outcome.resumed.replayed == 0
    assert [cell.resumed for cell in outcome.cells][: len(before)] == ["restored"] * len(before)
    assert render(Replay(book.folders[-1] / JOURNAL).notebook()) == report
    assert Replay(book.folders[-1] / JOURNAL).outcome() == outcome
    assert not checkpoints(tmp_path)

    book.run()
    assert book.report == report


def test_a_killed_kernel_is_resumed_after_its_last_checkpoint(tmp_path: Path) -> None:
    kill = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
    book = Book(tmp_path, ["x = [1]", "x.append(2)", kill, "x"])
    with pytest.raises(KernelKilled):
        book.run()
    book.cells[2] = MENDED
    outcome = book.run(resume=True)
    assert outcome.resumed and (outcome.resumed.restored, outcome.resumed.replayed) == (2, 0)
    assert "[1, 2]" in book.report


RUN = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.e2e.test_resume import Book
Book(Path(sys.argv[1]), ["x = 1", "x += 1", "import time; print('on', flush=True); time.sleep(300)"]).run()
"""  # noqa: E501


def test_a_killed_runner_is_resumed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RUN, str(tmp_path), str(Path(__file__).parents[2])]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 90
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError, IndexError):
                if [e for e in entries(tmp_path / "runs" / "001", "message") if e["cell"] == 2]:
                    break
            time.sleep(0.05)
        with pytest.raises(UsageError, match="still running"):
            Book(tmp_path, ["x = 1"]).request(resume=True)
        process.send_signal(signal.SIGKILL)
    book = Book(tmp_path, ["x = 1", "x += 1", MENDED, "x"], runs=1)
    outcome = book.run(resume=True)
    assert outcome.resumed and outcome.resumed.restored == 2


def test_an_attempt_that_made_no_checkpoint_leads_to_the_one_that_it_continued(
    tmp_path: Path,
) -> None:
    book = Book(tmp_path, ["x = 1", FAILS, "x"])
    first = book.fail()
    with pytest.raises(ExecutionError):
        book.run(resume=True)
    assert entries(book.folders[-1], "began")[0]["resumes"] == first.name
    book.mend()
    outcome = book.run(resume=True)
    assert outcome.resumed and outcome.resumed.restored == 1 and not checkpoints(tmp_path)


def test_only_the_newest_checkpoint_of_a_notebook_is_kept(tmp_path: Path) -> None:
    book = Book(tmp_path, ["x = 1", "y = 2", FAILS])
    book.fail()
    assert len(checkpoints(tmp_path)) == 1
    last = book.fail()
    (left,) = checkpoints(tmp_path)
    assert left.is_relative_to(last)


# What has changed since


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a failed attempt that has a checkpoint."""
    root = tmp_path_factory.mktemp("failed")
    (root / "early.py").write_text("import deep\n")
    (root / "deep.py").write_text("value = 1\n")
    (root / "late.py").write_text("value = 2\n")
    (root / "data").mkdir()
    (root / "data" / "table.csv").write_text("1\n")
    book_of(root).fail()
    return root


def book_of(root: Path) -> Book:
    cells = ["import early", "x = early.deep.value", FAILS, "import late\nlate.value"]
    return Book(root, cells, {"rows": 20}, inputs=("data",), runs=len(list(root.glob("runs/*"))))


@contextlib.contextmanager
def changed(path: Path, text: str | None) -> Iterator[None]:
    """Let a file have another content for a while."""
    before = path.read_text() if path.exists() else None
    path.write_text(text or "")
    try:
        yield
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_text(before)


def test_what_only_later_cells_depend_on_may_change(failed: Path) -> None:
    book = book_of(failed)
    book.mend()
    book.cells.append("'one more'")
    with changed(failed / "late.py", "value = 3"):
        resumption = book.plan()
    assert (resumption.reason, resumption.count, resumption.again) == ("", 2, (0, 1))


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("early.py", "early.py has changed"),
        ("deep.py", "deep.py has changed"),
        ("data/table.csv", "data/table.csv has changed"),
        ("data/more.csv", "data/more.csv is new"),
    ],
)
def test_a_changed_file_is_named(failed: Path, file: str, reason: str) -> None:
    with changed(failed / file, "other = 1"):
        resumption = book_of(failed).plan()
    assert resumption.reason == reason and resumption.count == 0 and resumption.again == (0, 1)


def test_a_changed_cell_is_named_and_what_follows_is_not_counted_as_replayed(failed: Path) -> None:
    book = book_of(failed)
    book.cells[1] = "x = 2"
    resumption = book.plan()
    assert resumption.reason == "cell 2 has changed" and resumption.again == (0,)
    book.cells = ["import early"]
    assert book.plan().reason == "a cell is gone"


def test_a_changed_parameter_is_named(failed: Path) -> None:
    book = book_of(failed)
    book.values = {"rows": 21}
    assert book.plan().reason == "the parameter `rows` has changed"


def test_a_changed_environment_is_named(failed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "other")
    assert book_of(failed).plan().reason == ""
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert book_of(failed).plan().reason == "the environment variable OMP_NUM_THREADS has changed"


def test_a_checkpoint_that_others_can_reach_is_not_read(failed: Path) -> None:
    (state,) = checkpoints(failed)
    state.chmod(0o640)
    assert book_of(failed).plan().reason == "the checkpoint is not private to this user"
    state.chmod(0o600)
    os.chown(state, 12345, -1)
    assert book_of(failed).plan().reason == "the checkpoint is not this user's"
    os.chown(state, os.geteuid(), -1)
    moved = state.rename(state.with_name("moved"))
    state.symlink_to(moved)
    assert book_of(failed).plan().reason == "the checkpoint is not this user's"
    state.unlink()
    assert book_of(failed).plan().reason == "the checkpoint is gone"
    moved.rename(state)
    assert book_of(failed).plan().reason == ""


# What cannot be saved

HINDRANCES = {
    "g = (n for n in range(3))": "`g` (generator) cannot be saved",
    "import sqlite3; conn = sqlite3.connect(':memory:')": "`conn` (sqlite3.Connection) cannot",
    "import threading, time\nthreading.Thread(target=time.sleep, args=(300,), name='bg').start()": (
        "the thread `bg` is running"
    ),
    "import subprocess; subprocess.Popen(['sleep', '300'])": "(`sleep`) is running",
    "import os; d = os.open('log.txt', os.O_CREAT | os.O_WRONLY)": "log.txt is open for writing",
    "import numpy as np\nm = np.memmap('m.bin', mode='w+', shape=(9,))\nimport os\n"
    "for n in os.listdir('/proc/self/fd'):\n"
    "    if os.path.realpath('/proc/self/fd/' + n).endswith('m.bin'): os.close(int(n))": (
        "m.bin is written through memory"
    ),
    "import ipywidgets as w; s = w.IntSlider()": "a widget is alive",
    "import sys, io; sys.stdout = io.StringIO()": "`sys.stdout` has been replaced",
    "import builtins; builtins.answer = 42": "`builtins.answer` has been changed",
    "import asyncio; asyncio.get_running_loop().create_task(asyncio.sleep(300)); None": (
        "is not done"
    ),
    "import signal; signal.signal(signal.SIGALRM, print)": "the handler of signal 14 has been",
    "from pathlib import Path\nPath('made.py').write_text('')\nimport made": (
        "made.py was changed while cells ran"
    ),
    "from pathlib import Path\nPath('input.csv').write_text('other')": (
        "input.csv was changed while cells ran"
    ),
    "import numpy as np, pandas as pd\na = np.arange(9)[1:]\nt = pd.Series(a[1:], copy=False)": (
        "two objects of different types are on the same memory"
    ),
    "import numpy as np; a = np.arange(4.0); m = np.ma.array(a, copy=False)": (
        "two objects of different types are on the same memory"
    ),
    "seen = {f'f{i}' for i in range(60)} | {f'g{i}' for i in range(30)}": (
        "`seen`: a set would come back in another order"
    ),
    "stream = open('input.csv')": "a TextIOWrapper cannot be saved",
    "view = memoryview(b'abc')": "a memoryview cannot be saved",
    "names = {'a': 1}.keys()": "a dict_keys cannot be saved",
    "import tempfile; t = tempfile.TemporaryDirectory()": "a TemporaryDirectory cannot be saved",
    "import signal; signal.setitimer(signal.ITIMER_VIRTUAL, 600)": "a timer is running",
    "import duckdb": "duckdb keeps a state of its own",
    "deep = []\nfor _ in range(100_000):\n    deep = [deep]": "cannot be saved",
    "import numpy as np; a = np.array([[], 1], dtype=object); b = a[1:]": (
        "two arrays of objects are on the same memory"
    ),
}


@pytest.mark.parametrize("cell", HINDRANCES)
def test_what_cannot_be_saved_is_named(cell: str, tmp_path: Path) -> None:
    (tmp_path / "input.csv").write_text("one")
    book = Book(tmp_path, [cell, FAILS], inputs=("input.csv",))
    folder = book.fail()
    (entry,) = entries(folder, "no_checkpoint")
    assert HINDRANCES[cell] in str(entry["reason"]) and not checkpoints(tmp_path)
    assert book.plan().reason == entry["reason"]


def test_a_notebook_with_a_secret_is_not_saved(tmp_path: Path) -> None:
    book = Book(tmp_path, ["x = 1", FAILS], redact=("hunter2",))
    book.fail()
    assert "secret" in book.plan().reason and not checkpoints(tmp_path)


def test_under_a_limit_on_memory_nothing_is_saved(tmp_path: Path) -> None:
    book = Book(tmp_path, ["x = 1", FAILS])
    request = replace(book.request(resume=False), limits=Limits(memory_bytes=2**31))
    with pytest.raises(ExecutionError):
        execute(request)
    assert book.plan().reason == "saving takes memory, which has a limit"


def test_nothing_is_saved_after_the_last_cell(tmp_path: Path) -> None:
    book = Book(tmp_path, ["x = 1", "y = 2"])
    book.run()
    assert [entry["cell"] for entry in entries(book.folders[-1], "checkpoint")] == [0]


def test_a_state_that_is_too_big_or_takes_too_long_is_not_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlops_nb.notebook.checkpoint.CHECKPOINT_BYTES", 2_000_000)
    big = Book(tmp_path, ["x = bytearray(4_000_000)", FAILS])
    big.fail()
    assert big.plan().reason == "it has more than 2,000,000 bytes"
    monkeypatch.setattr("mlops_nb.notebook.allowance.UNLIMITED", 0.001)
    big.fail()
    assert big.plan().reason == "saving takes too long for what it would save"
    slow = "import time\nclass S:\n    def __reduce__(self):\n        time.sleep(600)\ns = S()"
    monkeypatch.setattr("mlops_nb.notebook.allowance.UNLIMITED", 2.0)
    big.cells = [slow, FAILS]
    big.fail()
    assert big.plan().reason == "saving takes too long for what it would save"


def test_a_notebook_of_short_cells_has_no_checkpoint(tmp_path: Path) -> None:
    book = Book(tmp_path, ["x = 1", FAILS])
    request = book.request(resume=False)
    assert request.grounds is not None
    request = replace(request, grounds=replace(request.grounds, seconds=5.0))
    with pytest.raises(ExecutionError):
        execute(request)
    assert not entries(request.kept, "checkpoint") and not (request.kept / "checkpoint").exists()
    assert book.plan().reason == "there is no checkpoint, the cells were quick"


# What turns out in the new kernel

UNFIT = {
    "a magic": (
        "from IPython.core.magic import register_line_magic\n@register_line_magic\n"
        "def mine(line): return 1",
        "the magic `%mine` was set by a cell",
    ),
    "a module": ("import store\nstore.seen.append(1)", "`store.seen` has changed since it was"),
    "a class": ("import store\nstore.Kept.all['x'] = 1", "`store.Kept` has changed since it was"),
    "a default": ("import store\nstore.remember(1)", "`store.remember` has changed since it was"),
    "a setting": ("%precision 3", "the setting `float_format = %.3f` was set by a cell"),
    "a hook": ("import atexit; atexit.register(print)", "the setting `exit hooks = "),
    "the collector": ("import gc; gc.disable()", "the setting `gc.isenabled = False` was set"),
    "a backend": (
        "import matplotlib; matplotlib.use('svg')",
        "the setting `matplotlib.backend = svg` was set",
    ),
}
STORE = """
seen = []
class Kept:
    all = {}
def remember(what, so_far=[]):
    so_far.append(what)
"""


@pytest.mark.parametrize("name", UNFIT)
def test_what_a_new_kernel_cannot_be_given_is_replayed(name: str, tmp_path: Path) -> None:
    cell, reason = UNFIT[name]
    (tmp_path / "store.py").write_text(STORE)
    book = Book(tmp_path, [cell, FAILS, "1"])
    book.fail()
    book.mend()
    outcome = book.run(resume=True)
    assert outcome.state == "ok" and outcome.resumed is not None
    assert reason in outcome.resumed.reason
    assert (outcome.resumed.restored, outcome.resumed.replayed) == (0, 1)
    assert [cell.resumed for cell in outcome.cells] == ["replayed", "", ""]


def test_a_state_that_was_tampered_with_is_not_read(tmp_path: Path) -> None:
    book = Book(tmp_path, ["x = 1", FAILS, "x"])
    book.fail()
    (state,) = checkpoints(tmp_path)
    evil = b"cos\nsystem\n(S'touch pwned'\ntR."
    state.write_bytes(evil + state.read_bytes()[len(evil) :])
    book.mend()
    outcome = book.run(resume=True)
    assert outcome.resumed and outcome.resumed.reason == "the saved state is not what was written"
    assert outcome.state == "ok" and not (tmp_path / "pwned").exists()


def test_modules_of_the_project_that_have_not_changed_are_shared_as_before(tmp_path: Path) -> None:
    (tmp_path / "store.py").write_text(STORE)
    cells = ["from store import seen, Kept\nk = Kept()", FAILS]
    book = Book(
        tmp_path, [*cells, "import store\nseen.append(2)\nstore.seen, type(k) is store.Kept"]
    )
    book.fail()
    book.mend()
    outcome = book.run(resume=True)
    assert outcome.resumed and outcome.resumed.restored == 1
    assert "([2], True)" in book.report


# Files

RECORD = """
from mlops_nb import Metrics, Out, Plots, record
from pathlib import Path
made: Out = "made.txt"
metrics: Metrics = "m.json"
plots: Plots = "plots"
"""


def test_outputs_that_are_gone_or_changed_are_put_back(tmp_path: Path) -> None:
    cells = [
        RECORD,
        "Path(made).write_text('first')\nrecord(a=1)\n"
        "for i in range(3):\n    record.step(i, loss=i)",
        FAILS,
        "record(b=2)\nrecord.step(3, loss=3)\nrecord.step(0, other=1)\nPath(made).read_text()",
    ]
    book = Book(tmp_path, cells, outputs=("made.txt", "m.json", "plots"))
    book.fail()
    for name in ("made.txt", "m.json"):
        (tmp_path / name).unlink()
    (tmp_path / "plots" / "loss.csv").write_text("step,loss\n9,9\n")
    book.mend()
    outcome = book.run(resume=True)
    assert outcome.resumed and outcome.resumed.restored == 2
    assert json.loads((tmp_path / "m.json").read_text()) == {"a": 1, "b": 2}
    assert (tmp_path / "plots" / "loss.csv").read_text() == "step,loss\n0,0\n1,1\n2,2\n3,3\n"
    assert (tmp_path / "plots" / "other.csv").read_text() == "step,other\n0,1\n"
    assert "'first'" in book.report


# What there is nothing to resume of


def test_there_has_to_be_something_to_resume(tmp_path: Path) -> None:
    book = Book(tmp_path, ["1"])
    with pytest.raises(UsageError, match="no earlier execution"):
        book.run(resume=True)
    book.run()
    with pytest.raises(UsageError, match="ended well"):
        book.run(resume=True)


# As it is used


def test_under_dvc_a_stage_goes_on_with_the_outputs_that_dvc_has_deleted(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_NB_CHECKPOINT_SECONDS", "0")
    monkeypatch.setenv("MLOPS_NB_RESUME", "1")
    first = (
        "from mlops_nb import record\nfrom pathlib import Path\nfrom shop.table import read\n"
        "Path(model).write_text('{}')\nrecord(a=len(read(table)))\nrecord.step(0, loss=1)"
    )
    last = "record(b=2)\nrecord.step(1, loss=2)\nPath(model).read_text()"
    notebook = shop.path("nbs/pipeline/20_train.ipynb")
    header = json.loads(notebook.read_text())["cells"][2]["source"]
    write_stage(notebook, "Train", "".join(header), first, FAILS, last)
    shop.repro("train", code=255)
    shop.path("models/model.json").unlink()

    write_stage(notebook, "Train, mended", "".join(header), first, MENDED, last)
    done = shop.run("dvc", "repro", "train")
    assert "train: 4 cells restored, 0 replayed" in done.stdout + done.stderr
    assert json.loads(shop.text("metrics/train.json")) == {"a": 20, "b": 2}
    assert shop.text("plots/train/loss.csv") == "step,loss\n0,1\n1,2\n"
    assert shop.text("models/model.json") == "{}"
    resumed = shop.text("reports/train.ipynb")
    done = shop.run("dvc", "repro", "--force", "--single-item", "train")
    assert "restored" not in done.stdout + done.stderr  # it had ended well
    assert shop.text("reports/train.ipynb") == resumed


def test_the_command_says_what_was_restored_cold_and_warm(tmp_path: Path) -> None:
    with warm_server("numpy") as warm:
        for cold in ("0", ""):
            own = {"MLOPS_NB_CHECKPOINT_SECONDS": "0", "XDG_STATE_HOME": str(tmp_path / "state")}
            environ = warm.environ | own | ({"MLOPS_NB_WARM": cold} if cold else {})

            def tool(*arguments: str, environ: dict[str, str] = environ) -> tuple[int, str]:
                done = warm.run("execute", "nb.ipynb", *arguments, env=environ, cwd=tmp_path)
                return done.returncode, done.stdout + done.stderr

            book = Book(
                tmp_path, ["import numpy as np\nnp.random.seed(1)", FAILS, "np.random.rand()"]
            )
            book.request(resume=False)
            assert tool()[0] == 1
            book.mend()
            book.request(resume=False)
            code, text = tool("--resume")
            assert code == 0 and "nb: 1 cell restored, 0 replayed" in text, text
            assert "[1/3] cell 1 ok" in text and "(restored)" in text
            resumed = (tmp_path / "nb-report.ipynb").read_text()
            assert tool()[0] == 0 and (tmp_path / "nb-report.ipynb").read_text() == resumed
            code, text = tool("--resume")
            assert code == 2 and text.count("\n") == 1 and "ended well" in text


def test_files_that_no_port_declares_count_as_far_as_they_were_seen(tmp_path: Path) -> None:
    (tmp_path / "hidden.csv").write_text("1")
    read = "from pathlib import Path\nPath('hidden.csv').read_text()"
    write = "Path('made.txt').write_text('made')"
    book = Book(tmp_path, [read, write, FAILS, "Path('made.txt').read_text()"])
    book.fail()
    assert book.plan().count == 2
    with changed(tmp_path / "hidden.csv", "2"):
        assert book.plan().reason == "hidden.csv has changed"
    with changed(tmp_path / "made.txt", "other"):
        assert book.plan().reason == "made.txt has changed"
    book.mend()
    outcome = book.run(resume=True)
    assert outcome.resumed and outcome.resumed.restored == 2
    used = [(use.path, use.mode, use.cell) for use in outcome.files]
    assert ("hidden.csv", "read", 1) in used and ("made.txt", "write", 2) in used
    straight = book.run()
    assert [(use.path, use.mode, use.cell) for use in straight.files] == used


def test_what_the_tool_itself_writes_is_nobodys_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_NB_CAPTURE", "python")
    book = Book(tmp_path, ["x = 1", "y = 2", "open('mine', 'w').close()"])
    outcome = book.run()
    assert outcome.capture == "python only" and entries(book.folders[-1], "checkpoint")
    assert [(use.path, use.cell) for use in outcome.files] == [("mine", 3)]


def test_a_module_that_does_not_parse_is_a_reason_to_replay(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("value = 1")
    book = Book(tmp_path, ["import shop", FAILS])
    book.fail()
    (tmp_path / "shop.py").write_text("value = (  # not closed")
    with pytest.raises(ExecutionError, match="SyntaxError"):
        book.run(resume=True)
    (resumed,) = entries(book.folders[-1], "resumed")
    assert "the modules cannot be read" in str(resumed["reason"])
    assert entries(book.folders[-1], "ended")
