"""Experiments that plain DVC has made are runs in the table, once, with what their commits hold."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mlops_nb.core.project import Project
from mlops_nb.pipeline.foreign import KIND, add_foreign
from mlops_nb.pipeline.listing import all_runs
from mlops_nb.runs.run import Run
from mlops_nb.runs.store import Store
from tests.at_once import at_once

from .conftest import Shop


def git(root: Path, *words: str, data: bytes = b"") -> str:
    who = ("-c", "user.name=A Tester", "-c", "user.email=tester@example.org")
    done = subprocess.run(
        ["git", "-C", root, *who, *words], check=True, capture_output=True, input=data
    )
    return done.stdout.decode().strip()


def experiment(root: Path, name: str, files: dict[str, str], folder: str = "") -> str:
    """Make an experiment of `files`, as DVC leaves one; return its commit."""
    for path, text in files.items():
        (root / folder / path).parent.mkdir(parents=True, exist_ok=True)
        (root / folder / path).write_text(text)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--allow-empty", "--message", f"dvc: commit experiment {name}")
    commit = git(root, "rev-parse", "HEAD")
    git(root, "update-ref", f"refs/exps/{commit[:2]}/{commit[2:]}/{name}", commit)
    return commit


@pytest.fixture
def project(tmp_path: Path) -> Project:
    git(tmp_path, "init", "--quiet")
    (tmp_path / ".gitignore").write_text(".mlops_nb/\n")
    return Project(tmp_path)


def only(project: Project) -> Run:
    """Return the one run of a project, once its experiments were added."""
    assert add_foreign(project) == 1
    store = Store(project.runs)
    (run,) = map(store.read, store.ids())
    assert isinstance(run, Run), run
    return run


PIPELINE = """
stages:
  train:
    cmd: train
    metrics: [{metrics/train.json: {cache: false}}, more.yaml]
  each:
    foreach: [1, 2]
metrics: [whole.json]
"""
LOCK = """
schema: '2.0'
stages:
  train:
    cmd: train
    deps: [{path: data/raw.csv, hash: md5, md5: aa}, {path: code.py, hash: md5, md5: bb}]
    outs: [{path: model, hash: md5, md5: cc, size: 3}]
"""
FILES = {
    "dvc.yaml": PIPELINE,
    "dvc.lock": LOCK,
    "params.yaml": "conf_sha: ab\ntrain: {rate: 1e-3, on: off, 1: x}\nflat: 1\n",
    "metrics/train.json": '{"auc": 0.5, "deep": {"x": NaN}}',
    "more.yaml": "loss: 2\n",
    "whole.json": '{"n": 1}',
    "data/raw.csv.dvc": "outs: []\n",
}


@pytest.mark.parametrize("folder", ["", "inner folder"])
def test_a_run_holds_what_the_commit_holds(project: Project, folder: str) -> None:
    commit = experiment(project.root, "soft-tofu", FILES, folder)
    place = Project(project.root / folder)
    run = only(place)
    assert run.params == {"train": {"rate": 0.001, "on": "off", "1": "x"}}
    assert run.config == {**run.params, "flat": 1}
    assert run.metrics["train"].keys() == {"auc", "deep", "loss"} and run.metrics["whole"] == {
        "n": 1
    }
    assert run.artifacts == {"model": {"stage": "train", "hash": "md5:cc", "size": 3}}
    assert run.data == {"data/raw.csv": "md5:aa"}
    assert run.origin == {"kind": KIND} and run.who == {"name": "A Tester"}
    assert run.code["commit"] == commit and run.more["experiment"]["name"] == "soft-tofu"
    assert run.id.endswith(commit[:8]) and run.state == "ok" and "unread" not in run.more
    assert Store(place.runs).annotations(run.id).name == "soft-tofu"
    assert git(project.root, "rev-parse", f"refs/mlops_nb/runs/{run.id}") == commit
    assert add_foreign(place) == 0


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("params.yaml", "a: ["),
        ("dvc.lock", "- 1"),
        ("metrics/train.json", "{"),
        ("metrics/train.json", "[1]"),
        ("dvc.yaml", "a: &x [*x"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(project: Project, path: str, text: str) -> None:
    experiment(project.root, "broken", {**FILES, path: text})
    (reason,) = only(project).more["unread"]
    assert reason.startswith(f"{path}: ")


@pytest.mark.parametrize(
    "files",
    [
        {"readme": "nothing of DVC"},
        {"dvc.yaml": "stages: 1\nmetrics: {a: 1}\n", "dvc.lock": "stages: [1]\n"},
        {
            "dvc.yaml": "stages: {a: 1, b: {metrics: x}}\n",
            "dvc.lock": "stages: {a: 1, b: {outs: [1]}}",
        },
        {"params.yaml": "- 1\n", "dvc.lock": ""},
    ],
)
def test_a_commit_of_another_shape_is_a_run_all_the_same(
    project: Project, files: dict[str, str]
) -> None:
    experiment(project.root, "odd", files)
    run = only(project)
    assert run.metrics == {} and run.params == {} and run.artifacts == {}


def test_one_that_was_removed_does_not_come_back(project: Project) -> None:
    experiment(project.root, "soft-tofu", FILES)
    store = Store(project.runs)
    run = only(project)
    store.remove(run.id)
    with all_runs(project) as index:
        assert index.rows()[1] == 0 and index.rows(removed=True)[1] == 1


def test_what_dvc_keeps_beside_experiments_is_none(project: Project) -> None:
    commit = experiment(project.root, "soft-tofu", FILES)
    for ref in ("refs/exps/exec/EXEC_HEAD", "refs/exps/stash", "refs/exps/celery/failed"):
        git(project.root, "update-ref", ref, commit)
    assert only(project).more["experiment"]["name"] == "soft-tofu"


def test_many_that_list_at_once_add_each_once(project: Project) -> None:
    for number in range(5):
        experiment(project.root, f"exp-{number}", {**FILES, "whole.json": f'{{"n": {number}}}'})
    prepare = """
from pathlib import Path
from mlops_nb.core.project import Project
from mlops_nb.pipeline.foreign import add_foreign
"""
    at_once(4, prepare, "add_foreign(Project(Path(arguments[0])))", project.root)
    store = Store(project.runs)
    runs = [store.read(run) for run in store.ids()]
    assert len(runs) == 5 and all(isinstance(run, Run) for run in runs)


@pytest.mark.slow
def test_what_plain_dvc_has_run_is_in_the_table_beside_our_own(shop: Shop) -> None:
    shop.tool("run", "train.shrink=0.5", "--name", "ours")
    shop.run("dvc", "exp", "run", "-S", "train.family=median", "-n", "theirs")
    assert shop.tool("runs").stdout.count("theirs") == 1
    listed: list[dict[str, Any]] = json.loads(shop.tool("runs", "--json").stdout)
    by_name = {run["name"]: run for run in listed}
    assert len(listed) == 2 and set(by_name) == {"ours", "theirs"}
    theirs = by_name["theirs"]
    assert theirs["origin"]["kind"] == KIND and theirs["params"]["train"]["family"] == "median"
    shown = json.loads(shop.run("dvc", "exp", "show", "--json").stdout)
    found = [rev for one in shown for exp in one["experiments"] or () for rev in exp["revs"]]
    (data,) = [rev["data"] for rev in found if rev["name"] == "theirs"]
    assert data["params"]["params.yaml"]["data"]["train"] == theirs["params"]["train"]
    for stage in ("prepare", "train", "evaluate"):
        assert data["metrics"][f"metrics/{stage}.json"]["data"] == theirs["metrics"][stage]
    shop.tool("runs", "remove", "theirs")
    shop.tool("runs", "gc", "--older-than", "0")
    assert shop.run("dvc", "exp", "list", "--name-only").stdout.split() == ["ours"]
    assert [run["name"] for run in json.loads(shop.tool("runs", "--all", "--json").stdout)] == [
        "ours"
    ]
