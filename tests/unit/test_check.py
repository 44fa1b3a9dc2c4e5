"""Every command that goes over the stages goes over the same notebooks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_nb.cli.app import run
from mlops_nb.config.compose import compose
from mlops_nb.core.project import Project
from mlops_nb.errors import CheckFailed
from mlops_nb.notebook.stage import stage_files
from mlops_nb.pipeline.check import check_project
from mlops_nb.pipeline.dvcyaml import sync

Builder = Callable[..., Project]


@pytest.fixture
def project(build: Builder, tmp_path: Path) -> Project:
    """Return a project of one stage in which everything fits together."""
    conf = {"config.yaml": "defaults: [stages, _self_]"}
    project = build(tmp_path, {"10_a": "rows: int = 3"}, conf)
    for folder in (".git", ".dvc"):
        (project.root / folder).mkdir()
    project.params_file.write_text(compose(project=project).text)
    sync(project)
    return project


@pytest.fixture
def hidden(project: Project) -> Path:
    """Return a notebook that an editor left beside the stages: it is broken, and holds outputs."""
    path = project.pipeline / ".~10_a.ipynb"
    path.write_text('{"cells": [{"outputs"')
    (project.pipeline / ".ipynb_checkpoints").mkdir()
    (project.pipeline / ".ipynb_checkpoints" / "10_a-checkpoint.ipynb").write_text("{")
    return path


def test_a_hidden_notebook_is_no_stage(project: Project, hidden: Path) -> None:
    assert stage_files(project) == (project.pipeline / "10_a.ipynb",)


def test_a_hidden_notebook_is_not_checked(project: Project, hidden: Path) -> None:
    assert check_project(project.root).stages == ("a",)


def test_a_hidden_notebook_is_not_cleaned(
    project: Project,
    hidden: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(project.root)
    before = hidden.read_bytes()

    assert run(["clean", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["notebooks"] == 1
    assert hidden.read_bytes() == before


def test_all_broken_notebooks_are_findings(project: Project) -> None:
    for name in ("20_b", "30_c"):
        (project.pipeline / f"{name}.ipynb").write_text("{")
    with pytest.raises(CheckFailed) as caught:
        check_project(project.root)
    assert [finding.partition(": ")[0][-10:] for finding in caught.value.findings] == [
        "20_b.ipynb",
        "30_c.ipynb",
    ]


def test_code_that_no_fingerprint_covers_is_noted_and_fails_nothing(
    project: Project, notebook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = notebook("!python clean.py", parameters="rows: int = 3")
    (project.pipeline / "10_a.ipynb").write_text(json.dumps(cells))
    monkeypatch.chdir(project.root)
    assert run(["check"]) == 0
    said = capsys.readouterr()
    assert "note: nbs/pipeline/10_a.ipynb, cell 2, line 1: what a shell" in said.err
    assert said.out == "the pipeline fits together: a\n"
    assert run(["check", "--json"]) == 0
    (note,) = json.loads(capsys.readouterr().out)["notes"]
    assert "cell 2" in note
