"""The command line as a user meets it: any notebook, any ending, nothing said that must not be."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from .conftest import Shop, environment, write_stage

pytestmark = pytest.mark.slow

TRAIN = "nbs/pipeline/20_train.ipynb"
TYPED = """
from dataclasses import dataclass
from datetime import date
from enum import Enum
from pathlib import Path

from mlops_nb import Out


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Optimizer:
    name: str = "sgd"
    rate: float = 0.1


log: Out = "data/typed.txt"
colour: Colour = Colour.RED
place: Path = Path("data")
optimizer: Optimizer = Optimizer()
day: date = date(2013, 1, 1)
rows: int = 10
half: int = rows // 2
file: Path = place / "x.csv"
"""
SHOW_TYPED = """
shown = [colour, place, optimizer, day, rows, half, file]
Path(log).write_text("\\n".join(repr(value) for value in shown))
"""
SLEEP = "open('pid', 'w').write(str(os.getpid()))\nprint('asleep', flush=True)\ntime.sleep(120)"


def write_notebook(
    path: Path, *cells: str, parameters: str | None = None, language: str = "python"
) -> None:
    """Write a notebook as one would have for papermill; its kernel is IPython's in any case."""
    sources = [(parameters, ["parameters"])] if parameters is not None else []
    content = {
        "cells": [
            {
                "cell_type": "code",
                "metadata": {"tags": tags} if tags else {},
                "source": source,
                "outputs": [],
                "execution_count": None,
            }
            for source, tags in [*sources, *((cell, []) for cell in cells)]
        ],
        "metadata": {"kernelspec": {"name": "python3", "language": language}},
        "nbformat": 4,
        "nbformat_minor": 4,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep what executions outside a pipeline leave behind in a directory of the test."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def plain(tmp_path: Path, state: Path) -> Shop:
    """Give a directory without git, DVC or config, and the commands in it."""
    folder = tmp_path / "plain"
    folder.mkdir()
    return Shop(folder)


def printed(report: Path) -> list[str]:
    """Return the lines that the cells of a report printed."""
    cells = json.loads(report.read_text())["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    return "".join("".join(output.get("text", ())) for output in outputs).splitlines()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def states(report: Path) -> list[str]:
    cells = json.loads(report.read_text())["cells"]
    marks = (cell["metadata"].get("mlops_nb") for cell in cells)
    return [mark["state"] for mark in marks if mark]


# A notebook that knows nothing of us


def test_papermill_notebook_runs_where_the_caller_stands_and_leaves_only_its_report(
    plain: Shop,
) -> None:
    write_notebook(plain.path("there/look.ipynb"), "import os\nprint(os.getcwd())")
    done = plain.tool("execute", "there/look.ipynb")

    assert names(plain.root) == {"there", "look-report.ipynb"}
    assert names(plain.path("there")) == {"look.ipynb"}
    assert printed(plain.path("look-report.ipynb")) == [str(plain.root)]
    assert done.stdout.strip().endswith("look-report.ipynb")


def test_unannotated_parameters_take_the_type_of_their_defaults(plain: Shop) -> None:
    parameters = "flag = True\nrate = 0.1\nrows = 3\nname = 'x'\nitems = [1]\nnothing = None"
    write_notebook(
        plain.path("a.ipynb"),
        "print([flag, rate, rows, name, items, nothing])",
        parameters=parameters,
    )
    given = ("flag=false", "rate=1e-05", "rows=0.5", "name=12", "items=[2, a]", "nothing=yes")
    plain.tool(
        "execute", "a.ipynb", "-o", "deep/out.ipynb", *(w for text in given for w in ("-p", text))
    )

    shown = "[False, 1e-05, 0.5, '12', [2, 'a'], 'yes']"
    assert printed(plain.path("deep/out.ipynb")) == [shown]
    assert names(plain.root) == {"a.ipynb", "deep"}


def test_parameters_cell_that_does_more_than_declare_is_no_hindrance(plain: Shop) -> None:
    parameters = "import sys\n%precision 3\na, b = 1, 2\nrows = 3\nif rows:\n    print('early')"
    write_notebook(plain.path("a.ipynb"), "print(a, b, rows)", parameters=parameters)
    plain.tool("execute", "a.ipynb", "-p", "rows=4")

    assert printed(plain.path("a-report.ipynb")) == ["early", "1 2 4"]


def test_failing_notebook_leaves_what_it_did_where_the_report_was_asked_for(plain: Shop) -> None:
    write_notebook(plain.path("a.ipynb"), "print('one')", "x = 1\n1 / 0", "print('never')")
    done = plain.tool("execute", "a.ipynb", "-o", "out.ipynb", "--json", code=1)
    document = json.loads(done.stdout)

    assert document["error"] == "CellFailed"
    assert document["outcome"]["state"] == "error"
    assert document["outcome"]["report"] == "out.ipynb"
    error = document["outcome"]["error"]
    assert (error["name"], error["cell"], error["line"]) == ("ZeroDivisionError", 2, 2)
    assert "the report so far is out.ipynb" in done.stderr
    assert printed(plain.path("out.ipynb"))[0] == "one"
    assert states(plain.path("out.ipynb")) == ["ok", "error", "pending"]
    assert names(plain.root) == {"a.ipynb", "out.ipynb"}


def test_report_never_replaces_its_notebook(plain: Shop) -> None:
    write_notebook(plain.path("a.ipynb"), "1")
    before = plain.text("a.ipynb")

    done = plain.tool("execute", "a.ipynb", "-o", "./a.ipynb", code=2)

    assert "would replace the notebook" in done.stderr
    assert plain.text("a.ipynb") == before


def test_notebook_in_another_language_gets_its_parameters_from_papermill(plain: Shop) -> None:
    # R and Python agree on how these lines are written, so IPython can stand in for R
    write_notebook(plain.path("a.ipynb"), "print(rows)", parameters="rows = 1", language="R")
    plain.tool("execute", "a.ipynb", "-p", "rows=7")

    assert printed(plain.path("a-report.ipynb")) == ["7"]


def test_parameters_in_a_language_that_nobody_knows_are_refused_in_one_line(plain: Shop) -> None:
    write_notebook(plain.path("a.ipynb"), "print(1)", parameters="rows = 1", language="cobol")
    done = plain.tool("execute", "a.ipynb", "-p", "rows=7", code=2)

    # IPython's kernel stands in for the missing one; only `-p` needs to know the language
    assert done.stderr.startswith("error: a.ipynb: papermill cannot set parameters in cobol")
    plain.tool("execute", "a.ipynb")


def test_notebook_elsewhere_in_a_project_is_no_stage(shop: Shop, state: Path) -> None:
    write_notebook(shop.path("nbs/scratch.ipynb"), "import shop.table, os\nprint(os.getcwd())")
    before = shop.text("dvc.lock")
    shop.tool("execute", "nbs/scratch.ipynb")

    assert printed(shop.path("scratch-report.ipynb")) == [str(shop.root)]
    assert shop.text("dvc.lock") == before
    assert shop.tool("check").returncode == 0


# How an execution ends


@pytest.fixture
def sleeper(plain: Shop) -> Shop:
    """Give a directory with a notebook that sleeps in its second cell, and notes its process."""
    write_notebook(plain.path("a.ipynb"), "import os, time\nprint('one')", SLEEP, "print('never')")
    return plain


def kernel_is_gone(folder: Shop) -> bool:
    """Return whether the process that the notebook noted ends, now or soon."""
    import psutil

    for _ in range(100):
        pid = int(folder.text("pid"))
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.1)
    return False


def test_time_that_is_up_keeps_what_was_done(sleeper: Shop) -> None:
    done = sleeper.tool("execute", "a.ipynb", "--timeout", "8", "--json", code=124)

    assert json.loads(done.stdout)["outcome"]["state"] == "timeout"
    assert states(sleeper.path("a-report.ipynb")) == ["ok", "timeout", "pending"]
    assert printed(sleeper.path("a-report.ipynb"))[:2] == ["one", "asleep"]
    assert kernel_is_gone(sleeper)


@pytest.mark.parametrize(
    ("send", "sent"),
    [(os.kill, signal.SIGINT), (os.killpg, signal.SIGINT), (os.kill, signal.SIGTERM)],
)
def test_interrupt_keeps_what_was_done_and_leaves_no_kernel(
    sleeper: Shop, send: Callable[[int, int], None], sent: int
) -> None:
    command = [sys.executable, "-m", "mlops_nb", "execute", "a.ipynb", "--json"]
    process = subprocess.Popen(
        command,
        cwd=sleeper.root,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    wait_for(sleeper.path("pid"))
    send(process.pid, sent)
    output, errors = process.communicate(timeout=60)

    assert process.returncode == 130, errors
    assert json.loads(output)["outcome"]["state"] == "cancelled"
    assert "Traceback" not in errors
    assert states(sleeper.path("a-report.ipynb")) == ["ok", "cancelled", "pending"]
    assert kernel_is_gone(sleeper)


def wait_for(path: Path) -> None:
    """Wait until a file holds something."""
    for _ in range(600):
        if path.exists() and path.read_text():
            return
        time.sleep(0.1)
    raise AssertionError(f"{path} was not written")


def test_killed_kernel_says_so_and_nothing_else(plain: Shop) -> None:
    write_notebook(plain.path("a.ipynb"), "print(1)", "import os\nos.kill(os.getpid(), 9)", "2")
    done = plain.tool("execute", "a.ipynb", "--json", code=3)

    assert json.loads(done.stdout)["outcome"]["state"] == "killed:signal"
    assert [line.split()[0] for line in done.stderr.splitlines()] == ["a", "a", "error:"]
    assert states(plain.path("a-report.ipynb")) == ["ok", "killed:signal", "pending"]


def test_output_that_is_not_written_fails_the_stage_and_keeps_the_last_report(shop: Shop) -> None:
    report = shop.path("reports/train.ipynb").read_bytes()
    shop.replace(TRAIN, "Path(model).write_text", "str")
    shop.path("models/model.json").unlink()
    done = shop.tool("execute", TRAIN, "--json", code=1)
    document = json.loads(done.stdout)

    assert document["error"] == "OutputMissing"
    assert "did not write models/model.json" in done.stderr
    assert document["outcome"]["state"] == "error"
    assert shop.path("reports/train.ipynb").read_bytes() == report


def test_failed_stage_keeps_the_last_report_also_at_a_place_of_its_own(shop: Shop) -> None:
    shop.path("mine.ipynb").write_text("the last one")
    shop.replace(TRAIN, "fitted * shrink", "fitted / 0")
    shop.tool("execute", TRAIN, "-o", "mine.ipynb", code=1)

    assert shop.text("mine.ipynb") == "the last one"


# What is shown while it runs


def test_piped_progress_is_plain_lines_without_colour(plain: Shop) -> None:
    write_notebook(plain.path("a.ipynb"), "# first\n1", "2")
    done = plain.tool("execute", "a.ipynb", "--json")

    assert [re.sub(r"\d+\.\d s", "T", line) for line in done.stderr.splitlines()] == [
        "a [1/2] cell 1 ok T  # first",
        "a [2/2] cell 2 ok T  2",
    ]
    assert "\x1b" not in done.stdout + done.stderr
    assert json.loads(done.stdout)["state"] == "ok"


def test_an_injected_cell_and_prose_do_not_change_the_number_of_a_cell(plain: Shop) -> None:
    cells = [
        nbformat.v4.new_markdown_cell("# Prose"),
        nbformat.v4.new_code_cell("x = 1", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("1 / 0"),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), plain.path("a.ipynb"))
    done = plain.tool("execute", "a.ipynb", "-p", "x=2", code=1)
    assert [re.sub(r"\d+\.\d s.*", "T", line) for line in done.stderr.splitlines()[:3]] == [
        "a [1/3] cell 2 ok T",
        "a [2/3] parameters ok T",
        "a [3/3] cell 3 error T",
    ]
    assert "a.ipynb, cell 3, line 1" in done.stderr


def on_terminal(shop: Shop, *arguments: str) -> str:
    """Run the tool on a terminal and return all that it showed."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "mlops_nb", *arguments]
    env = environment() | {"TERM": "xterm-256color"}
    process = subprocess.Popen(command, cwd=shop.root, env=env, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    assert process.wait(60) == 0, shown
    return shown.decode()


def test_progress_on_a_terminal_is_live_by_cell(plain: Shop) -> None:
    write_notebook(plain.path("a.ipynb"), "'first'", "import time\ntime.sleep(0.5)", "'last'")
    shown = on_terminal(plain, "execute", "a.ipynb")

    assert {"0/3", "1/3", "2/3", "3/3"} & set(re.findall(r"\d/3", shown)) >= {"1/3", "3/3"}
    assert "import time" in shown
    assert "\x1b[2K" in shown  # a line is drawn over
    assert "a: ok in" in shown


def test_reader_that_goes_away_is_no_traceback(shop: Shop) -> None:
    script = f"{sys.executable} -m mlops_nb pipeline show --json | head -1; "
    script += f"{sys.executable} -m mlops_nb params none.ipynb --json | true"
    done = shop.run("bash", "-c", script)

    assert done.stdout.splitlines() == ["["]
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


# Secrets

VALUE = "pre<&\"'/é-hunter2"
LEAK = """
import logging, os, subprocess, sys
from pathlib import Path

from IPython.display import HTML, display

value = token.reveal()
print(value)
print(repr(value), [value], file=sys.stderr)
sys.stdout.write(value[:6]); sys.stdout.flush(); sys.stdout.write(value[6:] + "\\n")
display(HTML(f"<b>{value}</b>"), {"token": value}, token)
logging.warning("the token is %s", value)
os.write(2, f"native {value}".encode())
subprocess.run(["echo", value])
"""
RAISE = "def connect(key):\n    raise ValueError(f'bad key {key}', {'key': key})\n\nconnect(value)"
DECLARE = """
from mlops_nb import Out, Secret

table: Out = "data/table.csv"
token: Secret = Secret("env:SHOP_TOKEN")
"""
WRITE = "Path(table).write_text(str(len(value)))"


def leaks(folder: Path) -> list[str]:
    """Return the files below `folder` that hold the telling part of the secret."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return [str(path) for path in files if b"hunter2" in path.read_bytes()]


@pytest.fixture
def leaky(shop: Shop) -> Shop:
    """Give the project with a first stage that shows its secret in every way."""
    write_stage(shop.path("nbs/pipeline/10_prepare.ipynb"), "Prepare", DECLARE, LEAK, WRITE)
    shop.path("conf/config.yaml").write_text("defaults: [stages, {train: mean}, _self_]\n")
    shop.tool("compose", "--write")
    shop.tool("pipeline", "sync")
    return shop


def make_it_raise(shop: Shop) -> None:
    path = shop.path("nbs/pipeline/10_prepare.ipynb")
    write_stage(path, "Prepare", DECLARE, LEAK, RAISE)


@pytest.mark.parametrize("ends", ["well", "badly"])
@pytest.mark.parametrize("given", ["environment", "file", "option"])
def test_secret_appears_nowhere(
    leaky: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, ends: str
) -> None:
    place = tmp_path / "outside" / "token"
    place.parent.mkdir()
    place.write_text(VALUE + "\n")
    if given == "environment":
        monkeypatch.setenv("SHOP_TOKEN", VALUE)
    option = {"file": f"token=file:{place}", "option": f"token={VALUE}"}.get(given)
    if ends == "badly":
        make_it_raise(leaky)
    arguments = ["nbs/pipeline/10_prepare.ipynb", "--json", *(["-p", option] if option else [])]
    done = leaky.tool("execute", *arguments, code=0 if ends == "well" else 1)

    assert "hunter2" not in done.stdout + done.stderr
    assert leaks(leaky.root) == []
    document = the_document(done)
    report = leaky.path((document.get("outcome") or document)["report"])
    assert "***" in report.read_text()
    if ends == "well":
        assert leaky.text("data/table.csv") == str(len(VALUE))


def test_secret_appears_nowhere_when_dvc_runs_the_stage(
    leaky: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", VALUE)
    done = leaky.run("dvc", "repro", "prepare")

    assert "hunter2" not in done.stdout + done.stderr
    assert leaks(leaky.root) == []
    assert "env:SHOP_TOKEN" in leaky.text("params.yaml")


@pytest.mark.parametrize("ends", ["well", "badly"])
def test_recorded_secret_is_taken_back(
    leaky: Shop, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", VALUE)
    declare = DECLARE.replace("Out, Secret", "Metrics, Out, Plots, Secret")
    declare += 'metrics: Metrics = "metrics/prepare.json"\nplots: Plots = "plots/prepare"\n'
    reveal = "from mlops_nb import record\nfrom pathlib import Path\nvalue = token.reveal()"
    record = "record(url=f'https://me:{value}@host')\nrecord.step(0, loss=1.0)"
    last = WRITE if ends == "well" else RAISE
    path = leaky.path("nbs/pipeline/10_prepare.ipynb")
    write_stage(path, "Prepare", declare, reveal, record, last)
    leaky.tool("pipeline", "sync")
    before = leaky.text("reports/prepare.ipynb")
    done = leaky.tool("execute", str(path), "--json", code=1)

    document = json.loads(done.stdout)
    assert document["error"] == ("OutputMissing" if ends == "well" else "CellFailed")
    said = "metrics/prepare.json (port `metrics`: it held a secret and was removed)"
    assert said in done.stderr
    assert not leaky.path("metrics/prepare.json").exists()
    assert leaky.path("plots/prepare/loss.csv").exists()
    assert leaky.text("reports/prepare.ipynb") == before
    assert leaks(leaky.root) == [] and "hunter2" not in done.stdout + done.stderr


def test_secret_that_is_not_set_is_refused_before_a_kernel_starts(leaky: Shop) -> None:
    before = names(leaky.path(".mlops_nb/executions"))
    done = leaky.tool("execute", "nbs/pipeline/10_prepare.ipynb", code=2)

    assert done.stderr == "error: secret env:SHOP_TOKEN is not set; export SHOP_TOKEN=...\n"
    assert names(leaky.path(".mlops_nb/executions")) == before


def test_secret_file_counts_from_the_root_wherever_the_caller_stands(leaky: Shop) -> None:
    leaky.path("token.txt").write_text(VALUE)
    below = Shop(leaky.path("conf"))
    below.tool("execute", "../nbs/pipeline/10_prepare.ipynb", "-p", "token=file:token.txt")

    assert leaks(leaky.root) == [str(leaky.path("token.txt"))]


def test_secret_in_the_config_may_only_be_a_reference(leaky: Shop) -> None:
    config = leaky.path("conf/config.yaml")
    config.write_text(f"{config.read_text()}prepare:\n  token: hunter2\n")
    done = leaky.tool("compose", code=2)

    assert "hunter2" not in done.stdout + done.stderr
    assert "env:NAME or file:PATH" in done.stderr
    config.write_text(config.read_text().replace("hunter2", "env:OTHER_TOKEN"))
    assert "token: env:OTHER_TOKEN" in leaky.tool("compose").stdout


# Typed values, end to end


@pytest.fixture
def typed(shop: Shop) -> Shop:
    """Give the project with a first stage of many types."""
    write_stage(shop.path("nbs/pipeline/10_prepare.ipynb"), "Prepare", TYPED, SHOW_TYPED)
    config = "defaults: [stages, {train: mean}, _self_]\nprepare:\n  colour: blue\n  rows: 9\n"
    config += "  day: 2014-02-03\n  optimizer: {name: adam, rate: 1e-05}\n  place: elsewhere\n"
    shop.path("conf/config.yaml").write_text(config)
    shop.tool("compose", "--write")
    shop.tool("pipeline", "sync")
    return shop


def test_values_from_the_config_arrive_with_their_types(typed: Shop) -> None:
    typed.tool("execute", "nbs/pipeline/10_prepare.ipynb")

    assert typed.text("data/typed.txt").splitlines() == [
        "<Colour.BLUE: 'blue'>",
        "PosixPath('elsewhere')",
        "Optimizer(name='adam', rate=1e-05)",
        "datetime.date(2014, 2, 3)",
        "9",
        "4",
        "PosixPath('elsewhere/x.csv')",
    ]


def test_values_from_options_arrive_with_their_types(typed: Shop) -> None:
    given = ("colour=red", "place=p", "optimizer={rate: 2}", "day=2015-06-07", "half=1")
    options = [word for text in given for word in ("-p", text)]
    typed.tool("execute", "nbs/pipeline/10_prepare.ipynb", *options)

    assert typed.text("data/typed.txt").splitlines() == [
        "<Colour.RED: 'red'>",
        "PosixPath('p')",
        "Optimizer(name='sgd', rate=2.0)",
        "datetime.date(2015, 6, 7)",
        "9",
        "1",
        "PosixPath('p/x.csv')",
    ]


# Documents for machines


def the_document(done: subprocess.CompletedProcess[str]) -> Any:
    """Return the one JSON document on standard output."""
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("command", "key"),
    [
        ("params nbs/pipeline/20_train.ipynb", "parameters"),
        ("compose", "conf_sha"),
        ("compose --write", "conf_sha"),
        ("plan", "code"),
        ("pipeline sync", "changed"),
        ("pipeline show --mermaid", "mermaid"),
        ("check", "stages"),
        ("clean", "changed"),
        ("clean --check", "changed"),
        ("clean --executions", "removed"),
    ],
)
def test_result_is_one_document(shop: Shop, state: Path, command: str, key: str) -> None:
    assert key in the_document(shop.tool(*command.split(), "--json"))


def test_stages_are_one_document(shop: Shop) -> None:
    stages = the_document(shop.tool("pipeline", "show", "--json"))

    assert [(s["stage"], s["state"], s["why"]) for s in stages] == [
        ("prepare", "fresh", []),
        ("train", "fresh", []),
        ("evaluate", "fresh", []),
    ]


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("execute none.ipynb", "NotebookError"),
        ("params none.ipynb", "NotebookError"),
        ("compose train=medium", "ConfigError"),
        ("clean none.ipynb", "NotebookError"),
        ("pipeline shwo", "UsageError"),
        ("execute", "UsageError"),
    ],
)
def test_failure_is_one_document(shop: Shop, command: str, error: str) -> None:
    document = the_document(shop.tool(*command.split(), "--json", code=2))

    assert (document["error"], document["exit_code"]) == (error, 2)
    assert document["message"]


def test_findings_are_one_document(shop: Shop) -> None:
    content = json.loads(shop.text(TRAIN))
    content["cells"][1]["execution_count"] = 3
    shop.path(TRAIN).write_text(json.dumps(content))
    document = the_document(shop.tool("clean", "--check", "--json", code=1))

    assert (document["error"], len(document["findings"])) == ("CheckFailed", 1)


# The shell


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_asks_us_back(shop: Shop, shell: str) -> None:
    assert "_MLOPS_NB_COMPLETE" in shop.tool("completion", shell).stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("mlops-nb pi", {"pipeline"}),
        (f"mlops-nb execute {TRAIN} -p ", {"family=", "max_depth=", "shrink=", "table="}),
        (f"mlops-nb execute {TRAIN} -p max", {"max_depth="}),
        ("mlops-nb execute none.ipynb -p x", set()),
    ],
)
def test_completion_knows_commands_and_parameters(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, words: str, expected: set[str]
) -> None:
    monkeypatch.setenv("_MLOPS_NB_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    done = shop.tool()
    found = {line.split(",")[1] for line in done.stdout.splitlines() if line}

    assert found >= expected
    assert bool(found) == bool(expected)


def test_older_executions_are_removed_on_request(shop: Shop, state: Path) -> None:
    folder = shop.path(".mlops_nb/executions")
    for second in range(10, 40):
        (folder / f"20130101T0000{second}-train-99999999").mkdir()
    known = len(names(folder))
    done = shop.tool("clean", "--executions", "--keep", "5")

    assert len(names(folder)) == 5
    assert done.stdout == f"{known - 5} executions removed\n"


def test_an_executed_stage_knows_which_stage_it_is(shop: Shop) -> None:
    magic = "print(get_ipython().run_line_magic('params', 'train=median'), family)\n"
    content = json.loads(shop.text(TRAIN))
    content["cells"][3]["source"] = [magic, *content["cells"][3]["source"]]
    shop.path(TRAIN).write_text(json.dumps(content))

    shop.tool("execute", TRAIN)

    assert "Parameters of train" in shop.text("reports/train.ipynb")
    assert json.loads(shop.text("models/model.json"))["family"] == "median"


def test_a_conf_edit_makes_stale_only_what_depends_on_it(shop: Shop) -> None:
    shop.replace("conf/train/mean.yaml", "family: mean", "family: mean\nshrink: 0.5")
    shown = json.loads(shop.tool("pipeline", "show", "--json").stdout)
    states = {row["stage"]: row["why"] for row in shown}

    assert states["prepare"] == []
    assert states["train"] == ["parameters changed: shrink"]
    assert states["evaluate"] == ["waits for train"]


# What a killed execution leaves


def test_an_execution_whose_process_was_killed_can_be_recovered(sleeper: Shop) -> None:
    command = [sys.executable, "-m", "mlops_nb", "execute", "a.ipynb"]
    process = subprocess.Popen(command, cwd=sleeper.root, env=environment())
    wait_for(sleeper.path("pid"))
    (running,) = json.loads(sleeper.tool("recover", "--list", "--json").stdout)
    process.kill()
    process.wait()
    assert kernel_is_gone(sleeper)
    (killed,) = json.loads(sleeper.tool("recover", "--list", "--json").stdout)
    assert (running["state"], killed["state"]) == ("running", "killed:signal")
    assert killed["execution"] in sleeper.tool("recover", "--list").stdout

    done = sleeper.tool("recover", "a")
    assert done.stdout == "a.ipynb: killed:signal, 1 of 3 cells, a-recovered.ipynb\n"
    assert states(sleeper.path("a-recovered.ipynb")) == ["ok", "killed:signal", "pending"]
    assert printed(sleeper.path("a-recovered.ipynb"))[:2] == ["one", "asleep"]

    sleeper.tool("recover", killed["folder"], "-o", "page.html")
    page = sleeper.text("page.html")
    assert page.startswith("<!DOCTYPE html>") and "asleep" in page and "was killed" in page


def test_recover_says_in_one_line_what_it_cannot_do(plain: Shop) -> None:
    write_notebook(plain.path("a.ipynb"), "print(1)")
    plain.tool("execute", "a.ipynb")
    plain.tool("recover", "a")
    before = plain.text("a-recovered.ipynb")
    plain.path("notes.txt").write_text("not a journal")

    for arguments, said in {
        ("a",): "a-recovered.ipynb exists; choose a name with -o",
        ("b",): "no execution `b`; known: a",
        ("notes.txt",): "notes.txt: not a journal",
        ("a", "-o", "notes.txt/x.ipynb"): "cannot be written",
        ("a", "--list"): "name one execution, or ask for --list",
        (): "name one execution, or ask for --list",
    }.items():
        done = plain.tool("recover", *arguments, code=2)
        assert said in done.stderr.splitlines()[-1], done.stderr
    assert plain.text("a-recovered.ipynb") == before
