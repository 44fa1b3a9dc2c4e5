"""A pipeline notebook is the stage that its file is named for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_nb.core.project import Project
from mlops_nb.errors import NotebookError, PortError
from mlops_nb.notebook.stage import find_stage, read_stages, stage_name

Builder = Callable[..., Project]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("30_train.ipynb", "train"),
        ("train.ipynb", "train"),
        ("05b_clean_up.ipynb", "clean_up"),
        ("1_a2.ipynb", "a2"),
        ("30_Train.ipynb", "Train"),
        ("10_größe.ipynb", "größe"),
        ("30_.ipynb", None),
        ("30.ipynb", None),
        ("30-train.ipynb", None),
        ("train model.ipynb", None),
        ("30_train-copy.ipynb", None),
        ("30_plan.ipynb", None),
        ("30_shared.ipynb", None),
        ("30_conf_sha.ipynb", None),
        ("30_hydra.ipynb", None),
        ("30_import.ipynb", None),
    ],
)
def test_the_file_names_the_stage(file: str, name: str | None) -> None:
    if name is not None:
        assert stage_name(Path(file)) == name
        return
    with pytest.raises(NotebookError) as caught:
        stage_name(Path(file))
    assert caught.value.hint and len(str(caught.value).splitlines()) == 1


def test_stages_come_in_the_order_of_their_files(build: Builder, tmp_path: Path) -> None:
    cell = "from mlops_nb import In\nsource: In = 'data/x'\nrows: int = 3\nhalf: int = rows // 2"
    project = build(tmp_path, {"20_b": cell, "10_c": cell, "30_a": cell}, {})
    (project.pipeline / ".~30_a.ipynb").write_text("being saved")
    (project.pipeline / ".ipynb_checkpoints").mkdir()
    (project.pipeline / ".ipynb_checkpoints" / "30_a-checkpoint.ipynb").write_text("old")
    stages = read_stages(project)
    assert [stage.name for stage in stages] == ["c", "b", "a"]
    stage = find_stage(stages, "c")
    assert (stage.where, stage.report) == ("nbs/pipeline/10_c.ipynb", "reports/c.ipynb")
    assert [p.name for p in stage.configured] == ["rows"]
    assert stage.path == project.pipeline / "10_c.ipynb"


def test_two_notebooks_cannot_be_one_stage(build: Builder, tmp_path: Path) -> None:
    project = build(tmp_path, {"10_a": "", "20_a": ""}, {})
    with pytest.raises(NotebookError, match=r"20_a.ipynb: stage `a` is also nbs/pipeline/10_a"):
        read_stages(project)


def test_a_stage_that_is_not_there_is_suggested(build: Builder, tmp_path: Path) -> None:
    stages = read_stages(build(tmp_path, {"10_train": ""}, {}))
    with pytest.raises(NotebookError, match="did you mean `train`"):
        find_stage(stages, "trian")


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "data/../../x", ".", "~/../../x"])
def test_a_port_outside_the_project_is_refused(build: Builder, tmp_path: Path, path: str) -> None:
    cell = f"from mlops_nb import Out\nmodel: Out = {path!r}"
    with pytest.raises(PortError, match="port `model`") as caught:
        read_stages(build(tmp_path / "p", {"10_a": cell}, {}))
    assert caught.value.path == path and caught.value.exit_code == 2


def test_a_project_without_stages_has_none(tmp_path: Path) -> None:
    assert read_stages(Project(tmp_path)) == ()
