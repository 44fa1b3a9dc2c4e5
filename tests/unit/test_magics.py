"""A kernel finds the stage whose notebook it serves, or says that it does not know."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_nb.core.project import Project
from mlops_nb.errors import NotebookError
from mlops_nb.magics import current_stage


@pytest.fixture
def project(tmp_path: Path, build: Callable[..., Project]) -> Project:
    return build(tmp_path, {"10_prepare": "rows: int = 1"}, {})


def test_the_stage_is_the_notebook_that_jupyter_names(project: Project) -> None:
    path = project.pipeline / "10_prepare.ipynb"
    for named in (str(path), "nbs/pipeline/10_prepare.ipynb"):
        assert current_stage(project, {"JPY_SESSION_NAME": named}, {}).name == "prepare"


def test_a_notebook_of_the_same_name_elsewhere_is_no_stage(
    project: Project, tmp_path: Path
) -> None:
    other = tmp_path / "10_prepare.ipynb"
    other.write_text("{}")
    with pytest.raises(NotebookError, match="--stage"):
        current_stage(project, {"JPY_SESSION_NAME": str(other)}, {})


def test_a_notebook_that_was_moved_away_is_not_known_in_one_line(
    project: Project, tmp_path: Path
) -> None:
    gone = {"JPY_SESSION_NAME": str(tmp_path / "was_here" / "10_prepare.ipynb")}
    with pytest.raises(NotebookError, match="--stage"):
        current_stage(project, gone, {})
