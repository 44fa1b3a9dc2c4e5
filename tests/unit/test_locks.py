"""A lock says that its holder lives, and ends with it."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mlops_nb.core.locks import LifeLock, is_free, is_locked, locked

HOLD = """
import sys, time
from pathlib import Path
from mlops_nb.core.locks import LifeLock
lock = LifeLock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


HOLD_AND_FORK = """
import os, sys, time
from pathlib import Path
from mlops_nb.core.locks import LifeLock
lock = LifeLock(Path(sys.argv[1]))
if os.fork() == 0:
    print("forked", flush=True)
    sys.stdin.read()
    os._exit(0)
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
    path = tmp_path / "lock"
    words = [sys.executable, "-c", HOLD_AND_FORK, str(path)]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stdout.readline() == "forked\n"
        assert is_locked(path)
        process.kill()
        process.wait()
        assert is_free(path)  # though the child waits for the end of its input


def test_a_lock_that_was_released_is_free_whoever_was_forked_meanwhile(tmp_path: Path) -> None:
    lock = LifeLock(tmp_path / "lock")
    other = os.dup(lock._file or 0)
    lock.release()
    assert is_free(tmp_path / "lock")
    os.close(other)


def test_who_waits_too_long_is_told(tmp_path: Path) -> None:
    with locked(tmp_path / "lock"), pytest.raises(BlockingIOError):
        with locked(tmp_path / "lock", seconds=0.02):
            pass


def test_a_file_that_is_not_there_is_not_locked(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "none") and is_free(tmp_path / "none")


def test_where_there_are_no_locks_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    life = LifeLock(tmp_path / "lock")
    assert not is_locked(tmp_path / "lock") and not is_free(tmp_path / "lock")
    life.release()


def test_a_look_does_not_make_fail_who_takes_the_lock_without_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    path.touch()
    look = os.open(path, os.O_RDONLY)
    fcntl.flock(look, fcntl.LOCK_SH)  # somebody is in the middle of `is_locked`
    monkeypatch.setattr("time.sleep", lambda _: fcntl.flock(look, fcntl.LOCK_UN))
    with locked(path, seconds=0.0):
        assert is_locked(path)
    os.close(look)


def test_takers_and_lookers_all_come_to_their_end(tmp_path: Path) -> None:
    path, over = tmp_path / "lock", threading.Event()
    path.touch()

    def look() -> None:
        while not over.is_set():
            is_locked(path)

    lookers = [threading.Thread(target=look) for _ in range(4)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(200):
            with locked(path, seconds=0.0):
                pass
    finally:
        over.set()
        for looker in lookers:
            looker.join()
