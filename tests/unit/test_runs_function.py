"""`mlops_nb.runs` is a package, and a function that gives all runs as a data frame."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
import types
from pathlib import Path

import pandas as pd
import pytest

import mlops_nb
from mlops_nb.errors import ProjectError, UsageError
from mlops_nb.runs.run import Run
from mlops_nb.runs.store import Store


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with three runs."""
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    (tmp_path / ".dvc").mkdir()
    store = Store(tmp_path / ".mlops_nb" / "runs")
    for seed in range(3):
        params = {"train": {"seed": seed, "family": "mlp"}}
        run = Run(
            f"20130101T05150{seed}.000-0123abcd", f"2013-01-01T05:15:0{seed}.000+00:00", "ok",
            params=params, metrics={"train": {"auc": 0.7 + seed / 10}},
        )  # fmt: skip
        store.add(run)
    store.remove(store.ids()[0])
    return tmp_path


def test_the_name_is_callable_before_and_after_its_modules_are_imported(project: Path) -> None:
    program = """
import sys, mlops_nb
assert "mlops_nb.runs" not in sys.modules and "pandas" not in sys.modules
before = mlops_nb.runs
assert len(before()) == 2
import mlops_nb.runs.store
from mlops_nb import runs
assert mlops_nb.runs is before is runs and runs.store.Store and len(mlops_nb.runs()) == 2
"""
    other = "import mlops_nb.runs.run, mlops_nb; assert len(mlops_nb.runs()) == 2"
    for text in (program, other):
        done = subprocess.run(
            [sys.executable, "-c", text], cwd=project, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_it_is_still_a_package() -> None:
    package = importlib.import_module("mlops_nb.runs")
    assert isinstance(package, types.ModuleType) and mlops_nb.runs is package  # type: ignore[comparison-overlap]
    assert package.__path__ and package.__doc__


def test_package_and_function_have_one_signature() -> None:
    listing = importlib.import_module("mlops_nb.pipeline.listing")
    assert inspect.signature(mlops_nb.runs) == inspect.signature(listing.runs)
    assert "Parameters" in (inspect.getdoc(type(mlops_nb.runs).__call__) or "")


def test_runs_are_rows_and_values_have_their_types(project: Path) -> None:
    found = mlops_nb.runs(project=project)
    assert list(found["params.train.seed"]) == [2, 1]
    assert found["started"].dtype.kind == "M" and found["metrics.train.auc"].dtype == float
    assert isinstance(found["started"].dtype, pd.DatetimeTZDtype)


def test_what_is_asked_for_is_what_comes(project: Path) -> None:
    def ask(*words: str, **options: object) -> pd.DataFrame:
        return mlops_nb.runs(*words, project=str(project), **options)  # type: ignore[arg-type]

    assert list(ask("auc > 0.8", columns="auc")["metrics.train.auc"]) == [pytest.approx(0.9)]
    assert list(ask(sort="seed", columns=["seed"], limit=1)["params.train.seed"]) == [1]
    assert list(ask(columns="params.*", differs=True)) == ["id", "params.train.seed"]
    assert len(ask(removed=True)) == 3 and len(ask(limit=0)) == 0
    assert ask("auc > 2").empty


def test_mistakes_are_named(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(UsageError, match=r"did you mean `metrics.train.auc`"):
        mlops_nb.runs("acu > 1", project=project)
    with pytest.raises(UsageError, match="limit is -1"):
        mlops_nb.runs(limit=-1, project=project)
    with pytest.raises(ProjectError, match="not in a project"):
        mlops_nb.runs(project=tmp_path_factory.mktemp("elsewhere"))
