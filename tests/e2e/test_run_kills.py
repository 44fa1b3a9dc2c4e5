"""SIGKILL at random points of runs, sweeps and the index: what was done stays, the dead say so.

The points: a moment that is drawn evenly from the time that an undisturbed one takes here, and at
that moment one of the processes that there are, each as likely as the others. The seed is printed;
MLOPS_NB_SEED repeats it.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from mlops_nb.core.locks import holder_of, is_locked
from mlops_nb.core.project import Project
from mlops_nb.core.states import UNFINISHED
from mlops_nb.pipeline.listing import kept_runs
from mlops_nb.runs.folder import LOCK, RECORD
from mlops_nb.runs.run import Run
from mlops_nb.runs.store import Store
from mlops_nb.sweep.conduct import last_runs
from mlops_nb.sweep.record import read_sweep, sweep_ids
from tests.kills import QUIET_SECONDS, until, workers

from .conftest import Shop, environment, write_stage

pytestmark = pytest.mark.slow

RUN_KILLS, SWEEP_KILLS, INDEX_KILLS = 30, 30, 40
TOOL = [sys.executable, "-m", "mlops_nb"]
PARAMETERS = """
from mlops_nb import Out

out: Out = "out.txt"
seed: int = 0
"""
QUICK = """#!/bin/sh
if [ "$1" != execute ]; then
    exec {python} -m mlops_nb "$@"
fi
mkdir -p reports
echo "{{}}" > reports/train.ipynb
sleep 0.1
cp params.yaml out.txt
"""
"""What stands in for `mlops-nb`: its `execute` takes no kernel."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Return a project with a single stage, which takes no time."""
    shop = Shop(tmp_path_factory.mktemp("tiny") / "tiny")
    shop.root.mkdir()
    write_stage(shop.path("nbs/pipeline/10_train.ipynb"), "Train", PARAMETERS, "seed")
    shop.path("conf").mkdir()
    shop.path("conf/config.yaml").write_text("defaults: [stages, _self_]\n")
    shop.path(".gitignore").write_text(".mlops_nb/\n")
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"]):
        shop.run(*command)
    shop.tool("compose", "--write")
    shop.tool("pipeline", "sync")
    shop.commit()
    tool = shop.root.with_name("bin") / "mlops-nb"
    tool.parent.mkdir()
    tool.write_text(QUICK.format(python=sys.executable))
    tool.chmod(0o755)
    return shop


class Kills:
    """A project in which things are begun and killed."""

    def __init__(self, root: Path, tools: Path) -> None:
        seed = int(os.environ.get("MLOPS_NB_SEED", 0)) or random.SystemRandom().randrange(2**32)
        print(f"MLOPS_NB_SEED={seed}")
        self.random, self.seen = random.Random(seed), Counter[str]()
        self.shop, self.project, self.log = Shop(root), Project(root), root.with_name("log")
        self.store = Store(self.project.runs)
        self.finished: dict[str, bytes] = {}
        found = environment()
        self.environ = found | {"PATH": f"{tools}{os.pathsep}{found['PATH']}"}
        self.seconds = 0.0
        """What an undisturbed one takes."""

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Begin a command."""
        with self.log.open("ab") as log:
            options = {"stdout": subprocess.DEVNULL, "stderr": log, "start_new_session": True}
            return subprocess.Popen(
                [*TOOL, *words], cwd=self.shop.root, env=self.environ, **options
            )

    def complete(self, *words: str) -> None:
        """Do a command to its end, which must be a good one."""
        code = self.start(*words).wait(QUIET_SECONDS * 4)
        assert code == 0, self.log.read_text()

    def detach(self, override: str) -> str:
        """Begin a run in the background; return its id."""
        words = [*TOOL, "run", override, "--detach", "--json"]
        options = {"cwd": self.shop.root, "env": self.environ, "timeout": QUIET_SECONDS}
        return str(json.loads(subprocess.check_output(words, **options))["id"])

    def undisturbed(self, *words: str) -> None:
        """Do one to its end, and note how long that takes."""
        began = time.monotonic()
        self.complete(*words)
        self.seconds = time.monotonic() - began
        self.check()

    def kill_within(self, process: subprocess.Popen[bytes]) -> int:
        """Kill one of the processes that `process` is, at a random moment; return its id."""
        time.sleep(self.random.uniform(0, self.seconds))
        victim = self.random.choice([process.pid, *_pythons(process.pid)])
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        return victim

    def check(self) -> dict[str, Run]:
        """Return all runs: what was over is as it was, nothing goes on, and nothing is held."""
        until(lambda: not workers(self.shop.root), f"{workers(self.shop.root)} to end")
        runs: dict[str, Run] = {}
        for id in self.store.ids():
            found = self.store.read(id)
            assert isinstance(found, Run), found
            assert found.state not in UNFINISHED
            content = (self.store.folder_of(id) / RECORD).read_bytes()
            assert self.finished.get(id, content) == content
            if b'"finished": null' not in content and b'"finished":null' not in content:
                self.finished[id] = content
            runs[id] = found
        state = self.project.state
        held = [p for p in (*state.rglob("lock"), *state.rglob("*.lock")) if is_locked(p)]
        assert held == [] and not [p for p in (state / "queue").glob("*") if is_locked(p)]
        return runs

    def finish(self) -> None:
        """Check that the next run works and clears up after all of them."""
        self.complete("run", "train.seed=-1")
        self.check()
        assert self.shop.run("git", "worktree", "list").stdout.count("\n") == 1
        assert not list((self.project.state / "worktrees").glob("*"))
        assert self.shop.run("git", "status", "--porcelain").stdout == ""
        with kept_runs(self.project) as index:
            rows, _ = index.rows(columns=["id", "state"], removed=True)
        runs = self.check()
        assert {row["id"]: row["state"] for row in rows} == {r.id: r.state for r in runs.values()}
        print(dict(self.seen))


def _pythons(pid: int) -> list[int]:
    """Return the processes of ours below `pid`, not the commands of stages."""
    with contextlib.suppress(psutil.Error):
        below = psutil.Process(pid).children(recursive=True)
        return [one.pid for one in below if _is_python(one)]
    return []


def _is_python(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return "python" in process.name()
    return False


@pytest.fixture
def kills(tiny: Shop, tmp_path: Path) -> Iterator[Kills]:
    """Give a copy of the project, and end what goes on in it afterwards."""
    shutil.copytree(tiny.root, tmp_path / "tiny", symlinks=True)
    yield Kills(tmp_path / "tiny", tiny.root.with_name("bin"))
    for process in workers(tmp_path / "tiny"):
        process.kill()


class TestRun:
    def test_a_run_may_be_killed_at_any_time(self, kills: Kills) -> None:
        kills.undisturbed("run", "train.seed=1000")
        for number in range(RUN_KILLS):
            before = set(kills.store.ids())
            process = kills.start("run", f"train.seed={number}")
            victim = kills.kill_within(process)
            code = process.wait(QUIET_SECONDS)
            new = [run for id, run in kills.check().items() if id not in before]
            states = [run.state for run in new]
            assert len(new) <= 1
            if victim == process.pid and code == -signal.SIGKILL:
                # who is killed after its last word has ended well
                assert states in ([], ["killed:signal"], ["ok"]), states
            else:
                assert states in (["killed:signal"], ["ok"]) and (code == 0) == (states == ["ok"])
            kills.seen[f"{states}, exit code {code}"] += 1
        kills.finish()

    def test_what_waits_may_be_killed_at_any_time(self, kills: Kills) -> None:
        kills.undisturbed("run", "train.seed=1000")
        for number in range(0, RUN_KILLS, 3):
            ids = [kills.detach(f"train.seed={number + i}") for i in range(3)]
            time.sleep(kills.random.uniform(0, kills.seconds))
            holders = [holder_of(kills.store.folder_of(id) / LOCK) for id in ids]
            victims = [holder.pid for holder in holders if holder]
            if victims:
                os.kill(victim := kills.random.choice(victims), signal.SIGKILL)
                (killed,) = (i for i, h in zip(ids, holders, strict=True) if h and h.pid == victim)
            runs = kills.check()
            states = [runs[id].state for id in ids]
            assert set(states) <= {"ok", "killed:signal"} and states.count("ok") >= 2
            assert not victims or runs[killed].state in ("killed:signal", "ok")
            kills.seen[" ".join(states)] += 1
        kills.finish()


class TestSweep:
    def test_a_sweep_may_be_killed_at_any_time_and_is_resumed(self, kills: Kills) -> None:
        kills.undisturbed("sweep", "train.seed=1000,1001,1002", "-j", "2")
        codes: set[int] = set()
        for number in range(SWEEP_KILLS):
            sweeps = sweep_ids(kills.project)
            done = finished_trials(kills.project, sweeps[-1])
            if len(done) == 3:
                seeds = ",".join(str(10 * number + i) for i in range(3))
                words = [f"train.seed={seeds}", "-j", "2"]
            else:
                words = ["--resume", sweeps[-1]]
            process = kills.start("sweep", *words)
            kills.kill_within(process)
            codes.add(code := process.wait(QUIET_SECONDS))
            runs = kills.check()
            assert {run.state for run in runs.values()} <= {"ok", "cancelled", "killed:signal"}
            assert done.items() <= finished_trials(kills.project, sweeps[-1]).items()
            known = _runs_of(kills.project)
            lost = [
                r.state for r in runs.values() if r.origin["kind"] == "sweep" if r.id not in known
            ]
            assert "ok" not in lost or -signal.SIGKILL in codes  # it had no time to note it
            kills.seen[f"exit code {code}"] += 1
        last = sweep_ids(kills.project)[-1]
        kills.complete("sweep", "--resume", last)
        assert len(finished_trials(kills.project, last)) == 3
        assert "killed:signal" in {run.state for run in kills.check().values()}
        kills.finish()


def finished_trials(project: Project, sweep: str) -> dict[int, str]:
    """Return the successful run of each trial that has one."""
    found = last_runs(project, read_sweep(project, sweep))
    return {number: run.id for number, run in found.items() if run.state == "ok"}


def _runs_of(project: Project) -> list[str]:
    """Return the runs that the sweeps know of."""
    sweeps = [read_sweep(project, id) for id in sweep_ids(project)]
    return [run for sweep in sweeps for trial in sweep.trials for run in trial.runs]


WORK = """
import shutil, sys
from dataclasses import replace
from pathlib import Path
from mlops_nb.core.project import Project
from mlops_nb.pipeline.listing import INDEX, kept_runs
from mlops_nb.runs.run import Run, new_id
from mlops_nb.runs.store import Store
project = Project(Path(sys.argv[1]))
store = Store(project.runs)
print("ready", flush=True)
while True:
    run = Run(new_id(), "2013-01-01T05:15:00.000+00:00", "running")
    attempt = store.begin(run)
    with kept_runs(project) as index:
        index.rows(sort="-started")
        attempt.finish(replace(run, state="ok", finished="2013-01-01T05:16:00.000+00:00"))
        index.rows()
    store.annotate(run.id, lambda said: replace(said, note="x" * 100))
    store.purge(store.ids()[:-20])
    if len(store.ids()) % 3 == 0:
        shutil.rmtree(project.state / INDEX, ignore_errors=True)
"""


class TestIndex:
    def test_who_writes_the_index_may_be_killed_at_any_time(self, kills: Kills) -> None:
        kills.undisturbed("run", "train.seed=1000")
        for _ in range(INDEX_KILLS):
            words = [sys.executable, "-c", WORK, str(kills.shop.root)]
            options = {"stdout": subprocess.PIPE, "cwd": kills.shop.root, "env": environment()}
            with subprocess.Popen(words, **options) as process:
                assert process.stdout and process.stdout.readline() == b"ready\n"
                time.sleep(kills.random.uniform(0, 0.4))
                process.kill()
            runs = kills.check()
            with kept_runs(kills.project) as index:
                rows, _ = index.rows(columns=["id", "state"], removed=True)
            told = {row["id"]: row["state"] for row in rows}
            assert told == {run.id: run.state for run in runs.values()}
            assert [run.state for run in runs.values()].count("killed:signal") <= INDEX_KILLS
            kills.seen[runs[max(runs)].state] += 1
        kills.finish()
