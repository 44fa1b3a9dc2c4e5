"""Executions that somebody kills at a random moment, and what must hold after every one of them."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import psutil

from mlops_nb.notebook.journal import JOURNAL
from mlops_nb.notebook.outcome import Outcome
from mlops_nb.notebook.replay import Replay
from mlops_nb.notebook.report import render
from tests.warm import ROOT

DONE = "\nopen('{}', 'w').close()"
CHILD = "import subprocess\nsubprocess.Popen(['sleep', '600'])"
DAEMONS = (
    "import os\nsubprocess.Popen(['sleep', '600'], start_new_session=True)\n"
    "os.system('(setsid sleep 600 &)')"
)
CELLS = ("print('begun', flush=True)", CHILD, DAEMONS, "import time\ntime.sleep(0.15)", "'end'")
QUIET_SECONDS = 30.0
Target = Callable[[subprocess.Popen[bytes]], int | None]


def until(condition: Callable[[], Any], what: str, seconds: float = QUIET_SECONDS) -> Any:
    """Return the value of `condition` as soon as it is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    raise AssertionError(f"not in time: {what}")


def workers(folder: Path) -> list[psutil.Process]:
    """Return the living processes whose working directory is in `folder`: whatever was started."""
    found = []
    for process in psutil.process_iter(["cwd", "status"]):
        cwd = process.info["cwd"] or ""
        if Path(cwd).is_relative_to(folder) and process.info["status"] != "zombie":
            found.append(process)
    return found


class Trials:
    """One execution after the other in `base`, with a temporary directory of their own."""

    def __init__(self, base: Path, environ: dict[str, str], cells: tuple[str, ...] = CELLS) -> None:
        seed = int(os.environ.get("MLOPS_NB_SEED", 0)) or random.SystemRandom().randrange(2**32)
        print(f"MLOPS_NB_SEED={seed}")
        self.random = random.Random(seed)
        self.seen: Counter[str] = Counter()
        self._base, self._cells, self._number = base, cells, 0
        self.temporary = base / "tmp"
        self.temporary.mkdir()
        self._environ = environ | {"TMPDIR": str(self.temporary)}

    def start(self, **options: Any) -> subprocess.Popen[bytes]:
        """Start an execution in a folder of its own."""
        self._number += 1
        self.folder = self._base / str(self._number)
        self.folder.mkdir()
        sources = [text + DONE.format(i) for i, text in enumerate(self._cells)]
        cells = [nbformat.v4.new_code_cell(text, id=f"c{i}") for i, text in enumerate(sources)]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), self.folder / "nb.ipynb")
        environ = self._environ | {"XDG_STATE_HOME": str(self.folder)}
        command = [sys.executable, "-m", "mlops_nb", "execute", "nb.ipynb", "-o", "out.ipynb"]
        null = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        log = (self.folder / "log").open("wb")
        given = {"cwd": self.folder, "env": environ, "stderr": log, **null, **options}
        with log:
            return subprocess.Popen(command, **given)

    def kill(self, target: Target, within: float, **options: Any) -> Outcome | None:
        """Execute; kill `target` at most `within` seconds after it is there; check what is left."""
        process = self.start(**options)
        pid = None
        while pid is None and process.poll() is None:
            pid = target(process)
        if pid is not None:
            time.sleep(self.random.uniform(0, within))
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                self.seen["too late"] += 1
        return self.check(process)

    def check(self, process: subprocess.Popen[bytes]) -> Outcome | None:
        """Return the outcome of an execution of which nothing runs any more and all told is true."""
        code = process.wait(QUIET_SECONDS)
        log = (self.folder / "log").read_text()
        until(lambda: not workers(self.folder), f"{workers(self.folder)} to end\n{log}")
        assert "Traceback" not in log, log
        journals = list(self.folder.glob(f"mlops_nb/executions/*/{JOURNAL}"))
        outcomes = [outcome_told(path, self.folder) for path in journals]
        ok = [outcome for outcome in outcomes if outcome and outcome.state == "ok"]
        assert len(journals) <= 1, log
        if code == 0:
            assert ok, f"{outcomes}\n{log}"
        outcome = outcomes[0] if outcomes else None
        self.seen[f"{outcome.state if outcome else 'not begun'}, exit code {code}"] += 1
        shutil.rmtree(self.folder)
        return outcome

    def finish(self) -> None:
        """Check that the next execution works, and that nothing is left after it."""
        process = self.start()
        outcome = self.check(process)
        assert outcome is not None and outcome.state == "ok"
        assert process.returncode == 0
        assert os.listdir(self.temporary) == []
        print(dict(self.seen))


def outcome_told(journal: Path, folder: Path) -> Outcome | None:
    """Return what `journal` says, which must agree with the files that cells have left."""
    if not journal.read_bytes().count(b"\n"):
        return None  # nothing had happened when it was made
    replay = Replay(journal)
    outcome = replay.outcome()
    assert render(replay.notebook())
    assert outcome.state not in ("pending", "running")
    for number, cell in enumerate(outcome.cells):
        assert cell.state != "running"
        assert cell.state != "ok" or (folder / str(number)).exists(), outcome
    if outcome.state == "ok":
        assert all(cell.state == "ok" for cell in outcome.cells)
        assert (folder / "out.ipynb").exists()
    return outcome


@contextmanager
def trials(environ: dict[str, str] | None = None, **options: Any) -> Iterator[Trials]:
    """Give trials in a folder with a short path, which sockets need."""
    base = Path(tempfile.mkdtemp(prefix="k-", dir="/tmp"))
    cold = {**os.environ, "MLOPS_NB_WARM": "0", "PYTHONPATH": str(ROOT)}
    try:
        yield Trials(base, environ or cold, **options)
    finally:
        for process in workers(base):
            process.kill()
        shutil.rmtree(base, ignore_errors=True)
