"""Runs of the real MLflow, from its database and from its server, are rows of the table, once."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from mlops_nb.core.project import Project
from mlops_nb.pipeline.mlflow_import import import_mlflow, open_tracking
from mlops_nb.runs.run import Run
from mlops_nb.runs.store import Store
from tests.peers import environment_of

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm")]

FILL = """
import sys, mlflow, pandas
mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment("flights")
with mlflow.start_run(run_name="first") as first:
    mlflow.log_params({"train/rate": 0.1, "seed": 3, "odd name": "007", "whole": True})
    for step in range(5):
        mlflow.log_metric("val/loss", 1 / (step + 1), step=step)
    mlflow.log_metrics({"bad": float("nan"), "worse": float("-inf"), "auc": 0.75})
    mlflow.set_tags({"team": "red", "mlflow.note.content": "two\\nlines",
                     "mlflow.source.git.commit": "a" * 40,
                     "mlflow.source.git.repoURL": "https://me:hunter2@example.org/x.git"})
    mlflow.log_text("hello", "notes/a.txt")
    table = mlflow.data.from_pandas(pandas.DataFrame({"x": [1.0]}), source="x.csv", name="table")
    mlflow.log_input(table, context="training")
for name, status in (("broken", "FAILED"), ("stopped", "KILLED"), ("going", "RUNNING")):
    run = mlflow.MlflowClient().create_run(first.info.experiment_id, run_name=name)
    if status != "RUNNING":
        mlflow.MlflowClient().set_terminated(run.info.run_id, status)
gone = mlflow.MlflowClient().create_run(first.info.experiment_id, run_name="gone")
mlflow.MlflowClient().set_terminated(gone.info.run_id)
mlflow.delete_run(gone.info.run_id)
mlflow.set_experiment("other")
with mlflow.start_run(run_name="elsewhere"):
    mlflow.log_metric("auc", 0.5)
print(first.info.run_id)
"""


@pytest.fixture(scope="module")
def peer() -> Path:
    """Return the Python that has MLflow."""
    return environment_of("mlflow")


def environ() -> dict[str, str]:
    """Return an environment in which MLflow tells nobody and does not wait for long."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    return {**kept, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}


def fill(peer: Path, address: str, folder: Path) -> str:
    """Let MLflow log some runs; return the id of the first."""
    command = [peer, "-c", FILL, address]
    done = subprocess.run(
        command, cwd=folder, env=environ(), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout.split()[-1]


@pytest.fixture(scope="module")
def database(peer: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return a database that MLflow has made, and the id of its first run."""
    folder = tmp_path_factory.mktemp("mlflow")
    return folder / "mlflow.db", fill(peer, f"sqlite:///{folder}/mlflow.db", folder)


@pytest.fixture(scope="module")
def server(peer: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, Path]]:
    """Give the address of a server that MLflow runs, the id of its first run, and its database."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address, database = f"http://127.0.0.1:{port}", folder / "server.db"
    words = [peer, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    words += ["--backend-store-uri", f"sqlite:///{database}", "--workers", "1"]
    words += ["--artifacts-destination", str(folder / "artifacts")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            words, cwd=folder, env=environ(), stdout=log, stderr=log, start_new_session=True
        )
        try:
            for _ in range(600):
                with contextlib.suppress(OSError), urlopen(f"{address}/health", timeout=5):
                    break
                assert process.poll() is None, (folder / "log").read_text()[-4000:]
                time.sleep(0.2)
            yield address, fill(peer, address, folder), database
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


def imported(project: Project, source: str, **options: Any) -> tuple[dict[str, Run], list[str]]:
    """Import and return all runs by their names, and what was said of those left out."""
    done = import_mlflow(project, open_tracking(source, {}), **options)
    store = Store(project.runs)
    runs = {store.annotations(run).name: store.read(run) for run in store.ids()}
    assert all(isinstance(run, Run) for run in runs.values())
    return runs, list(done.refused)  # type: ignore[return-value]


def check_first(run: Run, mlflow_id: str) -> None:
    """Fail unless `run` has all that was logged of the first one."""
    assert run.origin["run"] == mlflow_id and run.id.endswith(mlflow_id[:8])
    assert run.origin["kind"] == "mlflow" and run.origin["experiment"] == "flights"
    assert run.params == {
        "train": {"rate": 0.1},
        "mlflow": {"seed": 3, "odd name": "007", "whole": True},
    }
    assert run.metrics["val"] == {"loss": 0.2} and run.metrics["mlflow"]["auc"] == 0.75
    assert math.isnan(run.metrics["mlflow"]["bad"]) and run.metrics["mlflow"]["worse"] == -math.inf
    (curve,) = run.series.values()
    assert (curve["points"], curve["step"], curve["last"], curve["most"]) == (5, 4, 0.2, 1.0)
    assert run.code["source_commit"] == "a" * 40 and "commit" not in run.code
    assert "hunter2" not in str(run.to_json())
    assert list(run.data) == ["table"] and run.more["datasets_of_mlflow"][0]["context"] == (
        "training"
    )
    assert run.who["name"] and run.wall_seconds is not None
    assert run.artifacts["notes/a.txt"]["size"] == 5


def test_a_database_gives_what_was_logged(project: Project, database: tuple[Path, str]) -> None:
    path, first = database
    runs, refused = imported(project, str(path))
    assert {name: run.state for name, run in runs.items()} == {
        "first": "ok",
        "broken": "error",
        "stopped": "cancelled",
        "elsewhere": "ok",
    }
    check_first(runs["first"], first)
    said = Store(project.runs).annotations(runs["first"].id)
    assert said.tags == {"team=red"} and said.note == "two\nlines"
    curve = (
        Store(project.runs).folder_of(runs["first"].id) / runs["first"].series["val.loss"]["path"]
    )
    assert curve.read_text().splitlines()[:2] == ["step,val/loss", "0,1.0"]
    (line,) = refused
    assert line.startswith("going: not over")
    again = import_mlflow(project, open_tracking(f"sqlite:///{path}", {}))
    assert again.new == () and len(again.known) == 4


def test_a_server_gives_the_same_as_its_database(
    project: Project, server: tuple[str, str, Path]
) -> None:
    address, first, database = server
    runs, _ = imported(project, address)
    check_first(runs["first"], first)
    twin = Project(project.root / "twin")
    others, _ = imported(twin, str(database))
    assert others.keys() == runs.keys()
    for name, run in runs.items():
        own, other = run.to_json(), others[name].to_json()
        for apart in ("origin", "artifacts", "unread"):
            own.pop(apart, None), other.pop(apart, None)
        assert own == other
    assert import_mlflow(project, open_tracking(address, {})).new == ()


@pytest.mark.parametrize("kind", ["server", "database"])
def test_files_come_with_their_hashes_if_asked_for(
    project: Project, kind: str, server: tuple[str, str, Path], database: tuple[Path, str]
) -> None:
    source = server[0] if kind == "server" else str(database[0])
    runs, _ = imported(project, source, data=True, experiment="flights")
    assert "elsewhere" not in runs
    artifact = runs["first"].artifacts["notes/a.txt"]
    assert artifact["hash"].startswith("sha256:2cf24dba")
    kept = Store(project.runs).folder_of(runs["first"].id) / "artifacts" / "notes" / "a.txt"
    assert kept.read_text() == "hello"
    assert not list(project.state.glob("import-*"))


def test_files_that_a_database_cannot_reach_are_named(
    project: Project, server: tuple[str, str, Path]
) -> None:
    runs, _ = imported(project, str(server[2]), data=True)
    assert runs["first"].more["unread"] == [
        "artifacts: mlflow-artifacts: is not reachable from here"
    ]


def test_a_locked_database_is_named_in_one_line(
    project: Project, tmp_path: Path, database: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlops_nb.pipeline.mlflow_database._BUSY_SECONDS", 0.05)
    copy = tmp_path / "copy.db"
    shutil.copy(database[0], copy)
    with sqlite3.connect(copy, isolation_level=None) as held:
        held.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Exception, match="another process has locked it"):
            imported(project, str(copy))
        held.execute("ROLLBACK")
    assert imported(project, str(copy))[0]
