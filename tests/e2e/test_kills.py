"""SIGKILL at random points; a class for each victim, so that several have their turn at once."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_nb.notebook.journal import JOURNAL
from mlops_nb.notebook.outcome import Outcome
from mlops_nb.notebook.processes import process_tree
from mlops_nb.warm.place import KERNELS, SOCKET
from tests.kills import CHILD, Execution, Trials, trials, until
from tests.warm import Warm, warm_server

pytestmark = pytest.mark.slow

NO_DAEMONS = ("print('begun', flush=True)", CHILD, "'end'")
"""A daemon younger than the last look at a cold kernel's family may outlive a killed runner."""


@pytest.fixture(scope="class")
def warm() -> Iterator[Warm]:
    with warm_server() as server:
        yield server


@pytest.fixture
def warm_trials(warm: Warm) -> Iterator[Trials]:
    with trials(warm.environ) as these:
        yield these


@pytest.fixture
def cold_trials() -> Iterator[Trials]:
    with trials() as these:
        yield these


@pytest.fixture
def cold_trials_without_daemons() -> Iterator[Trials]:
    with trials(cells=NO_DAEMONS) as these:
        yield these


def kernel_of(warm: Warm) -> int | None:
    kernels = warm.asked(KERNELS).get("kernels", ())
    return next((kernel["pid"] for kernel in kernels if not kernel["spare"]), None)


def runner_of(warm: Warm) -> int | None:
    return next(iter(warm.asked(SOCKET).get("commands", ())), None)


def cold_kernel_of(execution: Execution) -> int | None:
    for pid in process_tree(execution.process.pid):
        with contextlib.suppress(OSError):
            if "ipykernel_launcher" in Path(f"/proc/{pid}/cmdline").read_text():
                return pid
    return None


def runner_with_a_journal(execution: Execution) -> int | None:
    has_begun = any(execution.folder.glob(f"mlops_nb/executions/*/{JOURNAL}"))
    return execution.process.pid if has_begun else None


def assert_no_folder_is_left(warm: Warm) -> None:
    """Assert that the server's folder holds no sockets but those of living kernels."""
    until(
        lambda: (
            len(list(warm.folder.glob("kernel-*"))) == len(warm.asked(KERNELS).get("kernels", "?"))
        ),
        "the folders of ended kernels to go",
    )


class TestKernel:
    def test_a_warm_kernel_may_be_killed_at_any_time(self, warm: Warm, warm_trials: Trials) -> None:
        for _ in range(80):
            (outcome,) = warm_trials.kill(lambda execution: kernel_of(warm), 0.3)
            assert outcome and outcome.state in ("ok", "killed:signal")
        warm_trials.finish()
        assert_no_folder_is_left(warm)

    def test_a_cold_kernel_may_be_killed_at_any_time(self, cold_trials: Trials) -> None:
        for _ in range(20):
            (outcome,) = cold_trials.kill(cold_kernel_of, 1.5)
            assert outcome and outcome.state in ("ok", "killed:signal")
        cold_trials.finish()


class TestRunner:
    def test_a_warm_runner_may_be_killed_at_any_time(self, warm: Warm, warm_trials: Trials) -> None:
        for _ in range(80):
            (outcome,) = warm_trials.kill(lambda execution: runner_of(warm), 0.4, agree=False)
            assert outcome is None or outcome.state in ("ok", "killed:signal")
        warm_trials.finish()
        assert_no_folder_is_left(warm)

    def test_a_cold_runner_may_be_killed_at_any_time(
        self, cold_trials_without_daemons: Trials
    ) -> None:
        for _ in range(20):
            (outcome,) = cold_trials_without_daemons.kill(runner_with_a_journal, 1.5, agree=False)
            assert outcome is None or outcome.state in ("ok", "killed:signal")
        cold_trials_without_daemons.finish()


class TestServer:
    def test_the_server_may_be_killed_at_any_time(self, warm: Warm, warm_trials: Trials) -> None:
        for number in range(100):
            warm.start_unless_it_runs()
            many = 4 if number % 20 == 0 else 1
            outcomes = warm_trials.kill(lambda _: warm.asked(SOCKET).get("pid"), 0.4, beside=many)
            assert {outcome and outcome.state for outcome in outcomes} == {"ok"}
        warm.start()
        warm_trials.finish()


class TestZygote:
    def test_the_zygote_may_be_killed_at_any_time(self, warm: Warm, warm_trials: Trials) -> None:
        for number in range(100):
            warm.start_unless_it_runs()
            many = 4 if number % 20 == 0 else 1
            outcomes = warm_trials.kill(lambda _: warm.asked(KERNELS).get("pid"), 0.4, beside=many)
            assert {outcome and outcome.state for outcome in outcomes} == {"ok"}
        warm.start()
        warm_trials.finish()
        assert_no_folder_is_left(warm)


class TestTerminal:
    def test_a_warm_terminal_may_be_closed_or_killed_at_any_time(
        self, warm: Warm, warm_trials: Trials
    ) -> None:
        for number in range(90):
            outcome = close_terminal(warm_trials, 0.5, by_signal=number % 2 == 0)
            assert outcome is None or outcome.state in ("ok", "cancelled")
        warm_trials.finish()
        assert_no_folder_is_left(warm)

    def test_a_cold_terminal_may_be_closed_at_any_time(
        self, cold_trials_without_daemons: Trials
    ) -> None:
        for _ in range(10):
            outcome = close_terminal(cold_trials_without_daemons, 2.5, by_signal=False)
            assert outcome is None or outcome.state in ("ok", "cancelled")
        cold_trials_without_daemons.finish()


def close_terminal(trials: Trials, within: float, *, by_signal: bool) -> Outcome | None:
    """Execute in a terminal that goes at most `within` seconds later; return what came of it."""
    ours, theirs = pty.openpty()
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
    execution = trials.start(**streams, start_new_session=True, preexec_fn=own_terminal)
    os.close(theirs)
    if trials.random.random() < 0.7:  # however slowly it starts here: most are to have begun
        while execution.process.poll() is None and not runner_with_a_journal(execution):
            time.sleep(0.002)
    time.sleep(trials.random.uniform(0, within))
    if by_signal:
        execution.process.kill()
    os.close(ours)
    return trials.check(execution, agree=False)


def own_terminal() -> None:
    """Make standard input the terminal that this process is in charge of."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
