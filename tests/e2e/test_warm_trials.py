"""What a trial of a sweep has the warm server do without a shell: it makes no difference."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest

from mlops_nb.pipeline import command as command_module
from mlops_nb.pipeline import inside
from mlops_nb.pipeline.inside import OwnCommands, own_words
from mlops_nb.warm.client import ColdStart, begin_warm
from mlops_nb.warm.place import SOCKET, server_folder
from tests.warm import Warm

from .conftest import Shop, environment

pytestmark = pytest.mark.slow


@pytest.fixture
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let commands start no process of their own."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(command_module.subprocess, "Popen", refuse)


def run(folder: Path, *cells: str, commands: OwnCommands | None = None) -> tuple[int, str]:
    """Execute a notebook with these cells as a stage would; return the exit code and the output."""
    nodes = [nbformat.v4.new_code_cell(text, id=f"c{i}") for i, text in enumerate(cells)]
    node = nbformat.v4.new_notebook(cells=nodes)
    node.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "P"}
    nbformat.write(node, folder / "nb.ipynb")
    said: list[str] = []
    how = {"env": dict(os.environ), "cwd": str(folder), "close_fds": True}
    words = ["/bin/sh", "-c", "mlops-nb execute nb.ipynb -o report.ipynb"]
    code = (commands or OwnCommands()).run(words, said.append, **how)
    return code, "\n".join(said)


@pytest.mark.usefixtures("warm", "no_process")
def test_a_notebook_is_executed_without_a_shell(tmp_path: Path) -> None:
    code, said = run(tmp_path, "import os; print(os.getcwd(), os.environ['PWD'], sep=';')")
    assert code == 0
    assert "nb: ok" in said
    assert f"{tmp_path};{tmp_path}" in (tmp_path / "report.ipynb").read_text()


@pytest.mark.usefixtures("warm", "no_process")
def test_a_cell_that_fails_is_named_as_ever(tmp_path: Path) -> None:
    code, said = run(tmp_path, "1", "1 / 0")
    assert code == 1
    assert "ZeroDivisionError" in said


def run_until(folder: Path, act: Callable[[OwnCommands], None]) -> tuple[int, str, int]:
    """Execute what takes long; `act` when it has begun. Return code, output and the kernel's id."""
    commands, begun = OwnCommands(), folder / "begun"
    cell = f"import os, time; open({str(begun)!r}, 'w').write(str(os.getpid())); time.sleep(300)"

    def act_then() -> None:
        while not (begun.exists() and begun.read_text()):
            time.sleep(0.01)
        act(commands)

    thread = threading.Thread(target=act_then)
    thread.start()
    code, said = run(folder, cell, commands=commands)
    thread.join()
    return code, said, int(begun.read_text())


@pytest.mark.usefixtures("warm", "no_process")
def test_an_interruption_reaches_the_cell_and_leaves_no_kernel(tmp_path: Path) -> None:
    code, said, kernel = run_until(tmp_path, OwnCommands.interrupt)
    assert code == 130, said
    assert not psutil.pid_exists(kernel)


@pytest.mark.usefixtures("warm", "no_process")
def test_a_killed_execution_is_told(tmp_path: Path) -> None:
    code, said, _ = run_until(tmp_path, OwnCommands.kill)
    assert code == 3
    assert "mlops-nb recover" in said


@pytest.mark.usefixtures("warm", "no_process")
def test_what_a_stage_leaves_behind_is_not_waited_for(tmp_path: Path) -> None:
    began = time.monotonic()
    code, said = run(tmp_path, "import os; os.system('(setsid sleep 60 &)')")
    assert (code, "nb: ok" in said) == (0, True), said
    assert time.monotonic() - began < 50


@pytest.mark.usefixtures("no_process")
def test_an_interruption_while_a_server_hangs_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = OwnCommands()

    def hang(*_: Any, **__: Any) -> None:
        commands.interrupt()
        raise ColdStart("the warm server does not answer")

    monkeypatch.setenv("MLOPS_NB_WARM", "1")
    monkeypatch.setattr(inside, "begin_warm", hang)
    assert run(tmp_path, "1", commands=commands) == (130, "")


@pytest.mark.usefixtures("warm", "no_process")
def test_an_interruption_that_came_while_the_server_was_asked_ends_the_execution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = OwnCommands()

    def ask(*words: Any, **options: Any) -> Any:
        begun = begin_warm(*words, **options)
        commands.interrupt()
        return begun

    monkeypatch.setattr(inside, "begin_warm", ask)
    code, _ = run(tmp_path, "import time; time.sleep(300)", commands=commands)
    assert code == 130


def test_without_a_server_a_shell_does_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    place, started = tempfile.mkdtemp(dir="/tmp"), []
    popen = subprocess.Popen
    for name, value in {"MLOPS_NB_WARM": "1", "XDG_RUNTIME_DIR": place}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLOPS_NB_WARM_IDLE", "1")
    monkeypatch.setenv("PATH", environment()["PATH"])
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    assert server_folder().startswith(place)

    def start(words: Any, *rest: Any, **options: Any) -> Any:
        started.append(words)
        return popen(words, *rest, **options)

    monkeypatch.setattr(command_module.subprocess, "Popen", start)
    code, said = run(tmp_path, "1")
    assert (code, "nb: ok" in said) == (0, True), said
    assert started[0][0] == "/bin/sh"


def test_a_sweep_leaves_the_same_with_a_server_as_without(warm: Warm, shop: Shop) -> None:
    left = []
    uses = warm.asked(SOCKET)["uses"]
    for value in ("1", "0"):
        copy = Shop(shop.root.parent / f"warm{value}")
        shutil.copytree(shop.root, copy.root, symlinks=True)
        words = (sys.executable, "-m", "mlops_nb", "sweep", "train.shrink=0.3,0.4", "-j", "2")
        copy.run("env", f"MLOPS_NB_WARM={value}", *words)
        runs = json.loads(copy.tool("runs", "--json").stdout)
        found = {}
        for each in runs:
            record = copy.path(f".mlops_nb/runs/{each['id']}/run.json")
            facts = json.loads(record.read_text())["run"]
            found[facts["overrides"][0]] = {
                "metrics": each["metrics"],
                "artifacts": facts["artifacts"],
                "lock": copy.run("git", "show", f"{facts['experiment']['commit']}:dvc.lock").stdout,
            }
        left.append(found)
    assert left[0] == left[1]
    assert left[0].keys() == {"train.shrink=0.3", "train.shrink=0.4"}
    assert warm.asked(SOCKET)["uses"] == uses + 4


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("mlops-nb execute nbs/a.ipynb", ["execute", "nbs/a.ipynb"]),
        ("mlops-nb  execute a.ipynb --memory 2G", ["execute", "a.ipynb", "--memory", "2G"]),
        ("mlops-nb execute a.ipynb && rm a", []),
        ("mlops-nb execute $NAME", []),
        ("mlops-nb execute 'a b.ipynb'", []),
        ("mlops-nb execute *.ipynb", []),
        ("mlops-nb execute ~/a.ipynb", []),
        ("mlops-nb execute a.ipynb\nrm a", []),
        ("A=1 mlops-nb execute a.ipynb", []),
        ("python a.py", []),
        ("", []),
    ],
)
def test_only_words_that_no_shell_would_change_are_ours(command: str, words: list[str]) -> None:
    assert own_words(command, environment()) == words


def test_the_tool_of_another_environment_is_not_ours(tmp_path: Path) -> None:
    other = tmp_path / "mlops-nb"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    environ = {"PATH": f"{tmp_path}{os.pathsep}{environment()['PATH']}"}
    assert own_words("mlops-nb execute a.ipynb", environ) == []
    assert own_words("mlops-nb execute a.ipynb", {}) == []
