"""Changes of runs are told, whichever process makes them, also those that nobody can announce."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mlops_nb.core import alarm as alarms
from mlops_nb.core.alarm import Alarm
from mlops_nb.runs.run import Run, new_id
from mlops_nb.runs.store import CHANGES, Store
from mlops_nb.runs.watching import Change, Changes

WAIT = 60.0
NEVER = 3600.0
STARTED = "2013-01-01T05:15:00.000+00:00"
BEGIN = """
import sys, time
from pathlib import Path
from mlops_nb.runs.run import Run
from mlops_nb.runs.store import Store
attempt = Store(Path(sys.argv[1])).begin(Run(sys.argv[2], sys.argv[3], "running"))
print("begun", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


@pytest.fixture
def changes(store: Store) -> Iterator[Changes]:
    """Give changes that are told by the system alone: nothing is looked at now and then."""
    with Changes(store, Alarm(seldom=NEVER, often=NEVER)) as found:
        yield found


def begun(store: Store, run: str) -> subprocess.Popen[str]:
    """Return another process in which `run` goes on."""
    words = [sys.executable, "-c", BEGIN, str(store.folder), run, STARTED]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "begun\n"
    return process


def kinds(changes: Changes, run: str, last: str) -> list[str]:
    """Return what becomes of `run` up to the change of the kind `last`."""
    found: list[str] = []
    while last not in found:
        told = changes.wait(WAIT)
        assert told, found
        found += [change.kind for change in told if change.run == run]
    return found


def test_another_process_begins_a_run_and_is_killed(store: Store, changes: Changes) -> None:
    run = new_id()
    with begun(store, run) as process:
        assert kinds(changes, run, "added")[0] == "added"
        changes.wait(0)
        assert changes.alive == {run}
        process.kill()
        assert kinds(changes, run, "changed") == ["changed"]
    found = store.read(run)
    assert isinstance(found, Run) and found.state == "killed:signal" and changes.alive == set()


def test_a_run_that_was_there_before_us_is_watched_as_well(store: Store) -> None:
    run = new_id()
    with begun(store, run) as process, Changes(store, Alarm(NEVER, NEVER)) as changes:
        assert changes.take() == [] and changes.alive == {run}
        process.send_signal(signal.SIGKILL)
        assert changes.wait(WAIT) == [Change(run, "changed")]


def test_what_is_annotated_removed_and_purged_is_told(store: Store, changes: Changes) -> None:
    run = Run(new_id(), STARTED, "ok")
    store.add(run)
    assert changes.wait(WAIT) == [Change(run.id, "added")]
    store.annotate(run.id, lambda said: replace(said, note="good"))
    assert changes.wait(WAIT) == [Change(run.id, "changed")]
    store.purge([run.id])
    assert changes.wait(WAIT) == [Change(run.id, "removed")]


def test_folders_that_come_and_go_unannounced_are_told(store: Store, changes: Changes) -> None:
    run = new_id()
    (store.folder / run).mkdir()
    assert changes.wait(WAIT) == [Change(run, "added")]
    (store.folder / run).rmdir()
    assert changes.wait(WAIT) == [Change(run, "removed")]


def test_a_file_of_changes_that_was_replaced_makes_every_run_suspect(store: Store) -> None:
    runs = [Run(new_id(), STARTED, "ok") for _ in range(3)]
    for run in runs:
        store.add(run)
    with Changes(store, Alarm(NEVER, NEVER)) as changes:
        path = store.folder / CHANGES
        other = path.with_name("other")
        other.write_bytes(path.read_bytes()[: len(path.read_bytes()) // 3])
        other.replace(path)
        told = changes.wait(WAIT)
        assert sorted(change.run for change in told) == sorted(run.id for run in runs)
        assert {change.kind for change in told} == {"changed"}


def test_nothing_is_told_while_nothing_happens(store: Store, changes: Changes) -> None:
    store.add(Run(new_id(), STARTED, "ok"))
    changes.wait(WAIT)
    for run in store.ids():
        store.read(run)
    assert changes.wait(0.2) == [] and select.select([changes], [], [], 0)[0] == []


def test_many_processes_at_once_are_all_told(store: Store, changes: Changes) -> None:
    runs = {new_id() for _ in range(16)}
    words = [sys.executable, "-c", BEGIN, str(store.folder)]
    processes = [
        subprocess.Popen([*words, run, STARTED], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        for run in runs
    ]
    added: set[str] = set()
    while added != runs:
        told = changes.wait(WAIT)
        assert told, len(added)
        added |= {change.run for change in told if change.kind == "added"}
    for process in processes:
        process.communicate()
    while changes.alive:
        assert changes.wait(WAIT)


def test_an_event_loop_is_told(store: Store) -> None:
    async def first() -> Change:
        with Changes(store, Alarm(NEVER, NEVER)) as changes:
            run = Run(new_id(), STARTED, "ok")
            asyncio.get_running_loop().call_later(0.05, store.add, run)
            async for change in changes:
                assert change.run == run.id
                return change
        raise AssertionError

    assert asyncio.run(asyncio.wait_for(first(), WAIT)).kind == "added"


def test_where_the_system_tells_nothing_it_is_looked_at_often(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarms, "_observer", lambda: None)
    run = new_id()
    with Changes(store, Alarm(seldom=NEVER, often=0.05)) as changes, begun(store, run) as process:
        assert kinds(changes, run, "added")[0] == "added"
        process.kill()
        assert kinds(changes, run, "changed")[-1] == "changed"


def test_an_alarm_leaves_no_descriptor_and_no_thread(tmp_path: Path) -> None:
    Alarm().close()  # watchdog keeps what the first one takes
    before = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        alarm = Alarm()
        alarm.add(tmp_path)
        alarm.add(tmp_path / "missing")
        alarm.remove(tmp_path)
        alarm.close()
        alarm.close()
    after = threading.active_count(), len(os.listdir("/proc/self/fd"))
    assert after <= before
