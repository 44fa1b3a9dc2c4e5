"""What every runner of steps does with a graph: the rehearsal in memory, and DVC."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from mlops_nb.core.project import Project
from mlops_nb.pipeline.repro import ReproOrder, reproduce
from mlops_nb.pipeline.schedule import Rehearsal, State, Step, walk

pytestmark = pytest.mark.slow

DIAMOND = [
    Step("source"),
    Step("left", frozenset({"source"})),
    Step("right", frozenset({"source"})),
    Step("joined", frozenset({"left", "right"})),
    Step("apart"),
]
Run = Callable[..., dict[str, State]]


def rehearse(
    _folder: Path, steps: Sequence[Step], failing: Sequence[str], *, jobs: int, keep_going: bool
) -> dict[str, State]:
    runner = Rehearsal({step.name: 1 for step in steps}, failing)
    return walk(steps, runner, jobs=jobs, keep_going=keep_going)


def reproduce_with_dvc(
    folder: Path, steps: Sequence[Step], failing: Sequence[str], *, jobs: int, keep_going: bool
) -> dict[str, State]:
    lines = ["stages:"]
    for step in steps:
        lines += [f"  {step.name}:", f"    outs: [{step.name}.txt]"]
        lines += [f"    deps: [{', '.join(f'{need}.txt' for need in sorted(step.needs))}]"]
        lines += [f"    cmd: {'exit 1' if step.name in failing else f'echo 1 > {step.name}.txt'}"]
    (folder / "dvc.yaml").write_text("\n".join(lines))
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=folder, check=True)
    done = reproduce(Project(folder), ReproOrder(jobs=jobs, keep_going=keep_going))
    return {result.stage: result.state for result in done.stages}


@pytest.fixture(params=[rehearse, reproduce_with_dvc])
def run(request: pytest.FixtureRequest) -> Run:
    return request.param  # type: ignore[no-any-return]


@pytest.mark.parametrize("jobs", [1, 3])
def test_every_step_runs_when_none_fails(run: Run, tmp_path: Path, jobs: int) -> None:
    found = run(tmp_path, DIAMOND, [], jobs=jobs, keep_going=False)

    assert found == dict.fromkeys(["source", "left", "right", "joined", "apart"], "ran")


def test_nothing_begins_after_a_failure(run: Run, tmp_path: Path) -> None:
    assert run(tmp_path, DIAMOND, ["left"], jobs=1, keep_going=False) == {
        "source": "ran",
        "left": "failed",
        "right": "not run",
        "joined": "not run",
        "apart": "not run",
    }


@pytest.mark.parametrize("jobs", [1, 3])
def test_only_what_needs_a_failed_step_is_left_out_if_it_is_to_go_on(
    run: Run, tmp_path: Path, jobs: int
) -> None:
    assert run(tmp_path, DIAMOND, ["left"], jobs=jobs, keep_going=True) == {
        "source": "ran",
        "left": "failed",
        "right": "ran",
        "joined": "not run",
        "apart": "ran",
    }
