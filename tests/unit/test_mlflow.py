"""What MLflow has logged becomes a record, whatever it is, and mistakes are named."""

from __future__ import annotations

import json
import math
import sqlite3
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.cli.app import cli
from mlops_nb.core.git import Git
from mlops_nb.core.project import Project
from mlops_nb.errors import RecordError, UsageError
from mlops_nb.pipeline import mlflow_server
from mlops_nb.pipeline.mlflow import (
    curve_files,
    imported_id,
    record_of,
    said_of,
    sections,
    typed,
)
from mlops_nb.pipeline.mlflow_answers import logged_run
from mlops_nb.pipeline.mlflow_files import is_inside
from mlops_nb.pipeline.mlflow_import import import_mlflow, is_mlflow, open_tracking
from mlops_nb.pipeline.mlflow_logged import Logged, number
from mlops_nb.pipeline.rerun import code_of
from mlops_nb.runs.run import run_from_json

texts = st.dictionaries(st.text(min_size=1, max_size=12), st.text(max_size=12), max_size=5)
floats = st.floats()
points = st.tuples(st.integers(-5, 5), st.integers(0, 9), floats)
logged = st.builds(
    Logged,
    id=st.text(min_size=1),
    experiment=st.text(),
    status=st.sampled_from(["FINISHED", "FAILED", "KILLED"]),
    name=st.text(),
    user=st.text(),
    started=st.one_of(st.none(), st.integers(0, 4_000_000_000_000)),
    ended=st.one_of(st.none(), st.integers(0, 4_000_000_000_000)),
    params=texts,
    metrics=st.dictionaries(st.text(min_size=1, max_size=5), points, max_size=3),
    history=st.dictionaries(st.text(min_size=1, max_size=5), st.lists(points), max_size=3),
    tags=texts,
)


@given(logged)
def test_whatever_was_logged_makes_a_record_that_reads_back(run: Logged) -> None:
    record = record_of(run, "sqlite:///x.db", {})
    document = json.loads(json.dumps(record.to_json()))
    assert run_from_json(document, "here").to_json() == record.to_json()
    said_of(run)
    files = curve_files(run)
    assert {one["path"] for one in record.series.values()} == files.keys()
    assert all(is_inside(path) for path in files)


@given(st.dictionaries(st.text(alphabet="ab/.", min_size=1, max_size=5), st.integers()))
def test_no_name_is_lost_in_sections(values: dict[str, int]) -> None:
    found = [value for section in sections(values).values() for value in section.values()]
    assert sorted(found) == sorted(values.values())


@given(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans()))
def test_what_python_prints_is_read_back(value: float) -> None:
    assert typed(str(value)) == value and type(typed(str(value))) is type(value)


@pytest.mark.parametrize("text", ["007", "1e-3", "nan", "inf", "1_000", " 1", "true", "", "\u0661"])
def test_other_texts_stay_texts(text: str) -> None:
    assert typed(text) == text


def test_the_largest_number_stands_for_infinity() -> None:
    assert number(sys.float_info.max) == math.inf and number(-sys.float_info.max) == -math.inf
    assert math.isnan(number(0.0, is_nan=True)) and math.isnan(number(None))


def test_a_run_that_began_at_no_time_is_refused() -> None:
    with pytest.raises(RecordError, match="which is no time"):
        imported_id(Logged("ab", "x", "FINISHED", started=10**20))


def test_nobody_can_run_it_again_and_it_says_where_the_code_was(tmp_path: Path) -> None:
    tags = {"mlflow.source.git.commit": "abc"}
    for run, said in (
        (Logged("ab", "x", "FINISHED"), "it comes from mlflow, which keeps none"),
        (Logged("ab", "x", "FINISHED", tags=tags), "says that the code was commit abc"),
    ):
        with pytest.raises(RecordError, match=said):
            code_of(Project(tmp_path), record_of(run, "sqlite:///x.db", {}))


def test_what_is_meant_is_seen_by_its_form() -> None:
    assert all(map(is_mlflow, ("sqlite:///a", "a/mlflow.db", "http://h:5000", "https://h")))
    assert not is_mlflow("runs.zip")


def write_database(path: Path, statements: str) -> None:
    with sqlite3.connect(path) as database:
        database.executescript(statements)
    database.close()


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        ("CREATE TABLE x (y)", "a database, but none of MLflow"),
        (
            "CREATE TABLE alembic_version (version_num); INSERT INTO alembic_version VALUES ('ab');"
            "CREATE TABLE runs (run_uuid)",
            "a schema of MLflow that is not known (no `experiments`, version ab)",
        ),
        (
            "CREATE TABLE experiments (experiment_id, name, lifecycle_stage);"
            "CREATE TABLE runs (run_uuid)",
            "a schema of MLflow that is not known (no `runs.artifact_uri`, version unknown)",
        ),
    ],
)
def test_another_database_is_named_in_one_line(tmp_path: Path, statements: str, said: str) -> None:
    write_database(tmp_path / "x.db", statements)
    with pytest.raises(UsageError) as caught:
        open_tracking(str(tmp_path / "x.db"), {})
    assert said in caught.value.what and caught.value.hint


def test_a_file_that_is_no_database_is_named_and_so_is_none(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with pytest.raises(UsageError, match="no such file"):
        open_tracking(str(path), {})
    path.write_text("not a database " * 100)
    with pytest.raises(UsageError, match="cannot be read as an SQLite database"):
        open_tracking(str(path), {})


class Answering(BaseHTTPRequestHandler):
    """A server that says something else than MLflow would, and keeps what it was told."""

    code, body, announced = 200, b"<html>", 0
    told: list[str | None]

    def do_POST(self) -> None:
        self.told.append(self.headers.get("Authorization"))
        self.send_response(self.code)
        self.end_headers()
        self.wfile.write(self.body)

    def do_GET(self) -> None:
        self.send_response(self.code)
        if self.announced:
            self.send_header("Content-Length", str(self.announced))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    Answering.told = []
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("code", "body", "said"),
    [
        (200, b"<html>", "no tracking server of MLflow"),
        (404, b"<html>", r"no tracking server of MLflow \(404\)"),
        (401, b"", "set MLFLOW_TRACKING_TOKEN"),
        (400, b'{"error_code": "X", "message": "too much"}', "too much"),
        (200, b"[1]", "no tracking server of MLflow"),
    ],
)
def test_what_is_no_answer_of_mlflow_is_named(
    address: str, monkeypatch: pytest.MonkeyPatch, code: int, body: bytes, said: str
) -> None:
    monkeypatch.setattr(Answering, "code", code)
    monkeypatch.setattr(Answering, "body", body)
    with pytest.raises(UsageError, match=said):
        open_tracking(f"http://{address}", {}).listed()


def test_a_token_is_told_to_the_server_and_to_nobody_else(
    address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = {"info": {"run_id": "ab", "status": "FINISHED", "start_time": 5, "experiment_id": "1"}}
    answer = {"experiments": [{"experiment_id": "1", "name": "x"}], "runs": [run]}
    monkeypatch.setattr(Answering, "body", json.dumps(answer).encode())
    tracking = open_tracking(f"http://me:hunter2@{address}/", {})
    (new,) = import_mlflow(Project(tmp_path), tracking).new
    open_tracking(f"http://{address}", {"MLFLOW_TRACKING_TOKEN": "hunter3"}).listed()
    assert "Basic bWU6aHVudGVyMg==" in Answering.told and Answering.told[-1] == "Bearer hunter3"
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"hunter" not in path.read_bytes()
    assert new.startswith("19700101T000000.005-")


def logged(artifacts: str) -> Logged:
    info = {"run_id": "ab", "status": "FINISHED", "start_time": 5, "artifact_uri": artifacts}
    return logged_run({"info": info}, {})


def test_a_server_elsewhere_cannot_name_a_folder_of_this_machine(
    address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "key").write_text("private")
    monkeypatch.setattr(Answering, "body", b"{}")
    run, here = logged(own.as_uri()), open_tracking(f"http://{address}", {})
    assert here.artifacts(run) == {"key": 7}
    monkeypatch.setattr(mlflow_server, "_THIS_MACHINE", ())  # as if it were another one
    elsewhere = open_tracking(f"http://{address}", {})
    assert elsewhere.artifacts(run) == {}
    with pytest.raises(OSError, match="in a folder of the server"):
        elsewhere.fetch(run, "key", tmp_path / "taken")
    assert not (tmp_path / "taken").exists()


def test_a_file_that_breaks_off_is_not_taken_for_the_whole(
    address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(Answering, "body", b"half")
    monkeypatch.setattr(Answering, "announced", 1000)
    run = logged("mlflow-artifacts:/1/ab/artifacts")
    with pytest.raises(OSError, match="broke off after 4 of 1000 bytes"):
        open_tracking(f"http://{address}", {}).fetch(run, "model.bin", tmp_path / "model.bin")


def test_an_address_where_nobody_answers_is_named() -> None:
    with pytest.raises(UsageError, match="no answer"):
        open_tracking("http://127.0.0.1:1", {}).listed()
    with pytest.raises(UsageError, match="no address"):
        open_tracking("http://[::1", {})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["runs.zip"], "runs.zip: no such file"),
        (["runs.zip", "--experiment", "x"], "are for MLflow"),
        (["no.db"], "no.db: no such file"),
    ],
)
def test_the_command_says_what_it_cannot_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    (tmp_path / ".dvc").mkdir()
    Git(tmp_path).run("init", "--quiet")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, ["runs", "import", *words])
    assert done.exit_code != 0 and said in (done.output + str(done.exception or ""))
