"""What the rendered `dvc.yaml` makes of DVC itself, in a real git and DVC project.

`mlops-nb` is a script of a few lines here: it plans, or copies its stage's inputs to its outputs,
and notes that it ran. So the tests speak of `dvc.yaml` and the fingerprints alone.
"""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from mlops_nb.core.project import Project
from mlops_nb.errors import PipelineError
from mlops_nb.pipeline.dvc import PipelineStatus, status
from mlops_nb.pipeline.dvcyaml import sync

pytestmark = pytest.mark.slow

COMMAND = f"""#!{sys.executable}
import json, sys
from pathlib import Path

from mlops_nb.core.project import Project
from mlops_nb.notebook.stage import read_stages
from mlops_nb.pipeline.fingerprint import code_fingerprints
from mlops_nb.pipeline.graph import reads, writes

project = Project(Path.cwd())
stages = read_stages(project)
if sys.argv[1] == "plan":
    name = "plan"
    facts = {{"code": code_fingerprints(project.root, stages)}}
    project.plan_file.write_text(json.dumps(facts))
else:
    stage = next(stage for stage in stages if stage.where == sys.argv[2])
    name = stage.name
    params = json.loads(project.params_file.read_text())[name]
    made = [Path(path).read_text() for path in reads(stage)] + [str(params["size"])]
    for path in writes(stage):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(" ".join(made))
with open(".ran", "a") as log:
    log.write(name + "\\n")
"""
PORTS = {
    "10_ingest": 'raw: In = "raw.csv"\ntable: Out = "data/table.csv"\n',
    "20_train": (
        'table: In = "data/table.csv"\nmodel: Out = "models/m.txt"\n'
        'metrics: Metrics = "metrics/train.json"\n'
    ),
}


def write_notebook(
    project: Project, name: str, body: str, *, prose: str = "", output: str = "", port: str = ""
) -> None:
    outputs = [{"output_type": "stream", "name": "stdout", "text": output}] if output else []
    ran = {"cell_type": "code", "outputs": outputs, "execution_count": len(output) or None}
    parameters = f"from mlops_nb import In, Out, Metrics, Plots\n{PORTS[name]}{port}\nsize: int = 1"
    cells = [
        {"cell_type": "markdown", "id": "a", "metadata": {}, "source": f"# {name}\n{prose}"},
        {**ran, "id": "b", "metadata": {"tags": ["parameters"]}, "source": parameters},
        {**ran, "id": "c", "metadata": {}, "source": body},
    ]
    content = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path = project.pipeline / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_params(project: Project, **sizes: int) -> None:
    sections = {name: {"size": sizes.get(name, 1)} for name in ("ingest", "train")}
    project.params_file.write_text(json.dumps({**sections, "conf_sha": "0"}))


def dvc(project: Project, *arguments: str) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def repro(project: Project, *arguments: str) -> list[str]:
    """Run `dvc repro` and return the stages that ran, in order."""
    log = project.root / ".ran"
    log.unlink(missing_ok=True)
    dvc(project, "repro", *arguments)
    return log.read_text().split() if log.exists() else []


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    project = Project(tmp_path / "project")
    command = tmp_path / "bin" / "mlops-nb"
    command.parent.mkdir()
    command.write_text(COMMAND)
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    project.conf.mkdir(parents=True)
    (project.conf / "config.yaml").write_text("")
    (project.root / "raw.csv").write_text("raw")
    (project.root / "shared.py").write_text("f = 1\n")
    (project.root / "other.py").write_text("g = 1\n")
    write_notebook(project, "10_ingest", "import other")
    write_notebook(project, "20_train", "import shared")
    write_params(project)
    subprocess.run(["git", "init", "-q"], cwd=project.root, check=True)
    dvc(project, "init", "-q")
    (project.root / ".dvcignore").write_text("__pycache__\n.ipynb_checkpoints\n")
    sync(project)
    return project


@pytest.fixture
def fresh(project: Project) -> Project:
    assert repro(project) == ["plan", "ingest", "train"]
    return project


def test_the_plan_runs_first_though_stages_only_share_a_parameter_with_it(project: Project) -> None:
    assert not project.plan_file.exists()
    assert repro(project, "train") == ["plan", "ingest", "train"]


def test_unchanged_nothing_runs_and_nothing_is_stale(fresh: Project) -> None:
    assert repro(fresh) == []
    assert status(fresh) == PipelineStatus()


def test_prose_outputs_and_comments_run_the_plan_alone(fresh: Project) -> None:
    write_notebook(fresh, "20_train", "import shared", prose="More.", output="hello")
    assert list(status(fresh).stale) == ["plan"]
    assert repro(fresh) == ["plan"]
    (fresh.root / "shared.py").write_text("# a comment\n\nf = 1\n")
    assert repro(fresh) == ["plan"]


def test_a_code_cell_runs_its_stage(fresh: Project) -> None:
    write_notebook(fresh, "20_train", "import shared\n1")
    assert repro(fresh) == ["plan", "train"]


def test_a_module_runs_the_stages_that_import_it(fresh: Project) -> None:
    (fresh.root / "shared.py").write_text("f = 2\n")
    assert repro(fresh) == ["plan", "train"]
    (fresh.root / "other.py").write_text("g = 2\n")
    assert repro(fresh) == ["plan", "ingest"]  # it gave the same table, so `train` need not run


def test_a_parameter_runs_its_stage_and_what_follows(fresh: Project) -> None:
    write_params(fresh, ingest=2)
    reasons = status(fresh).stale["ingest"]
    assert [(r.kind, r.path, r.key, r.change) for r in reasons] == [
        ("param", "params.yaml", key, "modified") for key in ("ingest", "ingest.size")
    ]
    assert repro(fresh) == ["plan", "ingest", "train"]


def test_a_parameter_called_size_is_not_overlooked_by_the_run_cache(fresh: Project) -> None:
    """DVC leaves `size` out of the run-cache's key when it stands in a section: DVC issue 10296."""
    write_params(fresh, train=2)
    assert repro(fresh) == ["plan", "train"]
    assert (fresh.root / "models/m.txt").read_text() == "raw 1 2"


def test_going_back_restores_from_the_run_cache(fresh: Project) -> None:
    write_params(fresh, train=2)
    write_notebook(fresh, "10_ingest", "import other\n1")
    assert repro(fresh) == ["plan", "ingest", "train"]
    assert (fresh.root / "models/m.txt").read_text() == "raw 1 2"
    write_params(fresh)
    write_notebook(fresh, "10_ingest", "import other")
    assert set(repro(fresh)) <= {"plan"}
    assert (fresh.root / "models/m.txt").read_text() == "raw 1 1"


def test_notes_in_meta_make_nothing_stale(fresh: Project) -> None:
    text = fresh.dvc_file.read_text()
    fresh.dvc_file.write_text(text.replace("    meta:\n", "    desc: x\n    meta:\n      by: me\n"))
    assert repro(fresh) == []


def test_a_new_port_is_a_reason(fresh: Project) -> None:
    (fresh.root / "more.csv").write_text("more")
    write_notebook(fresh, "20_train", "import shared", port='more: In = "more.csv"')
    assert sync(fresh).differences == ("train.deps lacks more.csv",)
    assert "more.csv" in {reason.path for reason in status(fresh).stale["train"]}
    assert repro(fresh) == ["plan", "train"]


def test_series_are_plotted_over_the_recorded_step(project: Project) -> None:
    write_notebook(project, "20_train", "", port='plots: Plots = "plots/train"')
    sync(project)
    series = project.root / "plots/train/loss.csv"
    series.parent.mkdir(parents=True)
    series.write_text("step,loss\n0,1.0\n10,0.5\n")
    shown = json.loads(dvc(project, "plots", "show", "--json"))
    plot = shown["data"]["plots/train/loss.csv"][0]["content"]
    assert [row["step"] for row in plot["data"]["values"]] == ["0", "10"]


def test_while_a_stage_runs_the_answer_is_busy(project: Project) -> None:
    text = project.dvc_file.read_text()
    started = project.root / "started"
    project.dvc_file.write_text(text.replace("cmd: mlops-nb plan", "cmd: touch started; sleep 60"))
    running = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "-q"], cwd=project.root, start_new_session=True
    )
    try:
        while not started.exists():
            assert running.poll() is None
        assert status(project) == PipelineStatus(busy=True)
    finally:
        os.killpg(running.pid, 9)
        running.wait()


def test_a_pipeline_that_dvc_cannot_read_is_one_line(project: Project) -> None:
    project.dvc_file.write_text("stages:\n  train:\n    cmd: a\n    nonsense: b\n")
    with pytest.raises(PipelineError, match=r"^DVC: ") as caught:
        status(project)
    assert "\n" not in str(caught.value)


def test_without_dvc_the_error_says_how_to_get_it(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv.create(tmp_path / "bare")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
    with pytest.raises(PipelineError, match=r"^DVC is not installed"):
        status(project)
