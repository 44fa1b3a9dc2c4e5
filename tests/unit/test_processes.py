"""A signal reaches the process that it is meant for, or nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.core.locks import LifeLock, holder_of
from mlops_nb.core.processes import (
    Identity,
    identity_from_text,
    identity_of,
    own_identity,
    processors,
    send_signal,
)
from mlops_nb.core.project import Project
from mlops_nb.notebook.interrupts import interrupts_counted
from mlops_nb.runs.folder import LOCK
from mlops_nb.runs.run import new_id
from mlops_nb.sweep.stopping import stop
from mlops_nb.sweep.works import Work

WORD = st.text("0123456789abcdef-/.", min_size=1)


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """Give a process that nobody means."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


@given(st.integers(0, 2**31), WORD, WORD)
def test_an_identity_is_read_as_it_was_written(pid: int, began: str, machine: str) -> None:
    identity = Identity(pid, began, machine)
    assert identity_from_text(identity.to_text()) == identity


@given(st.text())
def test_what_is_no_identity_is_none(text: str) -> None:
    found = identity_from_text(text)
    assert found is None or found.to_text().split() == [str(found.pid), *text.split()[1:]]


def test_a_forked_child_has_an_identity_of_its_own() -> None:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, own_identity().to_text().encode())
        os._exit(0)
    told = identity_from_text(os.read(reader, 1000).decode())
    os.waitpid(pid, 0)
    assert told is not None and told.pid == pid and told != own_identity()


def test_a_number_that_came_round_again_is_not_hit(stranger: subprocess.Popen[bytes]) -> None:
    found = identity_of(stranger.pid)
    assert found
    for other in (replace(found, began="1"), replace(found, machine="another")):
        assert not send_signal(other, signal.SIGKILL)
    assert stranger.poll() is None


@pytest.mark.parametrize("held", [True, False])
def test_a_stale_lock_file_stops_nobody(
    tmp_path: Path, stranger: subprocess.Popen[bytes], held: bool
) -> None:
    project, run = Project(tmp_path), new_id()
    path = project.runs / run / LOCK
    path.parent.mkdir(parents=True)
    lock = LifeLock(path)
    found = identity_of(stranger.pid)
    assert found
    path.write_text((replace(found, began="1") if held else found).to_text())
    if not held:
        lock.release()
        assert holder_of(path) is None
    assert stop(project, Work("run", run, "running"), hard=False) is None
    assert stranger.poll() is None
    lock.release()


def test_an_ignored_interruption_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts_counted(lambda count: None) as counts:
            signal.raise_signal(signal.SIGINT)
        assert counts == [] and signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_interruptions_are_counted_and_the_handler_is_put_back() -> None:
    before, acted = signal.getsignal(signal.SIGINT), list[int]()
    with interrupts_counted(acted.append) as counts:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    assert acted == counts == [1, 2] and signal.getsignal(signal.SIGINT) == before


def test_another_thread_is_not_interrupted() -> None:
    found: list[list[int]] = []

    def work() -> None:
        with interrupts_counted(lambda count: None) as counts:
            found.append(counts)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [[]]


def test_there_is_a_processor() -> None:
    assert processors() >= 1
