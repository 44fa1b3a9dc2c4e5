"""The table of runs on the command line: what it shows, what it refuses, what it changes."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from mlops_nb.cli.app import run as command_line
from mlops_nb.cli.naming import complete_run
from mlops_nb.core.moments import stamp
from mlops_nb.runs.folder import RECORD
from mlops_nb.runs.run import Run, new_id
from mlops_nb.runs.store import Store

from .conftest import Shop, write_stage

AUC = (0.7, 0.8, 0.9)


class Runs:
    """A project with records that no pipeline had to make, and the command line in it."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self._capsys = root, capsys
        self.store = Store(root / ".mlops_nb" / "runs")

    def add(self, number: int, state: str = "ok", **values: Any) -> str:
        """Add a run that began `number` minutes after the first; return its id."""
        began = datetime(2013, 1, 1, 5, 15, tzinfo=UTC) + timedelta(minutes=number)
        run = Run(new_id(began), began.isoformat(timespec="milliseconds"), state)  # type: ignore[arg-type]
        self.store.add(replace(run, wall_seconds=number + 1.0, **values))
        return run.id

    def say(self, *arguments: str, code: int = 0) -> str:
        """Give a command; return what it prints, its errors first."""
        found = command_line(["runs", *arguments])
        printed = self._capsys.readouterr()
        assert found == code, printed
        return printed.err + printed.out

    def json(self, *arguments: str) -> Any:
        """Return the document that a command prints."""
        return json.loads(self.say(*arguments, "--json"))

    def refused(self, *arguments: str) -> str:
        """Return the one line that refuses a command."""
        printed = self.say(*arguments, code=2)
        assert printed.startswith("error: ") and printed.count("\n") == 1
        return printed


@pytest.fixture
def project(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Runs:
    """Give a project without runs."""
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    (tmp_path / ".dvc").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    return Runs(tmp_path, capsys)


@pytest.fixture
def three(project: Runs) -> Runs:
    """Give a project with three runs of two families."""
    for number, auc in enumerate(AUC):
        family = "forest" if number else "mlp"
        params = {"train": {"family": family, "seed": number, "rows": 20}}
        project.add(number, params=params, metrics={"train": {"auc": auc, "n.b": {"deep": 1}}})
    return project


# ---- the list ------------------------------------------------------------------------------------


def test_without_runs_it_is_said_how_to_make_one(project: Runs) -> None:
    assert "`mlops-nb run`" in project.say()
    assert project.json() == []


def test_the_list_has_the_newest_first_with_what_differs(three: Runs) -> None:
    lines = three.say().splitlines()
    heads = lines[2].split()
    assert heads == ["id", "state", "when", "took", "train.family", "train.seed", "train.auc"]
    rows = [line.split() for line in lines[4:7]]
    assert [row[0] for row in rows] == [run[-8:] for run in reversed(three.store.ids())]
    assert [row[-1] for row in rows] == ["0.9", "0.8", "0.7"]


def test_the_figures_of_the_table_are_those_of_the_last_stage_that_has_some(
    three: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    stages = {"prepare": ("", "Out"), "train": ("In", "Out"), "publish": ("In", "")}
    for number, (name, (reads, writes)) in enumerate(stages.items(), 1):
        lines = ["from mlops_nb import In, Metrics, Out"]
        lines += [f'{reads.lower()}_: In = "{number - 1}.csv"'] if reads else []
        lines += [f'{writes.lower()}_: Out = "{number}.csv"'] if writes else []
        path = three.root / f"nbs/pipeline/{number}0_{name}.ipynb"
        write_stage(path, name, "\n".join([*lines, f'figures: Metrics = "{name}.json"']))
    importance = {f"column{number}": number for number in range(30)}
    scores = {"rows": 2, "validation": {"auc": 0.75, "month": {"1": 0.5}}, "importance": importance}
    params = {"train": {"family": "mlp", "seed": 8, "rows": 20}}
    three.add(5, params=params, metrics={"prepare": {"rows": 20}, "train": scores})
    heads = three.say("-w", "seed > 1").splitlines()[2].split()
    wanted = ["train.auc", "train.rows", "train.validation.auc"]
    assert heads[4:] == ["train.family", "train.seed", *wanted]
    assert "metrics.prepare.rows" in three.say("--csv", "-w", "seed > 1").splitlines()[0]


@pytest.mark.slow
def test_in_a_bash_cell_of_a_notebook_no_column_is_cut(
    three: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS")
    metrics = {"train": {f"a_rather_long_name_{number}": number for number in range(9)}}
    three.add(5, metrics=metrics)
    cell = new_code_cell(f"%%bash\n{sys.executable} -m mlops_nb runs")
    notebook = new_notebook(cells=[cell])
    NotebookClient(notebook, resources={"metadata": {"path": str(three.root)}}).execute()
    printed = "".join(output["text"] for output in cell["outputs"])
    assert "no room for" not in printed and "\x1b" not in printed
    head = printed.splitlines()[2]
    assert "train.a_rather_long_name_8" in head and len(head) > 240


def test_json_is_a_list_of_runs_with_params_and_metrics_by_stage(three: Runs) -> None:
    found = three.json()
    assert [run["id"] for run in found] == list(reversed(three.store.ids()))
    first = found[0]
    assert first["params"] == {"train": {"family": "forest", "seed": 2, "rows": 20}}
    assert first["metrics"] == {"train": {"auc": 0.9, "n.b": {"deep": 1}}}
    wanted = {"name": "", "state": "ok", "wall_seconds": 3.0, "tags": [], "starred": False}
    wanted |= {"origin": {"kind": "run"}, "overrides": [], "note": ""}
    assert first | wanted == first and first["started"] == "2013-01-01T05:17:00.000+00:00"


def test_runs_are_filtered_sorted_and_counted(three: Runs) -> None:
    forest = three.json("--where", "train.auc > 0.7 and train.family == 'forest'", "--sort", "auc")
    assert [run["metrics"]["train"]["auc"] for run in forest] == [0.8, 0.9]
    assert len(three.json("--sort", "-auc", "--limit", "1")) == 1
    assert "2 of 3 runs" in three.say("--limit", "2")
    assert "no run matches" in three.say("--where", "auc > 1")


def test_columns_are_chosen_by_pattern_and_by_difference(three: Runs) -> None:
    rows = list(
        csv.reader(io.StringIO(three.say("--csv", "-c", "train.*,-*.deep,auc", "-c", "id")))
    )
    assert rows[0] == [
        "params.train.family", "params.train.rows", "params.train.seed", "metrics.train.auc", "id",
    ]  # fmt: skip
    assert rows[1] == ["forest", "20", "2", "0.9", three.store.ids()[-1]]
    assert three.say("--csv", "-c", "params.*", "--differs").splitlines()[0] == (
        "id,params.train.family,params.train.seed"
    )
    # what is compared is what is shown
    heads = three.say("--csv", "-c", "params.*", "--differs", "-w", "family == 'forest'")
    assert heads.splitlines()[0] == "id,params.train.seed"
    heads = three.say("--csv", "-c", "params.*", "--differs", "--limit", "2").splitlines()[0]
    assert heads == "id,params.train.seed"
    heads = three.say("--csv", "-c", "params.*", "--differs", "-n", "2", "--sort", "auc")
    assert heads.splitlines()[0] == "id,params.train.family,params.train.seed"
    (first, *_) = three.json("-c", "seed", "--limit", "1")
    assert first["columns"] == {"params.train.seed": 2} and first["params"]["train"]["rows"] == 20


def test_groups_have_a_count_a_mean_and_a_deviation(three: Runs) -> None:
    best, other = three.json("--group-by", "family", "--sort", "-auc", "-c", "auc")
    assert best["values"] == {"params.train.family": "forest"} and best["n"] == 2
    figure = best["figures"]["metrics.train.auc"]
    assert figure["mean"] == pytest.approx(0.85) and figure["count"] == 2
    assert figure["deviation"] == pytest.approx(0.05 * 2**0.5)
    assert other["figures"]["metrics.train.auc"]["deviation"] is None
    assert "0.85 ± 0.071" in three.say("--group-by", "family,rows")
    names, row, *_ = csv.reader(
        io.StringIO(three.say("--group-by", "family", "--csv", "-c", "auc"))
    )
    assert dict(zip(names, row, strict=True))["n"] == "1"


def test_what_does_not_fit_the_terminal_is_named(
    project: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(2):
        params = {"train": {f"parameter_{number}": seed for number in range(20)}}
        project.add(seed, params=params, metrics={"train": {"auc": seed}})
    monkeypatch.setenv("COLUMNS", "80")
    lines = project.say().splitlines()
    assert all(len(line) <= 80 for line in lines[:-1])
    assert lines[-1].startswith("no room for ")


def test_a_broken_run_is_one_marked_row_that_names_its_file(three: Runs) -> None:
    record = three.store.folder_of(three.store.ids()[1]) / RECORD
    record.chmod(0o600)
    record.write_bytes(b"{")
    printed = three.say()
    assert printed.startswith(f"broken: {record}") and "  broken\n" in printed.split("Runs", 1)[1]
    assert "train.rows" not in printed  # that one run has no value is no difference
    found = three.json()
    assert [run["state"] for run in found] == ["ok", "broken", "ok"]
    assert str(record) in found[1]["reason"] and found[1]["params"] == {}
    assert str(record) in three.say("show", found[1]["id"])


# ---- mistakes ------------------------------------------------------------------------------------


def test_each_mistake_is_one_line_that_says_what_to_do(three: Runs) -> None:
    assert "did you mean `metrics.train.auc`?" in three.refused("--where", "acu > 1")
    assert "did you mean `params.train.seed`?" in three.refused("--sort", "sede")
    assert "did you mean `params.train.family`?" in three.refused("--group-by", "famly")
    assert "did you mean `metrics.train.auc`?" in three.refused("-c", "aux")
    assert "filter, character" in three.refused("--where", "auc >")
    assert "is a number and 'x' is a text" in three.refused("--where", "auc > 'x'")
    assert "no column" in three.refused("-c", "nothing*")
    assert "no run `nope`" in three.refused("show", "nope")
    assert "stands for several runs" in three.refused("show", "2013")


def test_usage_that_click_can_tell_is_refused_by_click(three: Runs) -> None:
    assert "a filter is given with --where" in three.say("auc > 1", code=2)
    assert "--csv or for --json" in three.say("--csv", "--json", code=2)
    assert "names no column" in three.say("--group-by", ",", code=2)


def test_outside_of_a_project_it_is_said_where_to_go(
    project: Runs, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert "not in a project" in project.refused()


# ---- what people say -----------------------------------------------------------------------------


def test_a_run_is_named_tagged_noted_and_starred(
    three: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, _ = three.store.ids()
    assert "called `best`" in three.say("name", first[-8:], "best")
    three.say("tag", "best", "trial", "seed group")
    three.say("tag", "best", "trial", "--remove")
    three.say("note", "best", "two\nlines")
    assert three.json("star", "best")["starred"] is True
    found = three.json("--where", "starred and 'seed group' in tags")
    assert [(run["id"], run["name"], run["note"]) for run in found] == [
        (first, "best", "two\nlines")
    ]
    assert "two\n            lines" in three.say("show", "best")
    assert "two\nlines" in three.say("note", "best")
    three.say("star", "best", "--off")
    three.say("name", "best", "")
    monkeypatch.setattr("sys.stdin", io.StringIO("from a file\n"))
    assert three.json("note", second, "-")["note"] == "from a file"
    assert three.json("show", first)["name"] == ""


def test_what_cannot_be_said_of_a_run_is_refused(three: Runs) -> None:
    run = three.store.ids()[0]
    assert "is a number and" not in three.refused("name", run, "two\nlines")
    assert "a tag is empty" in three.refused("tag", run, " ")
    for number in (0, 1):
        three.say("name", three.store.ids()[number], "twin")
    assert "stands for several runs" in three.refused("star", "twin")
    assert "did you mean `twin`?" in three.refused("star", "twni")


def test_a_name_that_is_the_id_of_another_run_is_warned_of(three: Runs) -> None:
    first, second, _ = three.store.ids()
    for name in (second, second[-8:], second[-8:].upper()):
        said = three.say("name", first, name)
        assert f"warning: `{name}` is the id of another run" in said and "called `" in said
    assert "warning" not in three.say("name", first, first[-8:])
    assert "warning" not in three.say("name", first, "")


@pytest.mark.parametrize("command", ["run", "rerun"])
def test_a_taken_name_for_a_new_run_is_warned_of_before_it_begins(
    three: Runs, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    first, second, _ = three.store.ids()
    three.say("name", first, "best")
    what = [first] if command == "rerun" else []
    for name, said in {"best": "1 other run(s) called `best`", second[-8:]: "the id of"}.items():
        assert command_line([command, *what, "--name", name]) == 2  # there is no code to be run
        assert said in capsys.readouterr().err


def test_the_headings_of_the_table_are_names_of_columns(three: Runs) -> None:
    assert three.json("--sort", "-took") == three.json("--sort", "-wall_seconds")
    assert three.json("--where", "took > 1e6") == []
    heads = three.say("-c", "id,took,when").splitlines()[2].split()
    assert heads == ["id", "took", "when"]
    assert "took" in three.say("--group-by", "family", "-c", "took", "--sort", "-took")


def test_an_export_has_each_run_once_and_overwrites_nothing(three: Runs) -> None:
    run = three.add(7, finished="2013-01-01T06:00:00.000+00:00")
    assert "1 run(s) in one.zip" in three.say("export", run, run[-8:], run, "one.zip")
    content = Path("one.zip").read_bytes()
    with zipfile.ZipFile("one.zip") as archive:
        assert archive.namelist() == [f"runs/{run}/{RECORD}"]
    assert "one.zip: is there already; choose another" in three.refused("export", run, "one.zip")
    assert Path("one.zip").read_bytes() == content


def test_a_run_shows_which_files_its_code_is_without(three: Runs) -> None:
    code: dict[str, Any] = {"commit": "ab" * 20, "dirty": True}
    reasons = [{"path": f"big{number}.bin", "reason": "12 MB"} for number in range(12)]
    plain, some = three.add(7, code=code), three.add(8, code={**code, "left_out": reasons})
    assert "left out" not in three.say("show", plain)
    lines = three.say("show", some).splitlines()
    place = lines.index("left out    big0.bin (12 MB)")
    assert lines[place + 9].strip() == "big9.bin (12 MB)" and "and 2 more" in lines[place + 10]


def test_a_removed_run_is_hidden_and_comes_back(three: Runs) -> None:
    first, second, third = three.store.ids()
    assert "no run `nope`" in three.refused("remove", first, "nope")
    assert len(three.json()) == 3
    assert "unremove" in three.say("remove", first[-8:], second)
    assert [run["id"] for run in three.json()] == [third]
    everything = three.json("--all")
    assert [bool(run["removed"]) for run in everything] == [False, True, True]
    three.say("unremove", first)
    assert [run["id"] for run in three.json()] == [third, first]


def test_what_a_filter_finds_is_removed_and_comes_back(three: Runs) -> None:
    first, second, third = three.store.ids()
    trials = [three.add(9 + n, origin={"kind": "sweep", "sweep": "s1", "trial": n}) for n in (1, 2)]
    said = three.json("remove", first, "--where", "sweep == 's1'")
    assert [run["id"] for run in said] == [first, *reversed(trials)]
    assert [run["id"] for run in three.json()] == [third, second]
    assert "no run fits" in three.refused("remove", "-w", "sweep == 's1'")
    assert "`sweep`" in three.refused("remove", third, "-w", "swep == 's1'")  # removes nothing
    three.json("unremove", "-w", "sweep == 's1'")
    assert [run["id"] for run in three.json()] == [*reversed(trials), third, second]
    assert "no run is named" in three.refused("remove")
    for command in ("remove", "push", "unremove"):
        assert "the filter is empty" in three.refused(command, "--where", "")
    assert "no removed run fits" in three.refused("unremove", "-w", "auc > 1")


@pytest.mark.parametrize("options", [("-w", "auc > 0.7"), ("--json",), ("--all",)])
def test_an_option_of_the_list_before_a_command_is_refused(
    three: Runs, options: tuple[str, ...]
) -> None:
    said = three.say(*options, "remove", three.store.ids()[0], code=2)
    assert "write options of `remove` after it" in said
    assert len(three.json()) == 3


def test_gc_deletes_what_was_removed_long_enough_ago(three: Runs) -> None:
    first, second, third = three.store.ids()
    three.say("remove", first)
    assert three.json("gc")["runs"] == []
    assert three.json("gc", "--older-than", "0", "--dry")["runs"] == [first]
    assert "would delete 1 run(s)" in three.say("gc", "--older-than", "0s", "--dry")
    assert len(three.store.ids()) == 3
    assert "deleted 1 run(s)" in three.say("gc", "--older-than", "0")
    assert three.store.ids() == [second, third]
    assert three.json("gc", "--older-than", "0")["runs"] == []
    assert "`soon` is no age" in three.refused("gc", "--older-than", "soon")


def test_gc_deletes_what_restores_set_aside_and_pages_by_age(three: Runs) -> None:
    state, (first, second, _) = three.root / ".mlops_nb", three.store.ids()
    now = datetime.now(UTC)
    old, young = (f"{stamp(now - timedelta(days=days))}-0a1b" for days in (31, 29))
    for name in (old, young, "notes"):
        (state / "undo" / name / "files").mkdir(parents=True)
    gone = "20120101T051500.000-0123abcd"
    for run in (first, second, gone):
        (state / "pages" / run).mkdir(parents=True)
        (state / "pages" / run / "index.html").write_text("")
    long_ago = (now - timedelta(days=31)).timestamp()
    os.utime(state / "pages" / first, (long_ago, long_ago))
    would = three.json("gc", "--dry")
    assert would["undo"] == [old] and would["pages"] == [gone, first]
    assert "would delete what 1 restore(s) set aside, pages of 2 run(s)" in three.say("gc", "--dry")
    assert len(list(state.glob("undo/*"))) == len(list(state.glob("pages/*"))) == 3
    assert three.json("gc") == {**would, "dry": False}
    assert sorted(path.name for path in state.glob("undo/*")) == [young, "notes"]
    assert [path.name for path in state.glob("pages/*")] == [second]
    three.say("remove", second)
    three.say("gc", "--older-than", "0")
    assert not list(state.glob("pages/*")) and [p.name for p in state.glob("undo/*")] == ["notes"]


def test_a_shell_completes_names_and_ids(three: Runs) -> None:
    first, _, third = three.store.ids()
    three.say("name", first, "baseline")

    def completed(text: str) -> list[str]:
        return [item.value for item in complete_run(None, None, text)]  # type: ignore[arg-type]

    assert completed("base") == ["baseline"]
    assert completed("")[0] == third[-8:] and completed("")[-1] == "baseline"
    assert first in completed("20130101T")


# ---- the whole way -------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_was_run_is_listed_and_shown(shop: Shop) -> None:
    shop.tool("run", "train.shrink=0.5", "--name", "half", "--tag", "trial", "--note", "why not")
    shop.replace("shop/score.py", "return sum", "raise ValueError('no score')\n    return sum")
    shop.tool("run", "train=median", code=1)
    failed, half = json.loads(shop.tool("runs", "--json").stdout)
    assert (failed["state"], half["state"]) == ("error", "ok")
    assert half["name"] == "half" and half["tags"] == ["trial"] and half["note"] == "why not"
    assert half["params"]["train"]["shrink"] == 0.5 and half["metrics"]["train"]["fitted"]
    assert half["overrides"] == ["train.shrink=0.5"]
    text = shop.tool("runs").stdout
    assert half["id"][-8:] in text and "half" in text and "train.family" in text
    text = shop.tool("runs", "show", failed["id"][-8:]).stdout
    assert "no score" in text and "train.max_depth" in text and "with edits" in text
    record = json.loads(shop.tool("runs", "show", "half", "--json").stdout)
    assert record["environment"]["packages"]["dvc"] and record["stages"]["train"]["state"] == "ok"
    assert record["name"] == "half" and record["artifacts"]["models/model.json"]["stage"] == "train"


@pytest.mark.slow
def test_gc_takes_the_code_the_experiment_and_what_a_killed_run_left(shop: Shop) -> None:
    def refs() -> str:
        return shop.run("git", "for-each-ref", "refs/exps", "refs/mlops_nb").stdout

    shop.tool("run", "train.shrink=0.5", "--name", "half")
    shop.tool("run", "train.shrink=0.25", "--name", "quarter")
    left = shop.path(".mlops_nb/worktrees/20130101T051500.000-0123abcd")
    shop.run("git", "worktree", "add", "--quiet", "--detach", str(left), "HEAD")
    left.with_name(f"{left.name}.lock").touch()
    assert "/half\n" in refs() and refs().count("refs/mlops_nb/runs/") == 2
    shop.tool("runs", "remove", "half")
    would = json.loads(shop.tool("runs", "gc", "--older-than", "0", "--dry", "--json").stdout)
    assert would["experiments"] == ["half"] and would["worktrees"] == [left.name] and left.exists()
    done = json.loads(shop.tool("runs", "gc", "--older-than", "0", "--json").stdout)
    assert {**done, "dry": True} == would
    assert "half" not in refs() and "/quarter\n" in refs() and not left.exists()
    assert refs().count("refs/mlops_nb/runs/") == 1
    assert shop.run("git", "worktree", "list").stdout.count("\n") == 1
    assert [run["name"] for run in json.loads(shop.tool("runs", "--json").stdout)] == ["quarter"]


def test_a_name_that_is_given_twice_is_given_and_said(three: Runs) -> None:
    first, second, _ = three.store.ids()
    assert "warning" not in three.say("name", first, "best")
    assert "warning" not in three.say("name", first, "best")
    said = three.say("name", second, "best")
    assert f"1 other run(s) called `best`, such as {first[-8:]}; only ids tell" in said
    assert "stands for several runs" in three.refused("show", "best")
