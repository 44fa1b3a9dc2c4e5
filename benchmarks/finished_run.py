"""What completing the record of a finished run costs, against the commit that git makes of it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from mlops_nb.core.project import Project
from mlops_nb.pipeline.recording import Asked, Recording
from mlops_nb.pipeline.repro import ReproOrder, reproduce
from mlops_nb.pipeline.run import prepare_run
from mlops_nb.pipeline.worktree import worktree
from tests.e2e.conftest import environment, make_shop

from .comparison import Command, Comparison, Goal

ROOT = Path(__file__).parents[1]


def comparisons(folder: Path) -> Iterator[Comparison]:
    """Yield the comparison, on one project in `folder`; each command times its own part."""
    shop = make_shop(folder / "shop")
    shop.repro()
    shop.commit()
    environ = environment() | {"PYTHONPATH": str(ROOT)}
    words = (sys.executable, "-m", "benchmarks.finished_run")
    yield Comparison(
        Command("completing the record of a run", (*words, "record"), shop.root, environ),
        Command("git add, git commit", (*words, "git"), shop.root, environ),
        {"own": Goal(1, allowance=0.05)},
        rounds=9,
    )


def main(what: str) -> None:
    """Print how many seconds it takes after a reproduction in a worktree."""
    project = Project(Path.cwd())
    run = prepare_run(project, Asked({"kind": "run"}), ReproOrder())
    recording = Recording(project, run.asked, run.snapshot)
    with worktree(project, recording.id, run.snapshot.commit) as place:
        done = reproduce(place, run.order, environ=recording.environ_in(place))
        start = time.perf_counter()
        if what == "record":
            recording.finish(place, done)
        else:
            (place.root / "note.txt").write_text(recording.id)
            for words in (["add", "--all"], ["commit", "--quiet", "--message", "a run"]):
                subprocess.run(["git", *words], cwd=place.root, check=True)
        took = time.perf_counter() - start
        if what != "record":
            recording.finish(place, done)
    print(took)


if __name__ == "__main__":
    main(sys.argv[1])
