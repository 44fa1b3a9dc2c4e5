"""The reference project, on its real data, in a clone of this repository."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import ROOT, Shop, environment
from .lab import jupyter_lab
from .test_repro import everything_written

pytestmark = pytest.mark.slow


def copy_of_this_tree(target: Path) -> Shop:
    """Return a git repository with the files of this one as they are now, but nothing ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    project = Shop(target)
    project.run("git", "init", "--quiet")
    project.commit()
    return project


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Return the reference project after `dvc repro` in a fresh clone."""
    project = copy_of_this_tree(tmp_path_factory.mktemp("flights") / "project")
    project.repro()
    project.commit()
    return project


@pytest.fixture
def copied(flights: Shop, tmp_path: Path) -> Shop:
    """Return a copy of the finished project, to change at will."""
    shutil.copytree(flights.root, tmp_path / "project", symlinks=True)
    return Shop(tmp_path / "project")


def metrics(project: Shop, stage: str) -> dict[str, dict[str, float]]:
    return json.loads(project.text(f"metrics/{stage}.json"))  # type: ignore[no-any-return]


def test_model_ranks_flights_better_than_the_baseline(flights: Shop) -> None:
    found = json.loads(flights.text("metrics/evaluate.json"))

    for stretch in ("validation", "future"):
        assert found[stretch]["roc_auc"] > found[stretch]["baseline"]["roc_auc"] > 0.5
        assert found[stretch]["log_loss"] < found[stretch]["baseline"]["log_loss"]


def test_metrics_and_plots_are_read_by_dvc(flights: Shop) -> None:
    shown = json.loads(flights.run("dvc", "metrics", "show", "--json").stdout)
    plots = flights.run("dvc", "plots", "show", "--out", str(flights.root.parent / "plots"))

    assert "metrics/evaluate.json" in json.dumps(shown)
    assert "index.html" in plots.stdout
    assert (flights.root.parent / "plots" / "index.html").stat().st_size > 10_000


def test_config_has_one_section_per_stage_with_exactly_its_parameters(flights: Shop) -> None:
    composed = json.loads(flights.tool("compose", "--json").stdout)

    for path in sorted(flights.path("nbs/pipeline").glob("*.ipynb")):
        declared = json.loads(flights.tool("params", str(path), "--json").stdout)
        names = {p["name"] for p in declared["parameters"] if p["expression"] is None}
        assert set(composed[path.stem.partition("_")[2]]) == names


def test_forced_repro_changes_no_byte(copied: Shop) -> None:
    lock, written = copied.text("dvc.lock"), everything_written(copied)

    assert copied.repro("--force") == {"plan", "ingest", "features", "train", "evaluate"}
    assert everything_written(copied) == written
    assert copied.text("dvc.lock") == lock


def test_experiment_trains_exactly_what_its_overrides_say(copied: Shop) -> None:
    copied.run("dvc", "exp", "run", "-S", "train=forest", "-S", "train.max_depth=8")
    composed = copied.text("params.yaml")
    report = json.loads(copied.text("reports/train.ipynb"))
    parameters = report["metadata"]["mlops_nb"]["parameters"]

    assert "family: forest" in composed
    assert (parameters["family"], parameters["max_depth"]) == ("forest", 8)
    assert copied.repro() == set()


@pytest.mark.parametrize("family", ["logistic", "mlp"])
def test_every_family_runs_on_a_small_sample(copied: Shop, family: str) -> None:
    copied.run("dvc", "exp", "run", "-S", f"train={family}", "-S", "features.sample=6000")

    assert json.loads(copied.text("metrics/evaluate.json"))["validation"]["roc_auc"] > 0.55


def test_edit_of_the_evaluation_module_runs_only_evaluate(copied: Shop) -> None:
    module = "mlops_nb/examples/flights/evaluation.py"
    copied.path(module).write_text(copied.text(module) + "\nNOTE = 1\n")

    assert copied.repro() == {"plan", "evaluate"}


def test_edit_of_the_command_line_runs_only_the_plan(copied: Shop) -> None:
    module = "mlops_nb/cli/show.py"
    copied.path(module).write_text(copied.text(module) + "\nNOTE = 1\n")

    assert copied.repro() == {"plan"}


def test_stage_notebooks_run_top_to_bottom_in_jupyterlab(copied: Shop) -> None:
    with jupyter_lab(copied.root, copied.root.parent / "runtime", environment()) as lab:
        for path in sorted(copied.path("nbs/pipeline").glob("*.ipynb")):
            with lab.open(str(path.relative_to(copied.root))) as notebook:
                notebook.run_all()
                name = path.stem.partition("_")[2]
                assert f"Parameters of {name}" in notebook.run("%params")
                assert f"Stage {name}" in notebook.run("%stage")
