"""What `dvc repro` does after each kind of change, on a real project."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Shop, stages_run

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm")]

TRAIN = "nbs/pipeline/20_train.ipynb"


def edit_cell(shop: Shop, notebook: str, cell: str, old: str, new: str) -> None:
    content = json.loads(shop.text(notebook))
    found = next(c for c in content["cells"] if c["id"] == cell)
    source = "".join(found["source"])
    assert old in source
    found["source"] = source.replace(old, new)
    shop.path(notebook).write_text(json.dumps(content, indent=1) + "\n")


def params(shop: Shop, stage: str) -> dict[str, object]:
    return json.loads(shop.tool("compose", "--json").stdout)[stage]  # type: ignore[no-any-return]


def metrics(shop: Shop, stage: str) -> dict[str, float]:
    return json.loads(shop.text(f"metrics/{stage}.json"))  # type: ignore[no-any-return]


def kernels_started(shop: Shop) -> int:
    return len(list(shop.path(".mlops_nb/executions").iterdir()))


def everything_written(shop: Shop) -> dict[str, bytes]:
    folders = ("data", "models", "reports", "metrics", "plots")
    return {
        str(path.relative_to(shop.root)): path.read_bytes()
        for folder in folders
        for path in sorted((shop.root / folder).rglob("*"))
        if path.is_file()
    }


def test_first_repro_runs_every_stage_and_writes_every_output(finished_shop: Shop) -> None:
    written = everything_written(finished_shop)

    assert {"data/table.csv", "models/model.json", "reports/evaluate.ipynb"} <= set(written)
    assert {"metrics/train.json", "plots/train/loss.csv"} <= set(written)


def test_unchanged_project_runs_no_stage_and_starts_no_kernel(shop: Shop) -> None:
    before = kernels_started(shop)

    assert shop.repro() == set()
    assert kernels_started(shop) == before


def test_notebook_saved_with_outputs_runs_only_the_plan(shop: Shop) -> None:
    content = json.loads(shop.text(TRAIN))
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    code[-1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["noise\n"]}]
    code[-1]["execution_count"] = 7
    code[-1]["metadata"]["collapsed"] = True
    shop.path(TRAIN).write_text(json.dumps(content))

    assert shop.repro() == {"plan"}


def test_prose_edit_runs_only_the_plan(shop: Shop) -> None:
    edit_cell(shop, TRAIN, "cell-0", "A sentence.", "A better sentence.")

    assert shop.repro() == {"plan"}


def test_code_edit_runs_the_stage_and_what_follows(shop: Shop) -> None:
    edit_cell(shop, TRAIN, "cell-3", "fitted * shrink", "fitted * shrink + 1")

    assert shop.repro() == {"plan", "train", "evaluate"}


def test_code_edit_without_effect_on_the_outputs_stops_there(shop: Shop) -> None:
    edit_cell(shop, TRAIN, "cell-3", "values = sorted", "order = 'up'\nvalues = sorted")

    assert shop.repro() == {"plan", "train"}


def test_comment_edit_in_a_cell_runs_only_the_plan(shop: Shop) -> None:
    edit_cell(shop, TRAIN, "cell-3", "values = sorted", "# in order\nvalues = sorted")

    assert shop.repro() == {"plan"}


def test_edit_of_a_module_runs_the_stages_that_import_it(shop: Shop) -> None:
    shop.replace("shop/score.py", "/ len(values)", "/ max(1, len(values))")

    assert shop.repro() == {"plan", "evaluate"}


def test_edit_of_a_shared_module_runs_every_stage_that_imports_it(shop: Shop) -> None:
    shop.replace("shop/table.py", "return [float", "return [1 * float")

    assert shop.repro() >= {"plan", "prepare", "train", "evaluate"}


def test_value_edited_in_conf_recomposes_and_runs_what_depends_on_it(shop: Shop) -> None:
    shop.replace("conf/train/mean.yaml", "family: mean", "family: mean\nshrink: 0.5")
    before = metrics(shop, "train")["fitted"]

    assert shop.repro() == {"plan", "train", "evaluate"}
    assert metrics(shop, "train")["fitted"] == pytest.approx(before / 2)
    assert "shrink: 0.5" in shop.text("params.yaml")


def test_value_put_back_in_conf_is_restored_from_the_run_cache(shop: Shop) -> None:
    written = everything_written(shop)
    shop.replace("conf/train/mean.yaml", "family: mean", "family: mean\nshrink: 0.5")
    shop.repro()
    before = kernels_started(shop)
    shop.replace("conf/train/mean.yaml", "family: mean\nshrink: 0.5", "family: mean")

    shop.repro()

    assert kernels_started(shop) == before
    assert everything_written(shop) == written


def test_going_back_and_forth_in_conf_is_right_every_time(shop: Shop) -> None:
    mean = metrics(shop, "train")["fitted"]
    found = []
    for shrink in ("0.5", "0.25", "0.5", "1.0", "0.25"):
        shop.path("conf/train/mean.yaml").write_text(f"family: mean\nshrink: {shrink}\n")
        shop.repro()
        found.append(metrics(shop, "train")["fitted"] / mean)

    assert found == pytest.approx([0.5, 0.25, 0.5, 1.0, 0.25])


def test_experiment_runs_with_exactly_its_overrides(shop: Shop) -> None:
    shop.run("dvc", "exp", "run", "-S", "train=median", "-S", "train.max_depth=8")

    assert metrics(shop, "train")["depth"] == 8
    assert json.loads(shop.text("models/model.json"))["family"] == "median"


def test_repro_after_an_experiment_keeps_its_values(shop: Shop) -> None:
    shop.run("dvc", "exp", "run", "-S", "train=median", "-S", "train.max_depth=8")
    written = everything_written(shop)

    assert shop.repro() == set()
    assert everything_written(shop) == written


def test_conf_edit_after_an_experiment_composes_anew(shop: Shop) -> None:
    shop.run("dvc", "exp", "run", "-S", "train=median", "-S", "train.max_depth=8")
    shop.replace("conf/config.yaml", "rows: 20", "rows: 30")

    assert shop.repro() == {"plan", "prepare", "train", "evaluate"}
    assert json.loads(shop.text("models/model.json"))["family"] == "mean"


def test_experiment_with_a_wrong_type_is_refused_before_any_stage_runs(shop: Shop) -> None:
    done = shop.run("dvc", "exp", "run", "-S", "train.max_depth=deep", code=None)

    assert done.returncode != 0
    assert stages_run(done.stdout) == set()
    assert "train.max_depth" in done.stderr


def test_experiment_with_a_misspelt_key_is_refused_before_any_stage_runs(shop: Shop) -> None:
    done = shop.run("dvc", "exp", "run", "-S", "train.max_dept=8", code=None)

    assert done.returncode != 0
    assert stages_run(done.stdout) == set()


def test_experiment_with_a_value_out_of_range_is_refused_before_any_stage_runs(shop: Shop) -> None:
    done = shop.run("dvc", "exp", "run", "-S", "train.family=mode", code=None)

    assert done.returncode != 0
    assert stages_run(done.stdout) == set()
    assert "[mean, median]" in done.stderr


def test_experiment_with_a_wrong_value_inside_a_value_is_refused_by_the_plan(shop: Shop) -> None:
    more = "shrink: float = 1.0\nweights: dict[str, int] = {'a': 1}"
    edit_cell(shop, TRAIN, "cell-2", "shrink: float = 1.0", more)
    shop.repro()
    done = shop.run(
        "dvc", "exp", "run", "-S", "prepare.rows=30", "-S", "train.weights.a=x", code=None
    )

    assert done.returncode != 0
    assert stages_run(done.stdout) <= {"plan"}
    assert "params.yaml, section `train`" in done.stderr and "`weights" in done.stderr


def test_the_plan_says_whose_code_changed_since_it_ran(shop: Shop) -> None:
    edit_cell(shop, TRAIN, "cell-0", "A sentence.", "A better sentence.")
    prose = shop.run("dvc", "repro").stdout
    edit_cell(shop, TRAIN, "cell-3", "fitted * shrink", "fitted * shrink + 1")
    code = shop.run("dvc", "repro").stdout

    assert "code changed: none" in prose
    assert "code changed: train\n" in code


def test_forced_repro_gives_the_same_bytes(shop: Shop) -> None:
    lock, written = shop.text("dvc.lock"), everything_written(shop)

    assert shop.repro("--force") == {"plan", "prepare", "train", "evaluate"}
    assert everything_written(shop) == written
    assert shop.text("dvc.lock") == lock


def test_new_parameter_in_a_notebook_reaches_the_config(shop: Shop) -> None:
    edit_cell(shop, TRAIN, "cell-2", "shrink: float = 1.0", "shrink: float = 1.0\nboost: int = 3")

    assert "train" in shop.repro()
    assert "boost: 3" in shop.text("params.yaml")


def test_raising_cell_fails_with_stage_cell_line_and_error(shop: Shop) -> None:
    edit_cell(shop, TRAIN, "cell-3", "fitted = fitted * shrink", "fitted = fitted / (shrink - 1)")
    done = shop.run("dvc", "repro", "train", code=None)

    assert done.returncode != 0
    line = next(x for x in done.stderr.splitlines() if x.startswith("error: "))
    assert "20_train.ipynb, cell 4, line 9 (`fitted = fitted / (shrink - 1)`)" in line
    assert "ZeroDivisionError" in line
    report = line.split("the report so far is ")[1]
    assert (shop.root / report).is_file()
    assert shop.tool("execute", TRAIN, code=1).stdout == ""


def test_killed_kernel_exits_with_3_and_the_report_tells_the_truth(shop: Shop) -> None:
    kill = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n"
    edit_cell(shop, TRAIN, "cell-3", "values = sorted", f"{kill}values = sorted")
    done = shop.tool("execute", TRAIN, code=3)

    line = done.stderr.splitlines()[-1]
    assert "SIGKILL" in line
    report = json.loads(Path(shop.root / line.split("the report so far is ")[1]).read_text())
    states = [cell["metadata"].get("mlops_nb", {}).get("state") for cell in report["cells"]]
    assert "killed:signal" in states
    assert not shop.path("reports/train.ipynb").read_text().count("killed:signal")


def test_what_failed_in_a_temporary_experiment_is_kept(shop: Shop) -> None:
    edit_cell(shop, TRAIN, "cell-3", "fitted = fitted * shrink", "fitted = fitted / (shrink - 1)")
    shop.run("git", "commit", "--all", "--quiet", "--message", "divide")
    done = shop.run("dvc", "exp", "run", "--temp", "-S", "train.max_depth=3", code=None)

    assert done.returncode != 0
    assert list(shop.path(".mlops_nb/executions").glob("*-train-*/report.ipynb"))
