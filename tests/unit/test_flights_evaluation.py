"""Scores, curves, calibration, baseline and charts say what they mean."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mlops_nb.examples.flights.charts import bar_chart, calibration_chart, line_chart
from mlops_nb.examples.flights.evaluation import (
    FEWEST_ROWS,
    baseline_probability,
    calibration_table,
    importance,
    precision_points,
    roc_points,
    scores,
    slice_scores,
    wilson_interval,
)

RANDOM = np.random.default_rng(7)
PROBABILITY = RANDOM.uniform(size=4000)
LATE = RANDOM.uniform(size=4000) < PROBABILITY


def test_scores_of_a_perfect_forecast() -> None:
    found = scores(LATE, LATE.astype(float))
    assert (found["roc_auc"], found["average_precision"], found["brier"]) == (1.0, 1.0, 0.0)


def test_ranking_scores_are_left_out_where_all_answers_agree() -> None:
    found = scores(np.ones(50, dtype=bool), np.full(50, 0.9))
    assert "roc_auc" not in found and "average_precision" not in found
    assert found["brier"] == pytest.approx(0.01)


def test_a_small_slice_is_counted_and_not_scored() -> None:
    table = pd.DataFrame({"late": LATE, "probability": PROBABILITY, "carrier": "UA"})
    table.loc[: FEWEST_ROWS - 2, "carrier"] = "OO"
    found = slice_scores(table, "carrier")
    assert found["OO"] == {"rows": FEWEST_ROWS - 1}
    assert found["UA"]["rows"] == 4000 - FEWEST_ROWS + 1 and 0 < found["UA"]["roc_auc"] < 1


def test_the_baseline_looks_at_training_answers_only() -> None:
    past = pd.DataFrame({"carrier": ["UA", "B6"] * 500, "hour": 8, "late": [True, False] * 500})
    asked = pd.DataFrame({"carrier": ["UA", "B6", "HA"], "hour": 8})
    found = baseline_probability(past, asked, ["carrier", "hour"])
    assert found[0] > 0.95 and found[1] < 0.05 and found[2] == 0.5
    assert np.array_equal(found, baseline_probability(past, asked, ["carrier"]))


def test_curves_of_guessing_lie_on_their_reference() -> None:
    guess = np.random.default_rng(0).uniform(size=4000)
    assert np.abs(roc_points(LATE, guess) - np.arange(101) / 100).max() < 0.06
    assert precision_points(LATE, guess)[100] == pytest.approx(LATE.mean(), abs=0.02)


def test_curves_rise_and_fall_over_whole_percents() -> None:
    roc, precision = roc_points(LATE, PROBABILITY), precision_points(LATE, PROBABILITY)
    assert len(roc) == len(precision) == 101
    assert (np.diff(roc) >= 0).all() and (np.diff(precision) <= 0).all()


def test_calibration_keeps_a_probability_of_one() -> None:
    table = calibration_table(np.array([True, False]), np.array([1.0, 0.0]), bins=10)
    assert list(table.index) == [0.05, 0.95] and table["rows"].sum() == 2


def test_wilson_interval_of_a_known_case() -> None:
    low, high = wilson_interval(pd.Series([0.5]), pd.Series([10]))
    assert low[0] == pytest.approx(0.2366, abs=1e-4) and high[0] == pytest.approx(0.7634, abs=1e-4)


def test_importance_repeats_itself() -> None:
    from sklearn.linear_model import LogisticRegression

    columns = pd.DataFrame({"noise": RANDOM.uniform(size=4000), "signal": PROBABILITY})
    model = LogisticRegression().fit(columns, LATE)
    first = importance(model, columns, LATE, repeats=2, seed=3)
    assert first.index[0] == "signal"
    pd.testing.assert_frame_equal(first, importance(model, columns, LATE, repeats=2, seed=3))


def test_charts_have_titles_and_named_axes_and_repeat_their_bytes() -> None:
    lines = pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, 2.1]}, index=[1, 2])
    bars = pd.DataFrame({"loss": [0.2], "spread": [0.1]}, index=["hour"])
    calibration = {"all": calibration_table(LATE, PROBABILITY, 10)}
    for draw_chart in (
        lambda: line_chart(lines, "title", "x", "y", log=True),
        lambda: line_chart(lines, "title", "x", "y", legend=True, percent="xy"),
        lambda: bar_chart(bars, "loss", "spread", "title", "x"),
        lambda: calibration_chart(calibration, "title"),
    ):
        first, second = draw_chart(), draw_chart()
        assert first.axes[0].get_title(loc="left") == "title" and first.axes[0].get_xlabel()
        assert first._repr_png_() == second._repr_png_()
        assert repr(first) == "Chart('title')"
