"""Interactive use: stage notebooks and magics in a kernel that a real JupyterLab server started."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from .conftest import Shop, environment
from .lab import Lab, jupyter_lab

pytestmark = pytest.mark.slow


@pytest.fixture
def lab(shop: Shop) -> Iterator[Lab]:
    with jupyter_lab(shop.root, shop.root.parent / "runtime", environment()) as running:
        yield running


def test_stage_notebooks_run_top_to_bottom_as_they_stand(shop: Shop, lab: Lab) -> None:
    for name in ("data/table.csv", "models/model.json", "metrics/evaluate.json"):
        shop.path(name).unlink()

    for path in sorted(shop.path("nbs/pipeline").glob("*.ipynb")):
        with lab.open(str(path.relative_to(shop.root))) as notebook:
            notebook.run_all()

    assert json.loads(shop.text("metrics/evaluate.json"))["error"] > 0
    assert shop.text("plots/train/loss.csv").startswith("step,loss\n0,1")


def test_magics_load_composed_values_and_show_the_stage(shop: Shop, lab: Lab) -> None:
    with lab.open("nbs/pipeline/20_train.ipynb") as notebook:
        assert "../.." in notebook.run("%load_ext mlops_nb")

        notebook.run("%params")
        assert notebook.run("family, max_depth, shrink") == "('mean', None, 1.0)"

        notebook.run("%params train=median")
        assert notebook.run("family, max_depth") == "('median', 4)"

        notebook.run("%params train=median max_depth=8")
        assert notebook.run("max_depth") == "8"
        assert notebook.run("table") == "'data/table.csv'"

        assert "Stage train: fresh" in notebook.run("%stage")
        shop.replace("shop/table.py", "return [float", "return [1 * float")
        shown = notebook.run("%stage")
        assert "code changed" in shown
        assert "models/model.json" in shown
        assert "Stage evaluate: stale" in notebook.run("%stage evaluate")


def test_mistake_in_a_magic_is_one_line(shop: Shop, lab: Lab) -> None:
    with lab.open("nbs/pipeline/20_train.ipynb") as notebook:
        notebook.run("%load_ext mlops_nb")
        for line, said in {
            "%params train=medium": "did you mean `median`?",
            "%params max_dept=3": "no key",
            "%stage trian": "did you mean `train`?",
        }.items():
            shown, error = notebook.try_run(line)
            assert error is None or error.startswith("UsageError")
            assert said in shown + (error or "")
            assert "Traceback" not in shown


def test_composing_in_a_notebook_works_any_number_of_times(shop: Shop, lab: Lab) -> None:
    with lab.open("nbs/pipeline/20_train.ipynb") as notebook:
        notebook.run("%load_ext mlops_nb\nfrom mlops_nb import config")
        notebook.run("import hydra; hydra.initialize(version_base='1.3', config_path=None)")
        for family in ("mean", "median", "mean"):
            source = f"config.compose('train={family}').train.family"
            assert notebook.run(source) == repr(family)


def test_notebook_outside_the_pipeline_names_its_stage(shop: Shop, lab: Lab) -> None:
    shop.path("nbs/scratch.ipynb").write_text(
        json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    with lab.open("nbs/scratch.ipynb") as notebook:
        notebook.run("%load_ext mlops_nb")
        shown, error = notebook.try_run("%params")
        assert "--stage" in shown + (error or "")

        notebook.run("%params --stage train train=median")
        assert notebook.run("family") == "'median'"
