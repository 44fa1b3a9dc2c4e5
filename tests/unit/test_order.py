"""What is ordered is checked before anything runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlops_nb.errors import NotebookError, UsageError
from mlops_nb.pipeline.order import order_notebook


@pytest.fixture
def report(tmp_path: Path, notebook: Callable[..., dict[str, Any]]) -> Path:
    """Return an earlier report."""
    path = tmp_path / "report.ipynb"
    path.write_text(json.dumps(notebook("1")))
    return path


def test_a_notebook_that_is_not_there_is_named_whether_or_not_the_report_is(
    tmp_path: Path, report: Path
) -> None:
    for place in (report, tmp_path / "other.ipynb", None):
        with pytest.raises(NotebookError, match=r"nope\.ipynb: no such file"):
            order_notebook(tmp_path / "nope.ipynb", report=place)


def test_a_report_never_replaces_its_notebook(report: Path) -> None:
    with pytest.raises(UsageError, match="would replace the notebook"):
        order_notebook(report, report=report.parent / "." / report.name)
