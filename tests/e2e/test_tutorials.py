"""The tutorials run from top to bottom, and what they promise is what comes out."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT, Shop, environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1000)]

TUTORIALS = ROOT / "nbs" / "tutorials"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which the tutorial on sweeps has made its projects."""
    start = tmp_path_factory.mktemp("sweep tutorial")
    shutil.copy(TUTORIALS / "20_from_run_to_sweep.ipynb", start)  # as a reader may have it
    command = [sys.executable, "-m", "mlops_nb", "execute", "20_from_run_to_sweep.ipynb"]
    done = subprocess.run(
        [*command, "-p", f"folder={start / 'made'}"],
        cwd=start,
        env=environment(),
        text=True,
        capture_output=True,
        timeout=900,  # a minute or two where nothing else runs
    )
    assert done.returncode == 0, done.stderr
    return start / "made"


def table(project: Path) -> list[dict[str, Any]]:
    """Return the runs of a project."""
    return json.loads(Shop(project).tool("runs", "--json").stdout)


def record(project: Path, run: str) -> dict[str, Any]:
    """Return the record of a run."""
    return json.loads(Shop(project).tool("runs", "show", run, "--json").stdout)


def test_the_sweep_of_the_tutorial_has_20_good_trials_for_four_depths_and_five_seeds(
    place: Path,
) -> None:
    trials = [run for run in table(place / "digits") if run["origin"]["kind"] == "sweep"]

    assert len(trials) == 20
    assert {run["state"] for run in trials} == {"ok"}
    tried = {(t["params"]["train"]["max_depth"], t["params"]["train"]["seed"]) for t in trials}
    assert tried == {(depth, seed) for depth in (1, 2, 4, 8) for seed in range(5)}


def test_depth_decides_more_than_luck_as_the_tutorial_says(place: Path) -> None:
    accuracies: dict[int, list[float]] = {}
    for run in table(place / "digits"):
        if run["origin"]["kind"] == "sweep":
            accuracy = run["metrics"]["train"]["accuracy"]
            accuracies.setdefault(run["params"]["train"]["max_depth"], []).append(accuracy)

    worst_and_best = [(min(accuracies[depth]), max(accuracies[depth])) for depth in (1, 2, 4, 8)]
    assert worst_and_best == sorted(worst_and_best)
    means = [sum(values) / len(values) for _, values in sorted(accuracies.items())]
    assert all(deeper - shallower > 0.05 for shallower, deeper in pairwise(means))


def test_what_was_computed_before_the_sweep_is_not_computed_again(place: Path) -> None:
    project = place / "digits"
    trials = [run["id"] for run in table(project) if run["origin"]["kind"] == "sweep"]
    stages = [record(project, run)["stages"] for run in trials]

    assert [trial["prepare"]["how"] for trial in stages] == ["restored"] * 20
    assert sorted(trial["train"]["how"] for trial in stages) == ["ran"] * 18 + ["restored"] * 2


def test_the_best_run_of_the_tutorial_comes_out_the_same_again(place: Path) -> None:
    project = place / "digits"
    best, again = record(project, "best"), record(project, "again")

    assert again["stages"]["train"]["how"] == "ran"
    assert again["metrics"] == best["metrics"]
    assert again["artifacts"] == best["artifacts"]


def test_the_colleague_of_the_tutorial_has_the_same_table_and_the_same_model(place: Path) -> None:
    assert table(place / "colleague") == table(place / "digits")

    model = Path("models", "forest.skops")
    assert (place / "best-of-grace" / model).read_bytes() == (place / "best" / model).read_bytes()


def test_a_tutorial_is_kept_without_outputs() -> None:
    for path in TUTORIALS.glob("*.ipynb"):
        cells = json.loads(path.read_text())["cells"]
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells), path
