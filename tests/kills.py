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
from dataclasses import dataclass
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
Target = Callable[["Execution"], int | None]


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


@dataclass(frozen=True)
class Execution:
    """One that has begun, in a folder of its own."""

    folder: Path
    process: subprocess.Popen[bytes]

    def log(self) -> str:
        """Return what it wrote to standard error."""
        return (self.folder / "log").read_text()


class Trials:
    """Executions in `base`, with a temporary directory of their own."""

    def __init__(self, base: Path, environ: dict[str, str], cells: tuple[str, ...] = CELLS) -> None:
        seed = int(os.environ.get("MLOPS_NB_SEED", 0)) or random.SystemRandom().randrange(2**32)
        print(f"MLOPS_NB_SEED={seed}")
        self.random = random.Random(seed)
        self.seen: Counter[str] = Counter()
        self._base, self._cells, self._number = base, cells, 0
        self.temporary = base / "tmp"
        self.temporary.mkdir()
        self._environ = environ | {"TMPDIR": str(self.temporary)}

    def start(self, **options: Any) -> Execution:
        """Start an execution."""
        self._number += 1
        folder = self._base / str(self._number)
        folder.mkdir()
        sources = [text + DONE.format(i) for i, text in enumerate(self._cells)]
        cells = [nbformat.v4.new_code_cell(text, id=f"c{i}") for i, text in enumerate(sources)]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "nb.ipynb")
        environ = self._environ | {"XDG_STATE_HOME": str(folder)}
        command = [sys.executable, "-m", "mlops_nb", "execute", "nb.ipynb", "-o", "out.ipynb"]
        with (folder / "log").open("wb") as log:
            streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": log}
            given = {"cwd": folder, "env": environ, **streams, **options}
            return Execution(folder, subprocess.Popen(command, **given))

    def kill(
        self, target: Target, within: float, *, beside: int = 1, agree: bool = True
    ) -> list[Outcome | None]:
        """Kill `target` at most `within` seconds after it is there; `check` what is left.

        It is the target of one execution, or of several that go on side by side.
        """
        executions = [self.start() for _ in range(beside)]
        pid, deadline = None, time.monotonic() + QUIET_SECONDS
        while pid is None and any(one.process.poll() is None for one in executions):
            pid = target(executions[0])
            assert time.monotonic() < deadline, f"nothing to kill: {workers(self._base)}"
        time.sleep(self.random.uniform(0, within))
        try:
            if pid is None:
                raise ProcessLookupError
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            self.seen["too late"] += 1
        return [self.check(execution, agree=agree) for execution in executions]

    def check(self, execution: Execution, *, agree: bool = True) -> Outcome | None:
        """Return the outcome of an execution; nothing of it runs, and what is told is true.

        Its exit code has to `agree` with it, unless who tells the code may have been killed.
        """
        code, folder, log = execution.process.wait(QUIET_SECONDS), execution.folder, execution.log()
        until(lambda: not workers(folder), f"{workers(folder)} to end\n{log}")
        assert "Traceback" not in log, log
        journals = list(folder.glob(f"mlops_nb/executions/*/{JOURNAL}"))
        assert len(journals) <= 1, log
        outcome = outcome_told(journals[0], folder) if journals else None
        state = outcome.state if outcome else "not begun"
        wrong = f"{outcome}, exit code {code}\n{log}"
        assert code != 0 or state == "ok", wrong
        assert code == 0 or state != "ok" or not agree, wrong
        self.seen[f"{state}, exit code {code}"] += 1
        shutil.rmtree(folder)
        return outcome

    def finish(self) -> None:
        """Check that the next execution works, and that nothing is left after it."""
        outcome = self.check(self.start())
        assert outcome is not None and outcome.state == "ok"
        left = {str(path): path.stat().st_mtime for path in self.temporary.rglob("*")}
        assert left == {}, (time.time(), left)
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
