"""The command line where no kernel is needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from mlops_nb import __version__
from mlops_nb.cli.app import cli, run
from mlops_nb.cli.pipeline import _state_in_short
from mlops_nb.cli.show import print_table
from mlops_nb.pipeline.state import StageState

COMMANDS = [
    ["execute"],
    ["params"],
    ["compose"],
    ["plan"],
    ["repro"],
    ["pipeline"],
    ["pipeline", "sync"],
    ["pipeline", "show"],
    ["check"],
    ["clean"],
    ["completion"],
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty directory that is no project."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def write(path: Path, parameters: str, **metadata: Any) -> None:
    """Write a notebook whose first cell is the parameters cell."""
    cell = {
        "cell_type": "code",
        "id": "a",
        "metadata": {"tags": ["parameters"]} | metadata,
        "source": parameters,
        "outputs": [],
        "execution_count": None,
    }
    content = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command: list[str]) -> None:
    result = CliRunner().invoke(cli, [*command, "-h"])

    assert result.exit_code == 0
    assert "Usage: " in result.output


def test_version_is_that_of_the_package() -> None:
    assert __version__ in CliRunner().invoke(cli, ["--version"]).output


@pytest.mark.parametrize(
    "arguments", [["nope"], ["execute", "--nope"], ["execute"], ["clean", "--keep", "-1"]]
)
def test_misuse_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    assert "Usage: " in capsys.readouterr().err


def test_misuse_is_a_document_when_one_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--nope", "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert (document["error"], document["exit_code"]) == ("UsageError", 2)


def test_error_is_one_line_with_a_next_step(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["check"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1


def test_parameters_are_shown_with_type_default_and_help(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder / "a.ipynb", "rows: int = 3  # how [many]\nhalf: int = rows // 2\nseed: int\n")

    assert run(["params", "a.ipynb"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["rows", "int", "3", "how", "[many]"] in lines
    assert ["half", "int", "rows", "//", "2"] in lines
    assert ["seed", "int", "required"] in lines


def test_document_holds_values_that_json_has_no_form_for_as_text(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(
        folder / "a.ipynb",
        'limits: list[float] = [float("inf"), float("-inf"), float("nan"), 0.5]\n'
        'classes: dict = {10: "ten", "b": "bee", True: 1e-05}\n',
    )

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    assert run(["params", "a.ipynb", "--json"]) == 0
    document = json.loads(capsys.readouterr().out, parse_constant=refuse)
    limits, classes = (parameter["default"] for parameter in document["parameters"])
    assert limits == ["Infinity", "-Infinity", "NaN", 0.5]
    assert classes == {"10": "ten", "b": "bee", "true": 1e-05}


def test_table_without_rows_is_not_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder / "a.ipynb", "rows: int = 3")

    run(["params", "a.ipynb"])
    assert "Ports" not in capsys.readouterr().out


def test_parameters_of_a_papermill_notebook_are_those_that_can_be_read(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder / "a.ipynb", "%matplotlib inline\na, b = 1, 2\nrows = 3\nprint(rows)\n")

    assert run(["params", "a.ipynb", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [p["name"] for p in document["parameters"]] == ["rows"]


def test_secret_is_shown_by_its_reference_alone(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "hunter2")
    source = 'from mlops_nb import Secret\ntoken: Secret = Secret("env:TOKEN")'
    write(folder / "a.ipynb", source)

    run(["params", "a.ipynb", "--json"])
    text = capsys.readouterr().out
    assert json.loads(text)["parameters"][0]["secret"]
    assert "env:TOKEN" in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("rows=x", "parameter `rows` is 'x'"),
        ("row=1", "did you mean `rows`?"),
        ("rows", "no value"),
    ],
)
def test_wrong_value_is_refused_without_a_kernel(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str, names: str
) -> None:
    write(folder / "a.ipynb", "rows: int = 3")

    assert run(["execute", "a.ipynb", "-p", text]) == 2
    assert names in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["a.ipynb"]


def test_clean_names_what_is_not_clean_and_writes_nothing_when_it_checks(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder / "a.ipynb", "rows: int = 3", scrolled=True)
    before = (folder / "a.ipynb").read_bytes()

    assert run(["clean", "--check", "a.ipynb"]) == 1
    assert "a.ipynb: holds outputs" in capsys.readouterr().err
    assert (folder / "a.ipynb").read_bytes() == before
    assert run(["clean", "a.ipynb"]) == 0
    assert run(["clean", "--check", "a.ipynb"]) == 0


def test_clean_leaves_a_notebook_that_is_only_written_differently(folder: Path) -> None:
    write(folder / "a.ipynb", "rows: int = 3")
    before = (folder / "a.ipynb").read_bytes()

    assert run(["clean", "a.ipynb"]) == 0
    assert (folder / "a.ipynb").read_bytes() == before


def test_executions_are_not_cleaned_together_with_notebooks(folder: Path) -> None:
    assert run(["clean", "--executions", "a.ipynb"]) == 2


def test_executions_outside_a_project_are_removed_but_for_the_newest(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    executions = folder / "state" / "mlops_nb" / "executions"
    for second in range(4):
        (executions / f"20130101T00000{second}-a-99999999").mkdir(parents=True)
    (executions / "mine").mkdir()

    assert run(["clean", "--executions", "--keep", "1", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["removed"]) == 3
    assert sorted(path.name for path in executions.iterdir()) == [
        "20130101T000003-a-99999999",
        "mine",
    ]


def test_a_piped_table_breaks_no_path_in_two(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    path = "data/" + "x" * 200 + ".parquet"
    print_table("Files", ["path", "kind"], [[path, "[bold]in"]])
    printed = capsys.readouterr().out
    assert f"  {path}   [bold]in\n" in printed
    assert all(line == line.rstrip() for line in printed.splitlines())


def test_a_stage_with_many_reasons_shows_the_first() -> None:
    assert _state_in_short(StageState()) == "fresh"
    assert _state_in_short(StageState(("a", "b", "c"))) == "stale: a\nb\nc"
    assert _state_in_short(StageState(("a", "b", "c", "d"))) == "stale: a\nb\nand 2 more"


@pytest.mark.parametrize("option", ["--timeout", "--cell-timeout"])
@pytest.mark.parametrize("seconds", ["nan", "inf", "-inf", "0"])
def test_a_time_that_never_ends_is_refused(
    option: str, seconds: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["execute", "nb.ipynb", option, seconds]) == 2
    said = capsys.readouterr().err
    assert f"Invalid value for '{option}'" in said and "Traceback" not in said


def test_the_warm_server_names_packages_and_every_module_only_if_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    process = {"pid": 1, "private_bytes": 1, "proportional_bytes": 1, "uses": 0, "trouble": ""}
    loaded = ["pandas", *(f"numpy.part{number}" for number in range(150))]
    refused = {"shop.table": "is ours", "shop.score": "is ours", "noisy": "prints when imported"}
    zygote = {**process, "kernels": [], "loaded": loaded, "refused": refused}
    found = {"running": True, "folder": "", "server": process, "zygote": zygote}
    monkeypatch.setattr("mlops_nb.warm.standing.standing", lambda: found)

    shown = CliRunner().invoke(cli, ["warm", "status"]).stdout
    assert "loaded: 151 modules of numpy, pandas (" in shown and "numpy.part7" not in shown
    assert "not loaded: shop.table, shop.score: is ours" in shown
    assert "not loaded: noisy: prints when imported" in shown
    assert "numpy.part149" in CliRunner().invoke(cli, ["warm", "status", "--all"]).stdout
    assert json.loads(CliRunner().invoke(cli, ["warm", "status", "--json"]).stdout) == found
