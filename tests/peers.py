"""Environments of their own for what cannot be installed beside this project."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".conformance"


def environment_of(name: str) -> Path:
    """Return the Python of an environment with what `requirements/NAME.txt` locks.

    It is made once, and again when the lock or our Python changes.
    """
    lock = ROOT / "requirements" / f"{name}.txt"
    state = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()
    place = CACHE / f"{name}-{state[:12]}"
    python = place / "bin" / "python"
    stamp = place / "complete"
    CACHE.mkdir(exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not stamp.exists():
            uv = Path(sys.executable).parent / "uv"
            _run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, place)
            options = ["--quiet", "--require-hashes", "--compile-bytecode", "--requirement", lock]
            _run(uv, "pip", "install", "--python", python, *options)
            stamp.touch()
    return python


def _run(*command: str | Path) -> None:
    kept = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    done = subprocess.run(
        command, env=kept, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stderr}"
