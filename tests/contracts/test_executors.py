"""What every executor of a sweep does with specs: in memory, in processes, on Ray, as jobs."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlops_nb.core.project import Project
from mlops_nb.pipeline.recording import code_facts
from mlops_nb.pipeline.snapshot import take_snapshot
from mlops_nb.runs.run import is_id
from mlops_nb.sweep.executor import Executor, News, Rehearsal
from mlops_nb.sweep.pool import Pool
from mlops_nb.sweep.ray_executor import RayExecutor
from mlops_nb.sweep.slurm import Slurm
from mlops_nb.sweep.spec import RunSpec
from tests.ray_nodes import Nodes, two_nodes

pytestmark = pytest.mark.slow

STAGES = """stages:
  first:
    cmd: python3 -c "import time; time.sleep({seconds})"; echo 1 > first.txt
    outs: [first.txt]
    params: [rate]
  second:
    cmd: 'grep -q "rate: 1" params.yaml && echo 2 > second.txt'
    deps: [first.txt, params.yaml]
    outs: [second.txt]
"""
Make = Callable[..., tuple[Executor, Callable[[int], RunSpec]]]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Give a Ray cluster of two nodes."""
    with two_nodes(tmp_path_factory.mktemp("nodes")) as found:
        yield found


@pytest.fixture(params=["rehearsal", "pool", "ray", "slurm"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Give a function that makes an executor and its specs; trials above 9 fail at `second`."""
    kind = request.param
    with contextlib.ExitStack() as stack:

        def begin(project: Project) -> Executor:
            if kind == "ray":
                return RayExecutor(project, request.getfixturevalue("nodes").address)
            return Pool(project) if kind == "pool" else Slurm(project, local=True)

        def real(seconds: float) -> tuple[Executor, Callable[[int], RunSpec]]:
            (tmp_path / "dvc.yaml").write_text(STAGES.format(seconds=seconds))
            (tmp_path / "params.yaml").write_text("rate: 1\n")
            (tmp_path / ".gitignore").write_text(".mlops_nb/\n")
            for words in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
                subprocess.run(words, cwd=tmp_path, check=True)
            project = Project(tmp_path)
            code = code_facts(take_snapshot(tmp_path, "code"))
            executor = stack.enter_context(contextlib.closing(begin(project)))
            return executor, lambda n: RunSpec("s", n, (), f"rate: {1 + n // 10}\n", code)

        def rehearse(seconds: float) -> tuple[Executor, Callable[[int], RunSpec]]:
            failing = {n: "second" for n in range(10, 20)}
            return Rehearsal(["first", "second"], failing), lambda n: RunSpec("s", n, (), "", {})

        yield rehearse if kind == "rehearsal" else real


def heard(executor: Executor, over: int) -> list[News]:
    """Return the news until so many trials are over."""
    told: list[News] = []
    while sum(news.kind == "over" for news in told) < over:
        told.append(executor.wait())
    return told


def test_a_trial_begins_runs_its_stages_and_is_over(make: Make) -> None:
    executor, spec = make(0)
    executor.submit(spec(1))
    told = heard(executor, 1)
    assert told[0].kind == "began" and is_id(told[0].run)
    assert [news.stage for news in told if news.kind == "ended"] == ["first", "second"]
    assert told[-1] == News(1, "over", told[0].run, state="ok")


def test_a_trial_that_fails_says_where_and_another_goes_on(make: Make) -> None:
    executor, spec = make(0)
    executor.submit(spec(10))
    executor.submit(spec(2))
    told = heard(executor, 2)
    ends = {news.trial: news.state for news in told if news.kind == "over"}
    assert ends == {10: "error", 2: "ok"}
    assert [(n.trial, n.stage) for n in told if n.state == "failed"] == [(10, "second")]


def test_one_trial_after_the_other_may_be_submitted(make: Make) -> None:
    executor, spec = make(0)
    for number in (1, 2):
        executor.submit(spec(number))
        assert heard(executor, 1)[-1].trial == number


def test_a_trial_that_is_stopped_is_over_as_cancelled(make: Make) -> None:
    executor, spec = make(60)
    executor.submit(spec(1))
    while executor.wait().kind != "running":
        pass
    executor.stop()
    assert heard(executor, 1)[-1].state == "cancelled"


def test_a_trial_that_is_cancelled_is_over_and_another_goes_on(make: Make) -> None:
    executor, spec = make(15)  # a job of Slurm takes seconds to begin
    began = []
    for number in (1, 2):
        executor.submit(spec(number))
        while (news := executor.wait()).kind != "running":
            began += [news] if news.kind == "began" else []
    executor.cancel(1)
    told = heard(executor, 2)
    ends = {news.trial: news for news in told if news.kind == "over"}
    assert {trial: news.state for trial, news in ends.items()} == {1: "cancelled", 2: "ok"}
    assert [ends[news.trial].run for news in began] == [news.run for news in began]


def test_cancelling_what_does_not_go_on_changes_nothing(make: Make) -> None:
    executor, spec = make(0)
    executor.cancel(1)
    for number in (1, 2):
        executor.submit(spec(number))
        assert heard(executor, 1)[-1].state == "ok"
        executor.cancel(number)


def test_stopping_when_nothing_runs_changes_nothing(make: Make) -> None:
    executor, spec = make(0)
    executor.stop()
    executor.submit(spec(1))
    assert heard(executor, 1)[-1].state == "ok"
