"""A warm server of its own for tests, beside the ones that may run on the machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_nb.warm.place import KERNELS
from mlops_nb.warm.wire import ask

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Warm:
    """A private runtime folder, and the environment in which commands find it."""

    environ: dict[str, str]
    own: dict[str, str]
    """What `environ` has beside, or other than, the environment of this process."""

    def run(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run `mlops-nb` with `arguments`."""
        command = [sys.executable, "-m", "mlops_nb", *arguments]
        given = {"env": self.environ, "capture_output": True, "text": True, "timeout": 180}
        return subprocess.run(command, check=False, **(given | options))

    def status(self) -> dict[str, Any]:
        """Return what `warm status --json` says."""
        value: dict[str, Any] = json.loads(self.run("warm", "status", "--json").stdout)
        return value

    @property
    def folder(self) -> Path:
        """The folder in which the server listens."""
        return next(Path(self.environ["XDG_RUNTIME_DIR"]).glob("mlops-nb-*"))

    def asked(self, name: str) -> dict[str, Any]:
        """Return what the server or the zygote says of itself, nothing if it is not there."""
        return ask(str(self.folder / name), {"do": "status"})

    def start(self, *names: str) -> dict[str, Any]:
        """Start the server with the modules `names` loaded, and wait for a spare kernel."""
        self.start_unless_it_runs(*names)
        return self.wait_for_spare()

    def start_unless_it_runs(self, *names: str) -> None:
        """Start the server with the modules `names` loaded; it may not have a kernel yet."""
        script = (
            "from mlops_nb.cli.prepared import PREPARE\n"
            "from mlops_nb.warm.standing import start_and_wait\n"
            f"start_and_wait(PREPARE, {names!r})"
        )
        subprocess.run([sys.executable, "-c", script], env=self.environ, check=True, timeout=180)

    def wait_for_spare(self) -> dict[str, Any]:
        """Wait until a kernel is in waiting; return how things stand."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if any(kernel["spare"] for kernel in self.asked(KERNELS).get("kernels", ())):
                return self.status()
            time.sleep(0.01)
        raise AssertionError(f"no spare kernel: {self.status()}\n{self.log()}")

    def log(self) -> str:
        """Return what the server wrote."""
        logs = Path(self.environ["XDG_RUNTIME_DIR"]).glob("*/server.log")
        return "".join(path.read_text() for path in logs)


@contextmanager
def warm_server(
    *names: str,
    idle: float = 1800.0,
    path: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Iterator[Warm]:
    """Give a running server that nobody else uses, with `path` on its import path.

    `environ` is what its environment has beside ours.
    """
    runtime = tempfile.mkdtemp(prefix="warm-", dir="/tmp")
    # With PYTEST_CURRENT_TEST, ipykernel would not capture what is written to files 1 and 2.
    without = ("MLOPS_NB_WARM", "PYTEST_CURRENT_TEST")
    kept = {name: value for name, value in os.environ.items() if name not in without}
    own = {"XDG_RUNTIME_DIR": runtime, "MLOPS_NB_WARM_IDLE": str(idle), "MLOPS_NB_WARM": "1"}
    places = [str(ROOT), str(path or ""), os.environ.get("PYTHONPATH", "")]
    own["PYTHONPATH"] = os.pathsep.join(filter(None, places))
    own |= environ or {}
    warm = Warm(kept | own, own)
    try:
        warm.start(*names)
        yield warm
    finally:
        warm.run("warm", "stop")
        shutil.rmtree(runtime, ignore_errors=True)
