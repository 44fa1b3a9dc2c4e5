"""What is installed: one version, one list of public names, agreeing locks, a working wheel."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import mlops_nb

REPOSITORY = Path(__file__).parents[2]
LOCKS = ("bootstrap", "demo", "dev")


def settings() -> dict[str, str]:
    parser = ConfigParser(delimiters=["="], interpolation=None)
    parser.read(REPOSITORY / "settings.ini", encoding="utf-8")
    return dict(parser["DEFAULT"])


def lock_text(name: str) -> str:
    return (REPOSITORY / "requirements" / f"{name}.txt").read_text(encoding="utf-8")


def pins(name: str) -> dict[str, set[str]]:
    """Return the locked versions by package; a package can have one for each Python."""
    found: dict[str, set[str]] = {}
    for package, version in re.findall(r"^([a-z0-9._-]+)==([^ ;\\]+)", lock_text(name), re.M):
        found.setdefault(package, set()).add(version)
    return found


def wanted(*keys: str) -> list[Requirement]:
    return [Requirement(line) for key in keys for line in settings()[key].split("\n") if line]


# ---- one place for each fact ---------------------------------------------------------------------


def test_the_version_is_the_same_in_settings_and_package() -> None:
    assert settings()["version"] == mlops_nb.__version__


def test_the_public_names_are_these() -> None:
    assert mlops_nb.__all__ == [
        "In",
        "Metrics",
        "Out",
        "Plots",
        "Secret",
        "load_ipython_extension",
        "record",
        "runs",
    ]


def test_the_changelog_has_a_place_for_what_comes_next() -> None:
    assert "## [Unreleased]" in (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")


# ---- locks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_index_and_no_place_on_a_machine(name: str) -> None:
    requirement = re.compile(
        r"[a-z0-9._-]+==\S+( ; .+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?|#.*"
    )
    odd = [line for line in lock_text(name).splitlines() if not requirement.fullmatch(line)]
    assert odd == []
    assert not re.search(r"://|/(home|work|root|tmp|opt)/", lock_text(name))


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_has_a_hash(name: str) -> None:
    entries = re.split(r"^(?=[a-z0-9])", lock_text(name), flags=re.M)[1:]
    assert entries and all("--hash=sha256:" in entry for entry in entries)


@pytest.mark.parametrize("name", ["bootstrap", "demo"])
def test_the_development_lock_contains_the_others(name: str) -> None:
    everything = pins("dev")
    assert {package: everything.get(package) for package in pins(name)} == pins(name)


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("demo", ["requirements", "extra.models", "extra.examples"]),
        ("dev", ["requirements", "extra.models", "extra.examples", "extra.dev"]),
    ],
)
def test_a_lock_satisfies_the_settings(name: str, keys: list[str]) -> None:
    locked = pins(name)
    for requirement in wanted(*keys):
        package = re.sub(r"[._-]+", "-", requirement.name).lower()
        assert package in locked, f"{package} is not locked: run `make lock`"
        for version in locked[package]:
            assert requirement.specifier.contains(version, prereleases=True), requirement


# ---- tools and wheel -----------------------------------------------------------------------------


def test_the_bootstrap_needs_nothing_but_the_standard_library() -> None:
    for tool in ("bootstrap", "lock"):
        tree = ast.parse((REPOSITORY / "tools" / tool).read_text(encoding="utf-8"))
        imported = {
            name.partition(".")[0]
            for node in ast.walk(tree)
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        assert imported <= sys.stdlib_module_names


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Build a wheel from a copy of the tree."""
    tree, built = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    packages, files = ("mlops_nb", "hydra_plugins"), ("settings.ini", "setup.py", "pyproject.toml")
    for name in (*packages, *files, "README.md", "LICENSE"):
        if (REPOSITORY / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(REPOSITORY / name, tree / name, ignore=ignored)
        else:
            shutil.copy2(REPOSITORY / name, tree / name)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    command = [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", built, tree]
    subprocess.run(command, check=True)
    return zipfile.ZipFile(next(built.glob("*.whl")))


@pytest.mark.slow
def test_a_wheel_holds_every_module_and_the_hydra_plugin(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    modules = {
        path.relative_to(REPOSITORY).as_posix() for path in REPOSITORY.glob("mlops_nb/**/*.py")
    }
    assert modules | {"mlops_nb/py.typed"} <= names
    assert any(re.fullmatch(r"hydra_plugins/\w+\.py", name) for name in names)
    # Hydra looks for plugins in a namespace package: an __init__ would hide those of others.
    assert "hydra_plugins/__init__.py" not in names


@pytest.mark.slow
def test_a_wheel_declares_the_command_and_the_papermill_engine(wheel: zipfile.ZipFile) -> None:
    folder = f"mlops_nb-{mlops_nb.__version__}.dist-info"
    entry_points = wheel.read(f"{folder}/entry_points.txt").decode()
    assert "mlops-nb = mlops_nb.__main__:main" in entry_points
    assert "[papermill.engine]" in entry_points
    metadata = wheel.read(f"{folder}/METADATA").decode()
    for extra in ("models", "examples", "dev"):
        assert f"Provides-Extra: {extra}" in metadata
    assert "License-Expression: Apache-2.0" in metadata or "License: Apache-2.0" in metadata
