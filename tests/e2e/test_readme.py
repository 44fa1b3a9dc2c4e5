"""The README is a promise: its commands work, in its order, in a fresh clone."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from .conftest import ROOT, environment
from .test_flights import copy_of_this_tree

pytestmark = pytest.mark.slow

README = (ROOT / "README.md").read_text()
NOT_RUN_HERE = {"make test"}  # it is what runs this test
EXPECTED_CODE = re.compile(r"#\s*exits with (\d+)")


def commands() -> list[str]:
    """Return the lines of the README's shell blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def script() -> str:
    """Return one shell script that runs every command and stops at the first that surprises."""
    lines = ["set -u"]
    for command in commands():
        if command in NOT_RUN_HERE:
            continue
        expected = EXPECTED_CODE.search(command)
        code = expected[1] if expected else "0"
        lines.append(f"echo '>>>' {command.split('#')[0]!r}")
        lines.append(command)
        lines.append(f'code=$?; [ "$code" = {code} ] || {{ echo "exit $code"; exit 99; }}')
    return "\n".join(lines)


def clean_environment() -> dict[str, str]:
    """Return the environment of a user who has only the system's commands."""
    kept = environment()
    for name in ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE", "MAKEFLAGS", "MAKELEVEL"):
        kept.pop(name, None)
    ours = f"{ROOT}/.venv/bin"
    kept["PATH"] = os.pathsep.join(p for p in os.environ["PATH"].split(os.pathsep) if p != ours)
    return kept


def test_every_command_of_the_readme_works_in_a_fresh_clone(tmp_path: Path) -> None:
    clone = copy_of_this_tree(tmp_path / "clone").root
    done = subprocess.run(
        ["bash", "-c", script()],
        cwd=clone,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=1500,
    )

    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    assert "did you mean `max_depth`?" in done.stderr
    assert "accuracy" in done.stdout


def test_readme_names_only_files_that_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target
