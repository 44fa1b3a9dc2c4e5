"""All of 10,000 runs as a data frame, against MLflow's `search_runs` on SQLite."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from mlops_nb.core.project import Project
from mlops_nb.pipeline.mlflow_import import import_mlflow, open_tracking
from mlops_nb.runs.run import Run
from tests.peers import environment_of

from .comparison import Command, Comparison, Goal
from .runs_index import COUNT, synthetic_runs

OURS = """
import sys, time
from pathlib import Path
import pandas, mlops_nb
from mlops_nb.pipeline.listing import kept_runs
mlops_nb.runs(limit=1, project=Path.cwd())
start = time.perf_counter()
table = mlops_nb.runs(project=Path.cwd())
took = time.perf_counter() - start
assert len(table) == int(sys.argv[1]) and table["metrics.mlflow.auc"].notna().all(), table.shape
print(took)
"""
PEER = """
import sys, time
import mlflow
mlflow.set_tracking_uri(sys.argv[2])
mlflow.search_runs(experiment_ids=["1"], max_results=1)
start = time.perf_counter()
table = mlflow.search_runs(experiment_ids=["1"], max_results=2 * int(sys.argv[1]))
took = time.perf_counter() - start
assert len(table) == int(sys.argv[1]) and table["metrics.auc"].notna().all(), table.shape
print(took)
"""


def comparisons(folder: Path) -> Iterator[Comparison]:
    """Yield the comparison, on a database of MLflow and on a project that has imported it."""
    python, place = environment_of("mlflow"), folder / "project"
    database = make_database(python, folder, COUNT)
    place.mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=place, check=True)
    (place / ".dvc").mkdir()
    done = import_mlflow(Project(place), open_tracking(str(database), {}))
    assert len(done.new) == COUNT, done.refused[:3]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONWARNINGS": "ignore"}
    yield Comparison(
        Command(
            f"mlops_nb.runs(), {COUNT:,} runs",
            (sys.executable, "-c", OURS, str(COUNT)),
            place,
        ),
        Command(
            "mlflow.search_runs",
            (str(python), "-c", PEER, str(COUNT), f"sqlite:///{database}"),
            folder,
            quiet,
        ),
        {"own": Goal(1 / 50)},
        rounds=3,
    )


def make_database(python: Path, folder: Path, count: int) -> Path:
    """Return a database of MLflow in `folder` into which `count` runs were put."""
    path = folder / "mlflow.db"
    create = f"import mlflow; mlflow.set_tracking_uri('sqlite:///{path}'); "
    create += "assert mlflow.create_experiment('many') == '1'"
    environ = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    subprocess.run([python, "-c", create], cwd=folder, env=environ, check=True)
    with sqlite3.connect(path) as database:
        for number, run in enumerate(synthetic_runs(count)):
            _insert(database, f"{number:032x}"[::-1], run)
    return path


def _insert(database: sqlite3.Connection, run_id: str, run: Run) -> None:
    """Put one run into MLflow's tables, as its client would."""
    began, ended = (
        int(datetime.fromisoformat(moment).timestamp() * 1000)
        for moment in (run.started, run.finished or run.started)
    )
    status = "FINISHED" if run.state == "ok" else "FAILED"
    database.execute(
        "INSERT INTO runs (run_uuid, name, source_type, user_id, status, start_time, end_time, "
        "lifecycle_stage, artifact_uri, experiment_id) "
        "VALUES (?, ?, 'UNKNOWN', 'someone', ?, ?, ?, 'active', '', 1)",
        (run_id, f"run-{run_id[:6]}", status, began, ended),
    )
    params = [(key, str(value), run_id) for key, value in run.params["train"].items()]
    database.executemany("INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)", params)
    for table in ("metrics", "latest_metrics"):
        database.executemany(
            f"INSERT INTO {table} (key, value, timestamp, run_uuid, step, is_nan) "
            "VALUES (?, ?, ?, ?, 0, 0)",
            [(key, value, ended, run_id) for key, value in run.metrics["evaluate"].items()],
        )
    tags = {"mlflow.runName": f"run-{run_id[:6]}", "mlflow.user": "someone", "team": "red"}
    database.executemany(
        "INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)",
        [(key, value, run_id) for key, value in tags.items()],
    )
