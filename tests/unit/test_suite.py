"""The suite about itself: fast tests first, and where CI is set nothing may be left out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # each test runs pytest several times
REPOSITORY = Path(__file__).parents[2]
TESTS = """
import pytest

@pytest.mark.slow
def test_slow(): pass

def test_fast(): pass

def test_skipped(): pytest.skip("not here")
"""


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the tests in `folder` under the repository's own conftest."""
    shutil.copy2(REPOSITORY / "tests" / "conftest.py", folder)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    slow: slow\n")
    inherited = {
        key: value
        for key, value in os.environ.items()
        if key != "CI" and not key.startswith(("PYTEST_", "COV_"))
    }
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_fast_tests_run_before_slow_ones(tmp_path: Path) -> None:
    (tmp_path / "test_order.py").write_text(TESTS)
    said = run(tmp_path, "-v").stdout
    assert said.index("::test_fast") < said.index("::test_slow")


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_skipped_test_fails_the_run_where_ci_is_set(tmp_path: Path, workers: str) -> None:
    (tmp_path / "test_order.py").write_text(TESTS)
    assert run(tmp_path, "-n", workers).returncode == 0
    done = run(tmp_path, "-n", workers, CI="true")
    assert done.returncode == 1
    assert "skipped tests count as failures" in done.stdout
    assert "2 passed, 1 skipped" in done.stdout.splitlines()[-1]


def test_a_run_of_no_tests_is_a_failure(tmp_path: Path) -> None:
    assert run(tmp_path).returncode == 5
