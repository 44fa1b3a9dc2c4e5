"""What is said of a stage is what is known of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_nb.cli.app import run
from mlops_nb.core.project import Project
from mlops_nb.notebook.stage import read_stages
from mlops_nb.pipeline import state
from mlops_nb.pipeline.dvc import PipelineStatus
from mlops_nb.pipeline.dvcyaml import sync
from mlops_nb.pipeline.fingerprint import code_fingerprints
from mlops_nb.pipeline.state import StageState, stage_states

Builder = Callable[..., Project]
WRITES = "from mlops_nb import Out\ntable: Out = 'data/table'\nrows: int = 3"
READS = "from mlops_nb import In\ntable: In = 'data/table'\ndepth: int = 2"


@pytest.fixture
def project(build: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a project whose two stages ran with their present sources; DVC is busy."""
    conf = {"config.yaml": "defaults: [stages, _self_]"}
    project = build(tmp_path, {"10_prepare": WRITES, "20_train": READS}, conf)
    for folder in (".git", ".dvc"):
        (project.root / folder).mkdir()
    codes = code_fingerprints(project.root, read_stages(project))
    sections = {"prepare": {"rows": 3}, "train": {"depth": 2}}
    ran = {
        name: {
            "params": {
                "params.yaml": {name: sections[name]},
                "plan.json": {f"code.{name}": code},
            }
        }
        for name, code in codes.items()
    }
    sync(project)
    (project.root / "dvc.lock").write_text(json.dumps({"stages": ran}))
    monkeypatch.setattr(state, "status", lambda _: PipelineStatus(busy=True))
    return project


def shown(project: Project) -> dict[str, str]:
    """Return the state of each stage as a person reads it."""
    return {name: str(s) for name, s in stage_states(project, read_stages(project)).items()}


def test_while_a_run_is_under_way_no_stage_is_called_fresh(project: Project) -> None:
    unknown = "unknown: a run is under way"
    assert shown(project) == {"prepare": unknown, "train": unknown}


def test_a_changed_source_is_a_reason_while_a_run_is_under_way(
    project: Project, build: Builder
) -> None:
    build(project.root, {"10_prepare": WRITES.replace("3", "4")}, {})
    assert shown(project) == {
        "prepare": "stale: code changed, parameters changed: rows",
        "train": "stale: waits for prepare",
    }


def test_the_table_and_the_document_say_the_same(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project.root)

    assert run(["pipeline", "show", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert run(["pipeline", "show"]) == 0
    table = capsys.readouterr().out
    assert [(s["state"], s["why"]) for s in document] == [("unknown", ["a run is under way"])] * 2
    assert table.count("unknown") == 2 and "fresh" not in table


def test_stage_without_reasons_is_fresh_if_files_were_compared() -> None:
    assert (StageState().state, StageState().why) == ("fresh", ())


def test_a_stage_that_dvc_yaml_does_not_have_as_it_is_is_not_called_fresh(project: Project) -> None:
    text = project.dvc_file.read_text()
    project.dvc_file.write_text(text.replace("    deps:\n    - data/table\n", ""))
    assert shown(project)["train"] == "stale: dvc.yaml is out of step"
    project.dvc_file.unlink()
    assert shown(project)["prepare"] == "stale: dvc.yaml is out of step"
