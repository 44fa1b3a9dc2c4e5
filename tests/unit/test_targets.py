"""The ports of the running notebook are found by their annotations."""

from pathlib import Path
from types import ModuleType

import pytest

import mlops_nb
from mlops_nb.errors import RecordError
from mlops_nb.notebook.ports import Metrics, Out, Plots
from mlops_nb.runs.targets import declared_target


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def module(source: str) -> ModuleType:
    made = ModuleType("made")
    vars(made).update(Metrics=Metrics, Plots=Plots, Out=Out, mlops_nb=mlops_nb)
    exec(source, vars(made))
    return made


@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
@pytest.mark.parametrize("annotation", ["Metrics", "mlops_nb.Metrics"])
def test_an_annotated_name_is_a_target(future: str, annotation: str, folder: Path) -> None:
    made = module(f"{future}model: Out = 'm'\nscores: {annotation} = 'metrics/a.json'\nn: int = 3")
    assert declared_target(made, "metrics") == folder / "metrics" / "a.json"
    assert declared_target(made, "plots") is None


def test_the_value_counts_at_the_time_of_the_call(folder: Path) -> None:
    made = module("plots: Plots = 'plots/a'")
    made.plots = "plots/b"
    assert declared_target(made, "plots") == folder / "plots" / "b"


def test_a_name_without_a_value_is_no_target() -> None:
    made = module("plots: Plots")
    assert declared_target(made, "plots") is None


def test_a_module_without_annotations_has_no_targets() -> None:
    assert declared_target(ModuleType("empty"), "metrics") is None


def test_unknown_annotations_are_passed_over() -> None:
    made = module("from __future__ import annotations\na: Unknown.Name = 1\nb: list[int] = []")
    assert declared_target(made, "metrics") is None


def test_two_places_for_one_thing_are_refused_but_the_same_place_is_not() -> None:
    same = module("a: Plots = 'plots/a'\nb: Plots = 'plots/a'")
    assert declared_target(same, "plots") is not None
    with pytest.raises(RecordError, match=r"plots/a, plots/b.*record\.to"):
        declared_target(module("a: Plots = 'plots/a'\nb: Plots = 'plots/b'"), "plots")


def test_paths_count_from_the_root_of_the_project(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".dvc").mkdir()
    inside = folder / "nbs" / "pipeline"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    assert declared_target(module("p: Plots = 'plots/a'"), "plots") == folder / "plots" / "a"
