"""Runs beside the workspace: what they leave, what they leave alone, and what is on record."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mlops_nb.runs.run import Run
from mlops_nb.runs.store import Store
from tests.at_once import at_once

from .conftest import Shop, environment

pytestmark = pytest.mark.slow


def run_of(shop: Shop, *overrides: str, code: int = 0) -> Run:
    """Run the pipeline, and return the newest record."""
    shop.tool("run", *overrides, code=code)
    return newest(shop)


def newest(shop: Shop) -> Run:
    store = Store(shop.path(".mlops_nb/runs"))
    found = store.read(store.ids()[-1])
    assert isinstance(found, Run), found
    return found


def state_of(folder: Path) -> dict[str, bytes]:
    """Return every file of a workspace but what the toolkit and git keep for themselves."""
    own = (".mlops_nb", ".git", "__pycache__")
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not set(own) & set(path.relative_to(folder).parts)
        and ".dvc/cache" not in str(path) and ".dvc/tmp" not in str(path)
    }  # fmt: skip


def test_a_run_leaves_the_workspace_as_it_is(shop: Shop) -> None:
    shop.path("notes.txt").write_text("not tracked")
    shop.replace("shop/score.py", "Score a model.", "Score a model, edited.")
    before, status = state_of(shop.root), shop.run("git", "status", "--porcelain").stdout
    run = run_of(shop, "train=median", "train.shrink=0.5")
    assert state_of(shop.root) == before
    assert shop.run("git", "status", "--porcelain").stdout == status
    assert shop.run("git", "worktree", "list").stdout.count("\n") == 1
    assert run.state == "ok" and run.overrides == ("train=median", "train.shrink=0.5")


def test_the_record_of_a_run_says_everything(shop: Shop) -> None:
    shop.path("notes.txt").write_text("not tracked")
    run = run_of(shop, "train.shrink=0.5", "--name", "half", "--tag", "trial", "--note", "why")
    document = run.to_json()
    assert run.params["train"]["shrink"] == 0.5 and run.metrics["train"]["depth"] == 0
    assert run.series["train.loss"] | {"path": ""} == {
        "path": "", "points": 3, "step": 2, "last": 1 / 3, "least": 1 / 3, "most": 1.0,
    }  # fmt: skip
    assert run.artifacts["models/model.json"]["stage"] == "train"
    assert run.artifacts["models/model.json"]["hash"].startswith("md5:")
    stages = {name: stage["how"] for name, stage in run.stages.items()}
    assert stages["train"] == "ran" and stages["prepare"] in ("restored", "unchanged")
    assert run.stages["train"]["cpu_seconds"] > 0 and run.resources["peak_memory_bytes"] > 0
    assert run.who["user"] and run.command[:2] == ("mlops-nb", "run")
    assert run.environment["packages"]["dvc"] and run.environment["cores"]
    assert run.code["dirty"] and run.wall_seconds and run.host
    shown = shop.run("git", "show", f"{run.code['commit']}:notes.txt").stdout
    assert shown == "not tracked"
    kept = shop.path(f".mlops_nb/runs/{run.id}")
    assert (kept / "reports" / "train.ipynb").is_file()
    assert (kept / "executions" / "train" / "journal.jsonl").is_file()
    assert json.loads(json.dumps(document)) == document


def test_a_successful_run_is_an_experiment_that_dvc_knows(shop: Shop) -> None:
    run = run_of(shop, "train.shrink=0.25", "--name", "quarter")
    listed = json.loads(shop.run("dvc", "exp", "show", "--json").stdout)
    found: list[dict[str, Any]] = [
        revision
        for state in listed
        for experiment in state["experiments"] or ()
        for revision in experiment["revs"]
    ]
    (one,) = [revision for revision in found if revision["name"] == "quarter"]
    data = one["data"]
    assert data["params"]["params.yaml"]["data"]["train"]["shrink"] == 0.25
    assert data["metrics"]["metrics/evaluate.json"]["data"] == run.metrics["evaluate"]
    shop.run("dvc", "exp", "apply", "quarter")
    assert "shrink: 0.25" in shop.text("params.yaml")
    assert shop.repro() == set()


def test_a_run_that_fails_is_on_record_with_the_error(shop: Shop) -> None:
    shop.replace("shop/score.py", "return sum", "raise ValueError('no score')\n    return sum")
    run = run_of(shop, "train.shrink=0.5", code=1)
    assert run.state == "error" and run.stages["train"]["state"] == "ok"
    assert run.stages["evaluate"]["error"]["message"] == "no score"
    assert run.metrics["train"]["fitted"] and "evaluate" not in run.metrics
    assert "metrics/evaluate.json" not in run.artifacts  # that is of the run before
    assert shop.run("git", "worktree", "list").stdout.count("\n") == 1
    assert shop.run("git", "for-each-ref", "refs/exps").stdout == ""


def test_the_hooks_that_dvc_installs_do_not_run_in_a_worktree(shop: Shop) -> None:
    shop.run("dvc", "install")
    assert run_of(shop, "train.shrink=0.5").state == "ok"


def test_what_may_hold_secrets_is_not_taken_for_code(shop: Shop) -> None:
    shop.path(".env").write_text("TOKEN=hush")
    shop.path("notes.txt").write_text("not tracked")
    run = run_of(shop, "train.shrink=0.5")
    names = shop.run("git", "ls-tree", "--name-only", run.code["commit"]).stdout.split()
    assert "notes.txt" in names and ".env" not in names
    assert [one["path"] for one in run.code["left_out"]] == [".env"]


def test_a_run_whose_worktree_cannot_be_made_is_on_record_with_the_reason(shop: Shop) -> None:
    shop.run("git", "rm", "--quiet", "--cached", "-r", ".dvc")
    shop.path(".gitignore").write_text(shop.text(".gitignore") + ".dvc\n")
    run = run_of(shop, "train.shrink=0.5", code=2)
    assert run.state == "error" and "no DVC project" in run.more["failure"]["message"]


def test_a_wrong_override_is_refused_and_no_run_is_begun(shop: Shop) -> None:
    done = shop.tool("run", "train.shirnk=0.5", code=2)
    assert "no key `train.shirnk`" in done.stderr and "shrink" in done.stderr
    assert not shop.path(".mlops_nb/runs").exists()


def test_a_killed_run_is_on_record_as_killed_and_the_next_one_tidies_up(shop: Shop) -> None:
    shop.replace(
        "shop/table.py", "def read(path):", "def read(path):\n    import time; time.sleep(60)"
    )
    command = [sys.executable, "-m", "mlops_nb", "run", "train.shrink=0.5"]
    running = subprocess.Popen(
        command, cwd=shop.root, env=environment(), stderr=subprocess.PIPE, text=True
    )
    assert running.stderr
    for line in running.stderr:
        if line.startswith("train: running"):
            break
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert newest(shop).state == "killed:signal"
    shop.replace("shop/table.py", "    import time; time.sleep(60)", "    pass")
    deadline = time.monotonic() + 60
    while len(os.listdir(shop.path(".mlops_nb/worktrees"))) and time.monotonic() < deadline:
        run_of(shop, "train.shrink=0.25")
    assert os.listdir(shop.path(".mlops_nb/worktrees")) == []


def test_two_runs_go_on_at_once(shop: Shop) -> None:
    command = [sys.executable, "-m", "mlops_nb", "run"]
    runs = [
        subprocess.Popen([*command, f"train.shrink=0.{number}"], cwd=shop.root, env=environment())
        for number in (1, 2)
    ]
    assert [run.wait(120) for run in runs] == [0, 0]
    store = Store(shop.path(".mlops_nb/runs"))
    records = [store.read(run) for run in store.ids()]
    assert {run.params["train"]["shrink"] for run in records if isinstance(run, Run)} == {0.1, 0.2}


BEGIN = """
project = Project(Path(sys.argv[3]))
with queued(project, "run", new_id()) as place:
    place.wait()
recording = Recording(project, Asked(said=Annotations(name=f"n{number}")))
with kept_runs(project) as index:
    assert recording.id in {row["id"] for row in index.rows()[0]}
recording.finish(project, None)
"""
PREPARE = """
from pathlib import Path
from mlops_nb.core.project import Project
from mlops_nb.pipeline.listing import kept_runs
from mlops_nb.pipeline.queue import queued
from mlops_nb.pipeline.recording import Asked, Recording
from mlops_nb.runs.annotations import Annotations
from mlops_nb.runs.run import new_id
"""


def test_sixteen_processes_begin_runs_at_once_in_a_project_without_any(shop: Shop) -> None:
    shutil.rmtree(shop.path(".mlops_nb"), ignore_errors=True)
    at_once(16, PREPARE, BEGIN, shop.root)
    store = Store(shop.path(".mlops_nb/runs"))
    found = [store.read(run) for run in store.ids()]
    assert [run.state for run in found if isinstance(run, Run)] == ["cancelled"] * 16
    names = {store.annotations(run).name for run in store.ids()}
    assert names == {f"n{number}" for number in range(16)}
    refs = shop.run("git", "for-each-ref", "--format=%(refname)", "refs/mlops_nb/runs").stdout
    assert {ref.rpartition("/")[2] for ref in refs.split()} == set(store.ids())
    assert sorted(path.name for path in shop.path(".mlops_nb/queue").iterdir()) == ["lock"]
