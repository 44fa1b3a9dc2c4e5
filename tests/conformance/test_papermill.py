"""papermill's own suite with our engine where none is named."""

from pathlib import Path

import pytest

from tests.conformance.suite import Suite

pytestmark = pytest.mark.slow

PAPERMILL = Suite("papermill", ("-p", "conformance_papermill", "papermill/tests"))


@pytest.mark.parametrize("start", ["warm", "cold"])
def test_papermills_suite_passes_with_our_engine(tmp_path: Path, start: str) -> None:
    PAPERMILL.check(tmp_path, warm=start == "warm")
