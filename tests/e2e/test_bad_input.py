"""Foreseeable mistakes: one line, exit code 2, a next step, nothing overwritten."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import Shop, write_stage

pytestmark = pytest.mark.slow

TRAIN = "nbs/pipeline/20_train.ipynb"


def snapshot(shop: Shop) -> dict[str, bytes]:
    """Return the bytes of all that the project holds outside git's and DVC's own directories."""
    return {
        str(path.relative_to(shop.root)): path.read_bytes()
        for path in shop.root.rglob("*")
        if path.is_file() and not {".git", ".dvc", "__pycache__"} & set(path.parts)
    }


def refused(shop: Shop, *arguments: str) -> str:
    """Run the tool, check that it refuses as it should, and return its line."""
    before = snapshot(shop)
    done = shop.tool(*arguments, code=2)

    assert snapshot(shop) == before
    return the_one_line(done)


def the_one_line(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line on standard error, with a fact and a next step."""
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert "; " in lines[0]
    assert "Traceback" not in done.stdout + done.stderr
    return lines[0]


def set_parameters(shop: Shop, old: str, new: str) -> None:
    content = json.loads(shop.text(TRAIN))
    cell = next(c for c in content["cells"] if c["metadata"].get("tags") == ["parameters"])
    source = "".join(cell["source"])
    assert old in source
    cell["source"] = source.replace(old, new)
    shop.path(TRAIN).write_text(json.dumps(content))


def test_unknown_parameter_suggests_the_right_one(shop: Shop) -> None:
    line = refused(shop, "execute", TRAIN, "-p", "max_dept=3")

    assert "no parameter `max_dept`" in line
    assert "did you mean `max_depth`?" in line


def test_value_of_the_wrong_type_says_what_was_expected(shop: Shop) -> None:
    line = refused(shop, "execute", TRAIN, "-p", "max_depth=deep")

    assert "`max_depth` is 'deep'" in line
    assert "int | None" in line


def test_value_out_of_range_lists_the_choices(shop: Shop) -> None:
    assert "one of mean, median" in refused(shop, "execute", TRAIN, "-p", "family=mode")


def test_port_without_a_path_is_named(shop: Shop) -> None:
    set_parameters(shop, 'table: In = "data/table.csv"', "table: In")

    assert "port `table` has no value" in refused(shop, "execute", TRAIN)


def test_input_that_is_not_there_is_named_with_its_maker(shop: Shop) -> None:
    shop.path("data/table.csv").unlink()
    line = refused(shop, "execute", TRAIN)

    assert "data/table.csv" in line
    assert "dvc repro" in line


@pytest.mark.parametrize("path", ["../outside.csv", "/etc/passwd"])
def test_port_outside_the_project_is_refused(shop: Shop, path: str) -> None:
    set_parameters(shop, "data/table.csv", path)

    assert "outside the project" in refused(shop, "execute", TRAIN)
    assert "outside the project" in refused(shop, "check")


def test_port_given_outside_the_project_is_refused(shop: Shop) -> None:
    assert "outside the project" in refused(shop, "execute", TRAIN, "-p", "model=../model.json")


def test_notebook_without_a_parameters_cell_is_refused(shop: Shop) -> None:
    shop.replace(TRAIN, '"parameters"', '"something"')

    assert "no parameters cell" in refused(shop, "execute", TRAIN)
    assert "no parameters cell" in refused(shop, "params", TRAIN)


def test_file_that_is_not_a_notebook_is_refused(shop: Shop) -> None:
    assert "not a notebook" in refused(shop, "execute", "params.yaml")
    assert "not a notebook" in refused(shop, "params", "conf/config.yaml")


def test_notebook_that_does_not_exist_is_refused(shop: Shop) -> None:
    assert "no such file" in refused(shop, "execute", "nbs/pipeline/99_none.ipynb")


def test_truncated_notebook_is_refused(shop: Shop) -> None:
    shop.path(TRAIN).write_text(shop.text(TRAIN)[:300])

    assert "truncated" in refused(shop, "execute", TRAIN)


def test_kernel_that_is_not_installed_is_refused(shop: Shop) -> None:
    shop.replace(TRAIN, '"name": "python3"', '"name": "julia-9"')
    line = refused(shop, "execute", TRAIN)

    assert "`julia-9` is not installed" in line
    assert "python3" in line


def test_misspelt_conf_key_is_refused_with_its_file(shop: Shop) -> None:
    shop.path("conf/train/mean.yaml").write_text("family: mean\nmax_dept: 3\n")
    line = refused(shop, "plan")

    assert "conf/train/mean.yaml" in line
    assert "did you mean `max_depth`?" in line


def test_misspelt_conf_section_is_refused(shop: Shop) -> None:
    shop.replace("conf/config.yaml", "prepare:", "prepair:")

    assert "did you mean `prepare`?" in refused(shop, "plan")


def test_misspelt_override_is_refused(shop: Shop) -> None:
    assert "did you mean `median`?" in refused(shop, "compose", "train=medium")
    assert "did you mean `max_depth`?" in refused(shop, "compose", "train.max_dept=3")


def test_missing_params_file_is_named(shop: Shop) -> None:
    shop.path("params.yaml").unlink()

    assert "params.yaml is missing" in refused(shop, "execute", TRAIN)


@pytest.mark.parametrize("text", ["train: [", "just words", "train: {family: 3}", "train: 7\n"])
def test_broken_params_file_is_named(shop: Shop, text: str) -> None:
    shop.path("params.yaml").write_text(text)

    assert "params.yaml" in refused(shop, "execute", TRAIN)


def test_pipeline_out_of_step_with_the_ports_is_refused(shop: Shop) -> None:
    set_parameters(shop, "models/model.json", "models/other.json")

    for command in ("plan", "check"):
        line = refused(shop, command)
        assert "out of step" in line
        assert "mlops-nb pipeline sync" in line


def test_broken_dvc_file_is_named_with_its_line(shop: Shop) -> None:
    shop.path("dvc.yaml").write_text("stages:\n  plan: [\n")

    for arguments in (["check"], ["pipeline", "sync"]):
        assert "dvc.yaml" in refused(shop, *arguments)


def test_project_without_git_is_refused(shop: Shop) -> None:
    shutil.rmtree(shop.path(".git"))

    assert "not a git repository" in refused(shop, "check")


def test_project_without_dvc_is_refused(shop: Shop) -> None:
    shutil.rmtree(shop.path(".dvc"))

    assert "DVC is not initialised" in refused(shop, "plan")


def test_directory_that_is_no_project_is_refused(shop: Shop, tmp_path: Path) -> None:
    elsewhere = Shop(tmp_path / "elsewhere")
    elsewhere.root.mkdir()

    assert "not in a project" in refused(elsewhere, "check")


def test_unwritable_report_is_refused_before_anything_runs(shop: Shop) -> None:
    # a file where a directory is needed cannot be written below, not even by root
    line = refused(shop, "execute", TRAIN, "-o", "params.yaml/report.ipynb")

    assert "cannot be written" in line


def test_parameter_without_a_value_is_refused(shop: Shop) -> None:
    assert "has no value" in refused(shop, "execute", TRAIN, "-p", "max_depth")


def test_stage_with_an_unreadable_line_names_the_line(shop: Shop) -> None:
    set_parameters(shop, "shrink: float = 1.0", "shrink: float = 1.0\nprint(shrink)")

    assert "line 12" in refused(shop, "execute", TRAIN)


def test_all_findings_of_a_check_are_reported_at_once(shop: Shop) -> None:
    set_parameters(shop, "models/model.json", "../model.json")
    shop.path("nbs/pipeline/30_evaluate.ipynb").write_text("{")
    done = shop.tool("check", code=2)

    assert len(done.stderr.strip().splitlines()) == 2


def test_errors_are_documents_for_machines(shop: Shop) -> None:
    done = shop.tool("execute", TRAIN, "-p", "sed=3", "--json", code=2)

    assert json.loads(done.stdout)["error"] == "UnknownParameter"


def test_stage_named_twice_is_refused(shop: Shop) -> None:
    write_stage(shop.path("nbs/pipeline/40_train.ipynb"), "Train", "seed: int = 0")

    assert "is also" in refused(shop, "plan")


def test_a_stage_whose_entry_in_dvc_yaml_is_not_what_its_ports_say_is_not_run(shop: Shop) -> None:
    shop.replace("dvc.yaml", "models/model.json", "models/other.json")
    line = refused(shop, "execute", TRAIN)

    assert line.startswith("error: dvc.yaml is out of step with the notebooks: train.outs")
    assert "run `mlops-nb pipeline sync`" in line


def test_values_older_than_conf_are_used_with_a_warning(shop: Shop) -> None:
    assert "older" not in shop.tool("execute", TRAIN).stderr
    shop.replace("conf/config.yaml", "rows: 20", "rows: 30")
    done = shop.tool("execute", TRAIN)

    assert done.stderr.splitlines()[0] == (
        "warning: params.yaml is older than conf/ or the parameters cells;"
        " run `dvc repro`, or `mlops-nb compose --write`"
    )
