"""A lock says that its holder lives, and ends with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_nb.core.locks import LifeLock, is_locked, locked

HOLD = """
import sys, time
from pathlib import Path
from mlops_nb.core.locks import LifeLock
lock = LifeLock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


def test_a_lock_ends_with_the_process_that_was_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    words = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "held\n"
        assert is_locked(path)
        process.kill()
    assert not is_locked(path)


def test_a_forked_child_does_not_keep_the_lock_of_its_parent(tmp_path: Path) -> None:
    lock = LifeLock(tmp_path / "lock")
    ready, go = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(ready, 1)
        os._exit(0)
    try:
        assert is_locked(tmp_path / "lock")
        lock.release()
        assert not is_locked(tmp_path / "lock")
    finally:
        os.write(go, b"x")
        os.waitpid(child, 0)


def test_who_waits_too_long_is_told(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"), pytest.raises(BlockingIOError):
        with locked(tmp_path / "lock", seconds=0.02):
            pass


def test_a_file_that_is_not_there_is_not_locked(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "none")
