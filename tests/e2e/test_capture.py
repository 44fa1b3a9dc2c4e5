"""Files that a stage uses without declaring them are named, with cell, line and what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.warm import warm_server

from .conftest import TRAIN_CODE, Shop, write_stage

pytestmark = pytest.mark.slow

TRAIN = "nbs/pipeline/20_train.ipynb"


@pytest.fixture(autouse=True)
def other_temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `tmp_path` itself be none, or nothing in it would count."""
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))


def add(shop: Shop, *cells: str, parameters: str = "") -> None:
    """Let the stage `train` have other cells before its own."""
    from .conftest import TRAIN as DECLARED

    write_stage(shop.path(TRAIN), "Train", DECLARED + parameters, *cells, TRAIN_CODE)


def findings(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(("warning:", "error:"))]


def test_an_undeclared_input_is_a_warning_with_cell_line_and_remedy(shop: Shop) -> None:
    shop.path("data/extra.csv").write_text("1")
    add(shop, "x = 1\nextra = open('data/extra.csv').read()")
    done = shop.tool("execute", TRAIN)

    assert findings(done.stderr) == [
        f"warning: {TRAIN}, cell 4, line 2: reads data/extra.csv, which no port declares; "
        'declare `extra: In = "data/extra.csv"` in the parameters cell'
    ]


def test_what_is_declared_is_not_named(shop: Shop) -> None:
    shop.path("data/extra.csv").write_text("1")
    add(shop, "open(extra).read()", parameters='extra: In = "data/extra.csv"\n')
    shop.tool("pipeline", "sync")

    assert findings(shop.tool("execute", TRAIN, "--strict").stderr) == []


@pytest.mark.parametrize("stage", ["10_prepare", "20_train", "30_evaluate"])
def test_stages_that_declare_what_they_use_are_clean(stage: str, shop: Shop) -> None:
    done = shop.tool("execute", f"nbs/pipeline/{stage}.ipynb", "--strict")
    assert findings(done.stderr) == []


def test_an_undeclared_output_and_an_outside_path_fail_a_strict_stage(
    shop: Shop, tmp_path: Path
) -> None:
    outside = tmp_path / "elsewhere.csv"
    outside.write_text("1")
    report = shop.path("reports/train.ipynb").read_bytes()
    add(shop, f"open({str(outside)!r}).close()\nopen('notes.txt', 'w').close()")
    done = shop.tool("execute", TRAIN, "--strict", "--json", code=1)
    document = json.loads(done.stdout)

    assert findings(done.stderr) == [
        f"error: {TRAIN}, cell 4, line 1: reads {outside}, outside the project; "
        "bring it in with `dvc import-url` or `dvc add`, and declare an In",
        f"error: {TRAIN}, cell 4, line 2: writes notes.txt, which no port declares; "
        'declare `notes: Out = "notes.txt"` in the parameters cell',
        f"error: {TRAIN}: ran to its end but used 2 files that it does not declare; "
        f"{document['hint']}",
    ]
    assert document["error"] == "UndeclaredFiles"
    assert [one["kind"] for one in document["outcome"]["findings"]] == ["outside", "output"]
    assert document["outcome"]["state"] == "error"
    assert Path(document["outcome"]["report"]).is_file()
    assert shop.path("reports/train.ipynb").read_bytes() == report


def test_without_strict_the_stage_is_done_and_its_report_is_the_same(shop: Shop) -> None:
    report = shop.path("reports/train.ipynb").read_bytes()
    shop.tool("execute", TRAIN, "-p", "shrink=1.0")
    assert shop.path("reports/train.ipynb").read_bytes() == report


def test_a_failed_stage_also_says_what_it_used(shop: Shop) -> None:
    add(shop, "open('notes.txt', 'w').close()\n1 / 0")
    done = shop.tool("execute", TRAIN, "--strict", code=1)

    assert [line.partition(":")[0] for line in findings(done.stderr)] == ["warning", "error"]
    assert "ZeroDivisionError" in findings(done.stderr)[1]


def test_the_outcome_says_which_cell_used_which_file(shop: Shop) -> None:
    outcome: dict[str, Any] = json.loads(shop.tool("execute", TRAIN, "--json").stdout)

    assert outcome["capture"] == "full" and outcome["findings"] == []
    used = [(use["path"], use["mode"], use["cell"], use["line"]) for use in outcome["files"]]
    assert ("data/table.csv", "read", 4, 7) in used
    assert ("models/model.json", "write", 4, 13) in used


def test_a_file_that_is_gone_at_the_end_is_no_output(shop: Shop) -> None:
    add(shop, "open('draft', 'w').close()", "import os\nos.remove('draft')")
    assert findings(shop.tool("execute", TRAIN, "--strict").stderr) == []


def test_what_a_stage_has_written_it_may_read_again(shop: Shop) -> None:
    add(shop, "open('notes.txt', 'w').close()", "open('notes.txt').close()")
    done = shop.tool("execute", TRAIN)
    assert [line.split()[6] for line in findings(done.stderr)] == ["writes"]


def test_each_cell_that_uses_a_file_is_named_once(shop: Shop) -> None:
    shop.path("extra.csv").write_text("1")
    add(shop, "for i in range(3):\n    open('extra.csv').close()", "open('extra.csv').close()")
    done = shop.tool("execute", TRAIN)
    assert [" ".join(line.split()[2:5]) for line in findings(done.stderr)] == [
        "cell 4, line", "cell 5, line"
    ]  # fmt: skip


def test_many_findings_are_counted(shop: Shop) -> None:
    add(shop, "for i in range(30):\n    open(f'{i}.txt', 'w').close()")
    shown = findings(shop.tool("execute", TRAIN).stderr)
    assert len(shown) == 21 and shown[-1] == "warning: and 10 more of the kind"


def test_an_output_that_dvc_has_linked_to_its_cache_is_the_output(shop: Shop) -> None:
    shop.run("dvc", "config", "cache.type", "symlink")
    shop.run("dvc", "checkout", "--relink")
    assert shop.path("data/table.csv").is_symlink()
    add(shop, "import os\nopen(os.path.realpath(table)).close()")
    assert findings(shop.tool("execute", TRAIN, "--strict").stderr) == []


def test_a_secret_in_a_path_is_not_shown(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "hunter2secret")
    parameters = 'from mlops_nb import Secret\nkey: Secret = Secret("env:KEY")\n'
    add(shop, "open(key.reveal() + '.txt', 'w').close()", parameters=parameters)
    shop.tool("pipeline", "sync")
    shop.tool("compose", "--write")
    done = shop.tool("execute", TRAIN)

    assert "writes ***.txt" in done.stderr
    kept = list(shop.path(".mlops_nb/executions").rglob("*.json*"))
    assert kept and not any(b"hunter2secret" in path.read_bytes() for path in kept)


def test_strict_needs_a_stage(shop: Shop) -> None:
    write_stage(shop.path("a.ipynb"), "A", "x = 1")
    done = shop.tool("execute", "a.ipynb", "--strict", code=2)
    assert "a.ipynb: only a stage declares the files that it uses; leave out `--strict`" in (
        done.stderr
    )


@pytest.mark.parametrize(
    ("level", "said"),
    [("python", "only what Python opens was watched"), ("0", "no files were watched")],
)
def test_strict_says_that_not_everything_could_be_seen(
    level: str, said: str, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_NB_CAPTURE", level)
    done = shop.tool("execute", TRAIN, "--strict")
    assert findings(done.stderr) == [f"warning: {said} (MLOPS_NB_CAPTURE={level})"]


def test_a_whole_pipeline_can_be_strict(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_NB_STRICT", "1")
    add(shop, "open('notes.txt', 'w').close()")
    done = shop.run("dvc", "repro", code=None)
    assert done.returncode != 0 and "writes notes.txt" in done.stderr

    write_stage(shop.path("a.ipynb"), "A", "x = 1")
    shop.tool("execute", "a.ipynb")  # which is no stage


def test_a_warm_kernel_is_watched_like_a_cold_one(shop: Shop) -> None:
    cold: dict[str, Any] = json.loads(shop.tool("execute", TRAIN, "--json").stdout)
    with warm_server(path=shop.root) as warm:
        done = warm.run("execute", TRAIN, "--json", cwd=shop.root)
    outcome: dict[str, Any] = json.loads(done.stdout)

    assert "cold start" not in done.stderr
    assert (outcome["capture"], outcome["files"]) == ("full", cold["files"])
