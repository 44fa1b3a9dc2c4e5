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
BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)


def commands() -> list[tuple[str, str]]:
    """Return the lines of the README's shell blocks, and what it says that each prints."""
    found: list[tuple[str, str]] = []
    for language, block in BLOCK.findall(README):
        if language == "sh":
            found += [(line, "") for line in block.splitlines() if line.strip()]
        else:
            found[-1] = (found[-1][0], block)
    return [(command, printed) for command, printed in found if command not in NOT_RUN_HERE]


def script() -> str:
    """Return one shell script that runs every command and stops at the first that surprises."""
    lines = ["set -u", "exec 2>&1"]
    for number, (command, _) in enumerate(commands()):
        expected = EXPECTED_CODE.search(command)
        code = expected[1] if expected else "0"
        lines.append(f"echo '>>> {number}'")
        lines.append(command)
        lines.append(f'code=$?; [ "$code" = {code} ] || {{ echo "exit $code"; exit 99; }}')
    return "\n".join(lines)


def matches(promised: str, printed: str) -> bool:
    """Return whether `printed` holds what is promised; `…` stands for anything, also for lines."""
    pattern = ".*?".join(map(re.escape, promised.rstrip().split("…")))
    return re.search(rf"^{pattern}\s*$", printed, re.DOTALL | re.MULTILINE) is not None


def clean_environment() -> dict[str, str]:
    """Return the environment of a user who has only the system's commands."""
    kept = environment()
    for name in ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE", "MAKEFLAGS", "MAKELEVEL"):
        kept.pop(name, None)
    ours = f"{ROOT}/.venv/bin"
    kept["PATH"] = os.pathsep.join(p for p in os.environ["PATH"].split(os.pathsep) if p != ours)
    return kept


def test_every_command_of_the_readme_works_and_prints_what_it_promises(tmp_path: Path) -> None:
    clone = copy_of_this_tree(tmp_path / "clone").root
    done = subprocess.run(
        ["bash", "-c", script()],
        cwd=clone,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        text=True,
        timeout=1500,
    )

    assert done.returncode == 0, done.stdout[-6000:]
    printed = re.split(r"^>>> \d+\n", done.stdout, flags=re.MULTILINE)[1:]
    promises = [
        (command, promise, text)
        for (command, promise), text in zip(commands(), printed, strict=True)
        if promise
    ]
    assert len(promises) == README.count("```text")
    for command, promise, text in promises:
        assert matches(promise, text), f"{command}:\n{text}"


def test_a_promise_is_compared_line_by_line() -> None:
    assert matches("a\n…\nd\n", "x\na\nb\nc\nd\n") and matches("a …\n", "a b\n")
    assert not matches("a\nd\n", "a\nb\nd\n") and not matches("a\n", "ab\n")


def test_readme_names_only_files_that_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target
