"""A project is found from anywhere inside it, and knows what lies inside."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_nb.core.project import Project, enclosing_project, find_project
from mlops_nb.errors import ProjectError


@pytest.fixture
def project(tmp_path: Path) -> Project:
    root = tmp_path / "project"
    for folder in ("conf", "nbs/pipeline", ".git", ".dvc", "data/deep"):
        (root / folder).mkdir(parents=True)
    return Project(root)


def test_it_is_found_from_a_folder_a_file_and_a_path_that_is_not_there(project: Project) -> None:
    for start in ("", "data/deep", "nbs/pipeline/30_train.ipynb", "nothing/here/yet"):
        assert enclosing_project(project.root / start) == project
        assert find_project(project.root / start) == project


def test_the_nearest_project_wins(project: Project) -> None:
    (project.root / "data" / ".dvc").mkdir()
    assert enclosing_project(project.root / "data" / "deep") == Project(project.root / "data")


def test_the_home_directory_with_dvc_settings_is_not_a_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".dvc").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert enclosing_project(tmp_path / "elsewhere") is None


@pytest.mark.parametrize(
    ("removed", "said"),
    [(".git", "not a git repository"), (".dvc", "DVC is not initialised")],
)
def test_what_is_missing_is_said_with_the_command_that_mends_it(
    project: Project, removed: str, said: str
) -> None:
    (project.root / removed).rmdir()
    with pytest.raises(ProjectError, match=said) as caught:
        find_project(project.root)
    assert "init" in caught.value.hint and caught.value.exit_code == 2


def test_outside_of_any_project_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="not in a project"):
        find_project(tmp_path)


@pytest.mark.parametrize("path", ["data/x", "data/../data/x", "./x", "nbs", "..data", "a..b"])
def test_a_path_inside(project: Project, path: str) -> None:
    assert project.holds(path) and project.holds(project.root / path)


@pytest.mark.parametrize("path", ["", ".", "..", "../x", "data/../../x", "/etc/passwd", "/"])
def test_a_path_outside(project: Project, path: str) -> None:
    assert not project.holds(path)


def test_a_neighbour_with_a_longer_name_is_outside(project: Project) -> None:
    assert not project.holds(f"{project.root}-other/x")


def test_an_output_that_dvc_linked_to_a_cache_outside_is_inside(
    project: Project, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("")
    (project.root / "data" / "model").symlink_to(tmp_path / "cache")
    assert project.holds("data/model")
    assert project.relative(project.root / "data" / "model") == "data/model"


def test_paths_are_relative_also_through_a_link_to_the_root(
    project: Project, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(project.root)
    assert project.relative(link / "nbs" / "x.ipynb") == "nbs/x.ipynb"
    assert Project(link).relative(project.root / "nbs" / "x.ipynb") == "nbs/x.ipynb"
    assert project.relative(tmp_path / "x") == str(tmp_path / "x")


def test_paths_are_relative_to_a_relative_root(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.root)
    assert Project(Path()).relative(Path("nbs/x.ipynb")) == "nbs/x.ipynb"


def test_each_thing_has_its_place(project: Project) -> None:
    places = {
        project.conf: "conf",
        project.pipeline: "nbs/pipeline",
        project.params_file: "params.yaml",
        project.dvc_file: "dvc.yaml",
        project.plan_file: "plan.json",
        project.reports: "reports",
        project.state: ".mlops_nb",
    }
    assert {project.relative(path): path for path in places} == {v: k for k, v in places.items()}


def test_what_an_experiment_in_a_copy_of_dvc_leaves_is_kept_in_the_project(tmp_path: Path) -> None:
    copy = tmp_path / ".dvc" / "tmp" / "exps" / "standalone" / "tmp4j2t"
    assert Project(copy).state == tmp_path / ".mlops_nb"
    assert Project(tmp_path).state == tmp_path / ".mlops_nb"
