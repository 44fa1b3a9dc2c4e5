"""SIGKILL at random points. A class for each victim, so that several can have their turn at once."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from mlops_nb.notebook.processes import process_tree
from mlops_nb.warm.place import KERNELS, SOCKET
from mlops_nb.warm.wire import ask
from tests.kills import CHILD, Trials, trials, until
from tests.warm import ROOT, Warm, warm_server

pytestmark = pytest.mark.slow

IN_THE_GROUP = ("print('begun', flush=True)", CHILD, "'end'")


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
    with trials(cells=IN_THE_GROUP) as these:
        yield these


def folder_of(warm: Warm) -> Path:
    """Return the folder in which the server of this test listens."""
    return next(Path(warm.environ["XDG_RUNTIME_DIR"]).glob("mlops-nb-*"))


def asked(warm: Warm, name: str) -> dict[str, Any]:
    """Return what the server or the zygote says of itself, nothing if it is not there."""
    return ask(str(folder_of(warm) / name), {"do": "status"})


def kernel_of(warm: Warm) -> int | None:
    kernels = asked(warm, KERNELS).get("kernels", ())
    return next((kernel["pid"] for kernel in kernels if not kernel["spare"]), None)


def runner_of(warm: Warm) -> int | None:
    return next(iter(asked(warm, SOCKET).get("commands", ())), None)


def cold_kernel_of(process: subprocess.Popen[bytes]) -> int | None:
    for pid in process_tree(process.pid):
        if pid != process.pid and "ipykernel" in Path(f"/proc/{pid}/cmdline").read_text():
            return pid
    return None


def assert_no_folder_is_left(warm: Warm) -> None:
    """Assert that the server's folder holds no sockets but those of living kernels."""
    until(
        lambda: (
            len(list(folder_of(warm).glob("kernel-*")))
            == len(asked(warm, KERNELS).get("kernels", "?"))
        ),
        "the folders of ended kernels to go",
    )


class TestKernel:
    def test_a_warm_kernel_may_be_killed_at_any_time(self, warm: Warm, warm_trials: Trials) -> None:
        for _ in range(80):
            outcome = warm_trials.kill(lambda process: kernel_of(warm), 0.3)
            assert outcome and outcome.state in ("ok", "killed:signal")
        warm_trials.finish()
        assert_no_folder_is_left(warm)

    def test_a_cold_kernel_may_be_killed_at_any_time(self, cold_trials: Trials) -> None:
        for _ in range(20):
            outcome = cold_trials.kill(cold_kernel_of, 1.5)
            assert outcome and outcome.state in ("ok", "killed:signal")
        cold_trials.finish()


class TestRunner:
    def test_a_warm_runner_may_be_killed_at_any_time(self, warm: Warm, warm_trials: Trials) -> None:
        for _ in range(80):
            outcome = warm_trials.kill(lambda process: runner_of(warm), 0.4)
            assert outcome is None or outcome.state in ("ok", "killed:signal")
        warm_trials.finish()
        assert_no_folder_is_left(warm)

    def test_a_cold_runner_may_be_killed_at_any_time(self, cold_trials: Trials) -> None:
        for _ in range(20):
            outcome = cold_trials.kill(lambda process: process.pid, 2.0)
            assert outcome is None or outcome.state in ("ok", "killed:signal")
        cold_trials.finish()
