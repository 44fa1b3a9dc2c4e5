"""A small project with real git, DVC, Hydra and kernels, made once and copied for each test."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.warm import Warm, warm_server

ROOT = Path(__file__).parents[2]

PREPARE = """
from mlops_nb import Metrics, Out

table: Out = "data/table.csv"
metrics: Metrics = "metrics/prepare.json"
rows: int = 20  # how many rows to make
seed: int = 0
"""
TRAIN = """
from typing import Literal

from mlops_nb import In, Metrics, Out, Plots

table: In = "data/table.csv"
model: Out = "models/model.json"
metrics: Metrics = "metrics/train.json"
plots: Plots = "plots/train"
family: Literal["mean", "median"] = "mean"
max_depth: int | None = None
shrink: float = 1.0
"""
EVALUATE = """
from mlops_nb import In, Metrics

table: In = "data/table.csv"
model: In = "models/model.json"
metrics: Metrics = "metrics/evaluate.json"
"""
PREPARE_CODE = """
import random

from mlops_nb import record
from shop.table import write

random.seed(seed)
write(table, [random.random() for _ in range(rows)])
record(rows=rows)
"""
TRAIN_CODE = """
import json
from pathlib import Path

from mlops_nb import record
from shop.table import read

values = sorted(read(table))
fitted = values[len(values) // 2] if family == "median" else sum(values) / len(values)
fitted = fitted * shrink
for step in range(3):
    record.step(step, loss=1 / (step + 1))
record(fitted=fitted, depth=max_depth or 0)
Path(model).write_text(json.dumps({"fitted": fitted, "family": family}))
fitted
"""
EVALUATE_CODE = """
import json
from pathlib import Path

from mlops_nb import record
from shop.score import error
from shop.table import read

fitted = json.loads(Path(model).read_text())["fitted"]
record(error=error(read(table), fitted))
"""
MODULES = {
    "shop/__init__.py": "",
    "shop/table.py": '''
"""Read and write a table."""
from pathlib import Path


def write(path, values):
    Path(path).write_text("\\n".join(repr(value) for value in values))


def read(path):
    return [float(line) for line in Path(path).read_text().splitlines()]
''',
    "shop/score.py": '''
"""Score a model."""


def error(values, fitted):
    return sum(abs(value - fitted) for value in values) / len(values)
''',
}
CONF = {
    "conf/config.yaml": "defaults: [stages, {train: mean}, _self_]\n\nprepare:\n  rows: 20\n",
    "conf/train/mean.yaml": "family: mean\n",
    "conf/train/median.yaml": "family: median\nmax_depth: 4\n",
}


def write_stage(path: Path, title: str, parameters: str, *cells: str) -> None:
    """Write a stage notebook as JupyterLab would save it, without outputs."""

    def cell(kind: str, number: int, source: str, **metadata: object) -> dict[str, object]:
        code = {"outputs": [], "execution_count": None} if kind == "code" else {}
        return {
            "cell_type": kind,
            "id": f"cell-{number}",
            "metadata": metadata,
            "source": source.strip().splitlines(keepends=True),
            **code,
        }

    notebook = {
        "cells": [
            cell("markdown", 0, f"# {title}\n\nA sentence."),
            cell("code", 1, "%load_ext mlops_nb"),
            cell("code", 2, parameters, tags=["parameters"]),
            *(cell("code", number, source) for number, source in enumerate(cells, 3)),
        ],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook, indent=1) + "\n")


@dataclass(frozen=True)
class Shop:
    """The project on disk, and the commands that are given in it."""

    root: Path

    def run(self, *command: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run a command in the project; fail unless it exits with `code` (`None`: any)."""
        done = subprocess.run(
            command, cwd=self.root, text=True, capture_output=True, env=environment(), timeout=300
        )
        if code is not None:
            assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def repro(self, *arguments: str, code: int = 0) -> set[str]:
        """Run `dvc repro` and return the stages whose command ran."""
        done = self.run("dvc", "repro", *arguments, code=code)
        return stages_run(done.stdout)

    def tool(self, *arguments: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run `mlops-nb`."""
        return self.run(sys.executable, "-m", "mlops_nb", *arguments, code=code)

    def path(self, name: str) -> Path:
        """Return a path in the project."""
        return self.root / name

    def text(self, name: str) -> str:
        """Return the text of a file."""
        return self.path(name).read_text()

    def replace(self, name: str, old: str, new: str) -> None:
        """Replace text in a file; fail if it is not there."""
        text = self.text(name)
        assert old in text, f"{name} does not hold {old!r}"
        self.path(name).write_text(text.replace(old, new))

    def commit(self) -> None:
        """Commit everything to git."""
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--allow-empty", "--message", "State")


def stages_run(output: str) -> set[str]:
    """Return the stages that the output of `dvc repro` says were run."""
    names = (line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage"))
    return set(names)


def environment() -> dict[str, str]:
    """Return an environment in which the commands under test are those of this tree."""
    ours = {name: os.environ[name] for name in os.environ if name != "PYTEST_CURRENT_TEST"}
    return {
        **ours,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "GIT_AUTHOR_NAME": "A Tester",
        "GIT_AUTHOR_EMAIL": "tester@example.org",
        "GIT_COMMITTER_NAME": "A Tester",
        "GIT_COMMITTER_EMAIL": "tester@example.org",
        "DVC_NO_ANALYTICS": "1",
        "COLUMNS": "200",
    }


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    """Give a warm server that serves what the tests of a module execute, as it serves users."""
    own = {name: environment()[name] for name in ("PATH", "DVC_NO_ANALYTICS")}
    with warm_server(environ=own) as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.own.items():
            patch.setenv(name, value)
        yield server


def make_shop(root: Path) -> Shop:
    """Make the project, from its files to a git commit."""
    shop = Shop(root)
    root.mkdir(parents=True)
    for name, text in {**MODULES, **CONF}.items():
        shop.path(name).parent.mkdir(parents=True, exist_ok=True)
        shop.path(name).write_text(text.lstrip("\n"))
    pipeline = root / "nbs" / "pipeline"
    write_stage(pipeline / "10_prepare.ipynb", "Prepare", PREPARE, PREPARE_CODE)
    write_stage(pipeline / "20_train.ipynb", "Train", TRAIN, TRAIN_CODE)
    write_stage(pipeline / "30_evaluate.ipynb", "Evaluate", EVALUATE, EVALUATE_CODE)
    shop.path(".gitignore").write_text(".mlops_nb/\n__pycache__/\n")
    shop.run("git", "init", "--quiet")
    shop.run("dvc", "init", "--quiet")
    shop.path(".dvcignore").write_text("__pycache__\n.ipynb_checkpoints\n")
    shop.run("dvc", "config", "hydra.enabled", "true")
    shop.run("dvc", "config", "core.autostage", "true")
    shop.tool("compose", "--write")
    shop.tool("pipeline", "sync")
    shop.commit()
    return shop


@pytest.fixture(scope="session")
def finished_shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Return the project after its first `dvc repro`; it is not to be changed."""
    shop = make_shop(tmp_path_factory.mktemp("finished") / "shop")
    shop.repro()
    shop.commit()
    return shop


@pytest.fixture
def shop(finished_shop: Shop, tmp_path: Path) -> Iterator[Shop]:
    """Give a copy of the finished project, to change at will."""
    copy = tmp_path / "shop"
    shutil.copytree(finished_shop.root, copy, symlinks=True)
    yield Shop(copy)
