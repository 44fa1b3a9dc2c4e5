"""Where a run failed, in one line that can be shown on any terminal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.runs.failure import failure_of
from mlops_nb.runs.run import Run, new_id

WHEN = "2013-01-01T05:15:00.000+00:00"


def failed(error: Any) -> str:
    """Return what is said of a run whose stage `a` failed so."""
    stages = {"a": {"how": "failed", "state": "error", "error": error}}
    return failure_of(Run(new_id(), WHEN, "error", finished=WHEN, stages=stages))


@pytest.mark.parametrize(
    ("message", "said"),
    [("one\ntwo", "one two"), ("\x1b[31mred\x1b[0m", "red"), ("\x1b]0;owned\x07x", "x"),
     ("a\x08\x00b", "ab"), ("\u202ereversed", "reversed"), ("é", "é")],
)  # fmt: skip
def test_what_a_notebook_raised_says_nothing_to_the_terminal(message: str, said: str) -> None:
    error = {"cell": 3, "name": "ValueError", "message": message}
    assert failed(error) == f"a, cell 3: ValueError: {said}"


def test_an_error_of_somebody_elses_record_may_hold_anything() -> None:
    assert failed({"cell": [1], "name": 1, "message": {"a": 2}}) == "a, cell [1]: 1: {'a': 2}"
    assert failed({}) == "a: "


@given(st.text())
def test_whatever_was_raised_is_one_short_printable_line(message: str) -> None:
    line = failed({"cell": 1, "name": "E", "message": message})
    assert line.isprintable() and len(line) < 250
