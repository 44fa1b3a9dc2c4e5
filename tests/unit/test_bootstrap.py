"""Setting up: nothing to do is noticed at once, and what is missing is said in one line."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def bootstrap(tmp_path: Path) -> ModuleType:
    """Load the script from a copy of the repository whose `.venv` is made, but empty."""
    script = tmp_path / "tools" / "bootstrap"
    script.parent.mkdir()
    shutil.copy2(REPOSITORY / "tools" / "bootstrap", script)
    shutil.copytree(REPOSITORY / "requirements", tmp_path / "requirements")
    for name in ("settings.ini", "setup.py", "pyproject.toml"):
        shutil.copy2(REPOSITORY / name, tmp_path / name)
    loader = importlib.machinery.SourceFileLoader("bootstrap", str(script))
    spec = importlib.util.spec_from_loader("bootstrap", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    return module


def finish(bootstrap: ModuleType, name: str) -> None:
    bootstrap.stamp(name).write_text(bootstrap.state_of(name))


def test_an_environment_that_was_finished_is_ready(bootstrap: ModuleType) -> None:
    assert not bootstrap.is_ready("dev")
    finish(bootstrap, "dev")
    assert bootstrap.is_ready("dev") and not bootstrap.is_ready("demo")


def test_the_development_environment_satisfies_the_demo(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(bootstrap, "dev")
    monkeypatch.setattr(bootstrap, "make", lambda wanted: pytest.fail(f"would make {wanted}"))
    assert bootstrap.main(["demo"]) == 0


@pytest.mark.parametrize(
    "changed", ["requirements/dev.txt", "requirements/bootstrap.txt", "settings.ini", "setup.py"]
)
def test_a_change_of_what_decides_the_environment_is_noticed(
    bootstrap: ModuleType, changed: str
) -> None:
    finish(bootstrap, "dev")
    with (bootstrap.ROOT / changed).open("a") as file:
        file.write("# changed\n")
    assert not bootstrap.is_ready("dev")


def test_a_repository_that_was_moved_is_noticed(bootstrap: ModuleType, tmp_path: Path) -> None:
    finish(bootstrap, "dev")
    bootstrap.ROOT = tmp_path / "elsewhere"
    for name in ("settings.ini", "setup.py", "pyproject.toml"):
        bootstrap.ROOT.mkdir(exist_ok=True)
        shutil.copy2(tmp_path / name, bootstrap.ROOT / name)
    assert not bootstrap.is_ready("dev")


def test_an_environment_whose_python_is_gone_is_noticed(bootstrap: ModuleType) -> None:
    finish(bootstrap, "dev")
    (bootstrap.BIN / "python").unlink()
    assert not bootstrap.is_ready("dev") and not bootstrap.made_by_this_python()


def test_a_python_that_is_too_old_is_said_in_one_line(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap, "OLDEST", (3, 99))
    assert bootstrap.main(["demo"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("bootstrap: Python") and said.count("\n") == 1
    assert (bootstrap.BIN / "python").exists()


def test_an_unknown_environment_is_a_usage_error(bootstrap: ModuleType) -> None:
    assert bootstrap.main(["production"]) == 2
    assert bootstrap.main([]) == 2


def test_without_pip_and_without_rights_it_says_what_to_ask_for(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(
        shutil, "which", lambda name: None if name == "sudo" else f"/usr/bin/{name}"
    )
    with pytest.raises(bootstrap.Stopped, match=r"ask for `apt-get install python3\.11-venv`"):
        bootstrap.apt_install(["python3.11-venv"])
