"""What a notebook records is what DVC reads, in a kernel, under papermill and in a script."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from mlops_nb.errors import RecordError, UnwritablePath
from mlops_nb.notebook.ports import Secret
from mlops_nb.runs.recorder import Recorder, record

PORTS = """
from mlops_nb import Metrics, Plots
metrics: Metrics = "metrics/train.json"
plots: Plots = "plots/train"
"""
WORK = """
from mlops_nb import record
record(auc=0.91, family="logistic", calibrated=True, slices={"UA": {"auc": 0.88}})
for epoch in range(3):
    record.step(10 * epoch + 5, loss=1 / (epoch + 1), accuracy=0.5)
import matplotlib.pyplot as plt
plt.plot([0, 1], [0, 1])
record.figure("roc")
"""


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return a_new_process(tmp_path)


def a_new_process(folder: Path) -> Recorder:
    """Return a recorder that has recorded nothing yet."""
    places = {"metrics": folder / "metrics" / "train.json", "plots": folder / "plots" / "train"}
    return Recorder(places.get)


def metrics(folder: Path) -> Any:
    return json.loads((folder / "metrics" / "train.json").read_text())


def test_a_later_record_adds_and_replaces_by_name(recorder: Recorder, tmp_path: Path) -> None:
    recorder(auc=0.9, slices={"UA": 1, "DL": 2})
    recorder(loss=0.3, slices={"UA": 3})
    assert metrics(tmp_path) == {"auc": 0.9, "loss": 0.3, "slices": {"UA": 3}}


def test_the_file_is_readable_and_sorted(recorder: Recorder, tmp_path: Path) -> None:
    recorder(b=1, a={"é": 2, "d": True})
    text = (tmp_path / "metrics" / "train.json").read_text(encoding="utf-8")
    assert text == '{\n  "a": {\n    "d": true,\n    "é": 2\n  },\n  "b": 1\n}\n'


def test_another_process_starts_afresh(recorder: Recorder, tmp_path: Path) -> None:
    recorder(stale=1, auc=0.5)
    a_new_process(tmp_path)(auc=0.9)
    assert metrics(tmp_path) == {"auc": 0.9}


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array(0.25), 0.25),
        (np.str_("a"), "a"),
        (0, 0),
        ({"a": np.float64(1.5)}, {"a": 1.5}),
    ],
)
def test_scalars_become_plain(
    recorder: Recorder, tmp_path: Path, value: object, plain: object
) -> None:
    recorder(value=value)
    assert metrics(tmp_path) == {"value": plain}
    assert type(metrics(tmp_path)["value"]) is type(plain)


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), np.float32("nan"), None, [1, 2], {1: 2}, {"": 1}, {"a\n": 1},
     1j, np.arange(3), object(), b"a", {"a": {"b": None}}, np.datetime64("2013-01-01")],
)  # fmt: skip
def test_what_dvc_would_drop_is_refused_by_name_and_nothing_is_written(
    recorder: Recorder, tmp_path: Path, value: object
) -> None:
    with pytest.raises(RecordError, match="worst"):
        recorder(auc=0.9, worst=value)
    assert list(tmp_path.iterdir()) == []


def test_a_secret_is_refused_without_being_shown(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "hunter2")
    for call in (
        lambda: recorder(token=Secret("env:TOKEN")),
        lambda: recorder(nested={"token": Secret("env:TOKEN")}),
        lambda: recorder.step(0, token=Secret("env:TOKEN")),
    ):
        with pytest.raises(RecordError, match="secret") as caught:
            call()
        assert "hunter2" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@given(name=st.text(max_size=12))
def test_a_series_name_never_leaves_its_folder(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("names")
    recorder = a_new_process(folder)
    try:
        recorder.step(0, **{name: 1.0})
    except RecordError:
        assert list(folder.iterdir()) == []
    else:
        assert [path.parent for path in folder.rglob("*.csv")] == [folder / "plots" / "train"]


@pytest.mark.parametrize("name", ["../loss", "a/b", "a\\b", "..", ".hidden", "", "a b", "x" * 101])
def test_names_that_are_no_file_names_are_refused(recorder: Recorder, name: str) -> None:
    with pytest.raises(RecordError, match="cannot be a file name"):
        recorder.step(0, **{name: 1.0})
    with pytest.raises(RecordError, match="cannot be a file name"):
        recorder.figure(name, Figure())


@pytest.mark.parametrize("step", [-1, 1.0, True, "1", None, np.float64(2)])
def test_steps_are_whole_numbers_from_0(recorder: Recorder, step: Any) -> None:
    with pytest.raises(RecordError, match="step is"):
        recorder.step(step, loss=1.0)


@pytest.mark.parametrize("value", [float("nan"), True, "0.5", None, {"a": 1}, [1]])
def test_a_series_takes_finite_numbers_all_or_none(
    recorder: Recorder, tmp_path: Path, value: object
) -> None:
    with pytest.raises(RecordError, match="loss"):
        recorder.step(0, accuracy=0.5, loss=value)
    assert list(tmp_path.iterdir()) == []


def test_a_series_cannot_be_called_step(recorder: Recorder) -> None:
    with pytest.raises(RecordError, match="cannot be called"):
        recorder.step(0, **{"step": 1.0})


def test_a_step_without_a_series_is_refused(recorder: Recorder) -> None:
    with pytest.raises(RecordError, match="step 3 has no series"):
        recorder.step(3)


def test_running_the_cell_again_does_not_duplicate_steps(
    recorder: Recorder, tmp_path: Path
) -> None:
    for epochs in (5, 3):
        for epoch in range(epochs):
            recorder.step(np.int64(epoch), loss=np.float32(0.5))
    text = (tmp_path / "plots" / "train" / "loss.csv").read_text()
    assert text == "step,loss\n0,0.5\n1,0.5\n2,0.5\n"


def test_a_figure_has_the_same_bytes_each_time(recorder: Recorder, tmp_path: Path) -> None:
    def draw() -> Figure:
        figure = Figure()
        figure.subplots().plot([1, 2, 4])
        return figure

    first = recorder.figure("roc", draw()).read_bytes()
    assert first == recorder.figure("roc.png", draw()).read_bytes()
    assert first.startswith(b"\x89PNG") and b"Software" not in first and b"tEXt" not in first
    assert [path.name for path in tmp_path.rglob("*.png")] == ["roc.png"]


def test_the_current_figure_is_the_default_and_axes_will_do(recorder: Recorder) -> None:
    plt.close("all")
    with pytest.raises(RecordError, match="no current figure"):
        recorder.figure("roc")
    _, axes = plt.subplots()
    axes.plot([1, 2])
    assert recorder.figure("roc").read_bytes() == recorder.figure("same", axes).read_bytes()
    plt.close("all")
    with pytest.raises(RecordError, match="is a str"):
        recorder.figure("roc", "loss")


def test_the_path_of_a_figure_counts_from_the_current_folder(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert recorder.figure("roc", Figure()) == Path("plots/train/roc.png")


def test_explicit_targets_replace_the_declared_ones(recorder: Recorder, tmp_path: Path) -> None:
    other = recorder.to(metrics=tmp_path / "other.json")
    other(a=1)
    recorder.to(metrics=tmp_path / "other.json")(b=2)
    other.step(0, loss=1.0)
    assert json.loads((tmp_path / "other.json").read_text()) == {"a": 1, "b": 2}
    assert (tmp_path / "plots" / "train" / "loss.csv").exists()


def test_without_a_port_the_error_says_what_to_write() -> None:
    with pytest.raises(RecordError, match=r"metrics: Metrics = .* in the parameters cell"):
        record(auc=0.9)
    with pytest.raises(RecordError, match=r"plots: Plots = .* in the parameters cell"):
        record.step(0, loss=0.9)


def test_a_metrics_file_is_json(recorder: Recorder, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"\.json"):
        recorder.to(metrics=tmp_path / "m.yaml")(a=1)


def test_an_unwritable_place_is_one_error(recorder: Recorder, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for call in (
        lambda: recorder.to(metrics=tmp_path / "file" / "m.json")(a=1),
        lambda: recorder.to(plots=tmp_path / "file").step(0, loss=1.0),
        lambda: recorder.to(plots=tmp_path / "file").figure("roc", Figure()),
    ):
        with pytest.raises(UnwritablePath):
            call()


# The three ways to run the same code.


def in_a_script(folder: Path, source: str) -> None:
    (folder / "train.py").write_text("from __future__ import annotations\n" + source)
    subprocess.run(
        [sys.executable, "train.py"],
        cwd=folder,
        check=True,
        env={**os.environ, "MPLBACKEND": "Agg"},
    )


def under_papermill(folder: Path, source: str) -> None:
    import papermill

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": "python"}
    nbformat.write(notebook, folder / "train.ipynb")
    papermill.execute_notebook(
        folder / "train.ipynb", folder / "out.ipynb", cwd=folder, progress_bar=False
    )


def in_a_live_kernel(folder: Path, source: str) -> None:
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(cwd=str(folder))
    try:
        for _ in range(2):  # as when all cells are run again
            reply = client.execute_interactive(source, timeout=60, output_hook=lambda message: None)
            assert reply["content"]["status"] == "ok", reply["content"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.mark.slow
@pytest.mark.parametrize("run", [in_a_script, under_papermill, in_a_live_kernel])
def test_it_works_wherever_the_code_runs(run: Callable[[Path, str], None], tmp_path: Path) -> None:
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "train.json").write_text('{"stale": 1}')
    run(tmp_path, PORTS + WORK)
    assert metrics(tmp_path) == {
        "auc": 0.91,
        "calibrated": True,
        "family": "logistic",
        "slices": {"UA": {"auc": 0.88}},
    }
    written = tmp_path / "plots" / "train"
    assert sorted(path.name for path in written.iterdir()) == [
        "accuracy.csv",
        "loss.csv",
        "roc.png",
    ]
    assert (written / "accuracy.csv").read_text() == "step,accuracy\n5,0.5\n15,0.5\n25,0.5\n"


DVC_YAML = """
stages:
  train:
    cmd: python train.py
    deps: [train.py]
    metrics:
      - metrics/train.json: {cache: false}
    plots:
      - plots/train: {x: step}
"""


@pytest.fixture
def repository(tmp_path: Path) -> Callable[..., str]:
    """Return a function that runs a command in a git and DVC repository."""

    def run(*command: str) -> str:
        folder = str(Path(sys.executable).parent)
        env = {
            **os.environ,
            "MPLBACKEND": "Agg",
            "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        }
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("git", "init", "-q")
    run("git", "config", "user.name", "test")
    run("git", "config", "user.email", "test@example.org")
    run("dvc", "init", "-q")
    (tmp_path / "dvc.yaml").write_text(textwrap.dedent(DVC_YAML))
    return run


@pytest.mark.slow
def test_dvc_reads_it_as_metrics_curves_and_images(
    repository: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "train.py").write_text(PORTS + WORK)
    repository("dvc", "repro", "-q")
    lock = (tmp_path / "dvc.lock").read_bytes()
    repository("dvc", "repro", "-q", "-f")
    assert (tmp_path / "dvc.lock").read_bytes() == lock
    repository("git", "add", "-A")
    repository("git", "commit", "-qm", "first")

    (tmp_path / "train.py").write_text(PORTS + WORK.replace("0.91", "0.95").replace("0.5", "0.75"))
    repository("dvc", "repro", "-q")
    shown = json.loads(repository("dvc", "metrics", "show", "--json"))
    assert shown[""]["data"]["metrics/train.json"]["data"] == metrics(tmp_path)
    changed = json.loads(repository("dvc", "metrics", "diff", "--json"))
    assert changed["metrics/train.json"]["auc"]["diff"] == pytest.approx(0.04)

    shown = repository("dvc", "plots", "diff", "--json", "-o", "plots-shown", "HEAD")
    plots = json.loads(shown)["data"]
    curve = plots["plots/train/accuracy.csv"][0]["content"]
    points = {(p["rev"], p["step"], p["accuracy"]) for p in curve["data"]["values"]}
    assert ("HEAD", "5", "0.5") in points and ("workspace", "25", "0.75") in points
    assert {image["type"] for image in plots["plots/train/roc.png"]} == {"image"}


@pytest.mark.slow
@pytest.mark.parametrize("link", ["hardlink", "symlink"])
def test_recording_again_leaves_a_linked_cache_alone(
    repository: Callable[..., str], tmp_path: Path, link: str
) -> None:
    repository("dvc", "config", "cache.type", link)
    (tmp_path / "train.py").write_text(PORTS + WORK)
    repository("dvc", "repro", "-q")
    in_a_script(tmp_path, PORTS + WORK.replace("0.5", "0.75").replace("0.91", "0.95"))
    (tmp_path / "train.py").write_text(PORTS + WORK)
    assert "corrupted" not in repository("dvc", "status")
    repository("dvc", "checkout", "-f", "-q")
    text = (tmp_path / "plots" / "train" / "accuracy.csv").read_text()
    assert text == "step,accuracy\n5,0.5\n15,0.5\n25,0.5\n"
