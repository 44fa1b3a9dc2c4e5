"""Runs in groups: what they share, how many they are, and what their figures come to."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.errors import UsageError
from mlops_nb.runs.groups import Figure, grouped, sorted_groups
from mlops_nb.runs.row import Row

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(st.lists(NUMBERS, min_size=2, max_size=50))
def test_mean_and_deviation_are_those_of_the_sample(values: list[float]) -> None:
    (group,) = grouped([{"x": value} for value in values], [], ["x"])
    figure = group.figures["x"]
    assert figure.mean == pytest.approx(statistics.fmean(values), rel=1e-6, abs=1e-30)
    spread = max(map(abs, values)) or 1.0
    assert figure.deviation == pytest.approx(statistics.stdev(values), rel=1e-6, abs=spread * 1e-9)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=50))
def test_every_run_is_in_one_group(pairs: list[tuple[str, bool]]) -> None:
    rows: list[Row] = [{"family": family, "fast": fast} for family, fast in pairs]
    groups = grouped(rows, ["family", "fast"], [])
    assert sum(group.count for group in groups) == len(rows)
    assert len(groups) == len(set(pairs))


def test_numbers_beyond_all_bounds_have_a_mean() -> None:
    (group,) = grouped([{"x": 1.7e308}, {"x": 1.7e308}], [], ["x"])
    assert group.figures["x"] == Figure(1.7e308, 0.0, 2)
    (group,) = grouped([{"x": math.inf}, {"x": -math.inf}], [], ["x"])
    assert math.isnan(group.figures["x"].mean)


def test_a_run_without_a_value_is_in_a_group_of_its_own() -> None:
    first, second = grouped([{"family": "a", "x": 1}, {"x": True}], ["family"], ["x"])
    assert first.values == {"family": "a"} and first.figures["x"] == Figure(1.0, None, 1)
    assert second.values == {} and second.figures == {}  # a truth value is no number


def test_lists_and_equal_numbers_are_the_same() -> None:
    rows: list[Row] = [{"on": [1, 2]}, {"on": [1.0, 2]}, {"on": [2, 1]}]
    assert [group.count for group in grouped(rows, ["on"], [])] == [2, 1]


def test_groups_keep_their_order_where_they_are_equal() -> None:
    rows: list[Row] = [{"k": name, "x": x} for name, x in zip("abcd", (1, 2, 1, 2), strict=True)]
    kinds = {"k": frozenset({"text"}), "x": frozenset({"number"})}
    groups = sorted_groups(grouped(rows, ["k"], ["x"]), "-x", kinds)  # type: ignore[arg-type]
    assert "".join(str(group.values["k"]) for group in groups) == "bdac"
    with pytest.raises(UsageError, match="no run has a value `y`"):
        sorted_groups(groups, "y", kinds)  # type: ignore[arg-type]
