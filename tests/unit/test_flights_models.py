"""Every family fits, predicts probabilities, repeats itself and survives being saved."""

from __future__ import annotations

from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import yaml

from mlops_nb.examples.flights.features import CATEGORICAL, FEATURES, LeakageError
from mlops_nb.examples.flights.models import (
    FAMILIES,
    Family,
    Rows,
    Settings,
    fit,
    learning_curve,
    log_loss,
    powers_up_to,
    probability_of_late,
    rows_of,
)
from mlops_nb.models.archive import load_model, save_model

CONF = Path(__file__).parents[2] / "conf" / "train"

LOGISTIC = Settings(
    family="logistic",
    seed=0,
    learning_rate=0.05,
    max_iter=16,
    n_estimators=8,
    max_depth=4,
    min_samples_leaf=5,
    l2=1.0,
    hidden=[8],
)
SMALL: dict[Family, Settings] = {
    "logistic": LOGISTIC,
    "forest": replace(LOGISTIC, family="forest"),
    "boosting": replace(LOGISTIC, family="boosting", max_iter=8),
    "mlp": replace(LOGISTIC, family="mlp", max_iter=20, learning_rate=0.01, l2=0.1),
}
families = pytest.mark.parametrize("family", get_args(Family))


def made_up_table(seed: int = 0, rows: int = 1200) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    table = pd.DataFrame({name: random.normal(size=rows) for name in FEATURES})
    table.loc[::7, "pressure"] = np.nan
    for name in CATEGORICAL:
        table[name] = random.choice(["A", "B", "C"], rows)
    table["late"] = table["origin_delay"] + 0.3 * random.normal(size=rows) > 0.5
    return table.assign(split=np.where(np.arange(rows) < rows // 2, "train", "validation"))


@pytest.fixture(scope="module")
def train() -> Rows:
    return rows_of(made_up_table(), "train")


@pytest.fixture(scope="module")
def validation() -> Rows:
    return rows_of(made_up_table(), "validation")


def test_every_family_of_the_literal_can_be_fitted_and_has_a_config() -> None:
    assert set(get_args(Family)) == set(FAMILIES) == {path.stem for path in CONF.glob("*.yaml")}


@families
def test_the_config_of_a_family_names_settings_that_exist(family: Family) -> None:
    config = yaml.safe_load((CONF / f"{family}.yaml").read_text(encoding="utf-8"))
    assert replace(LOGISTIC, **config).family == family


def test_defaults_stand_in_the_notebook_alone() -> None:
    assert all(field.default is MISSING for field in fields(Settings))


@families
def test_a_family_predicts_probabilities_better_than_chance(
    family: Family, train: Rows, validation: Rows
) -> None:
    probability = probability_of_late(fit(SMALL[family], train, validation), validation.features)
    assert ((probability >= 0) & (probability <= 1)).all()
    constant = np.full(len(validation), train.late.mean())
    assert log_loss(validation.late, probability) < log_loss(validation.late, constant)


@families
def test_a_family_reports_the_losses_of_rising_steps(
    family: Family, train: Rows, validation: Rows
) -> None:
    steps: list[int] = []

    def report(step: int, /, **losses: float) -> None:
        assert set(losses) == {"train_loss", "validation_loss"}
        assert all(np.isfinite(value) for value in losses.values())
        steps.append(step)

    fit(SMALL[family], train, validation, report)
    assert steps == sorted(set(steps)) and steps[0] == 1


@families
def test_the_same_settings_give_the_same_file(
    family: Family, train: Rows, validation: Rows, tmp_path: Path
) -> None:
    for name in ("first", "second"):
        save_model(fit(SMALL[family], train, validation), tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


@families
def test_a_model_that_was_saved_predicts_the_same(
    family: Family, train: Rows, validation: Rows, tmp_path: Path
) -> None:
    model = fit(SMALL[family], train, validation)
    save_model(model, tmp_path / "model.skops")
    loaded = load_model(tmp_path / "model.skops")
    before, after = (probability_of_late(one, validation.features) for one in (model, loaded))
    assert np.array_equal(before, after)


@families
def test_names_never_seen_in_training_are_met_without_failing(
    family: Family, train: Rows, validation: Rows
) -> None:
    model = fit(SMALL[family], train, validation)
    strange = validation.features.assign(carrier="ZZ", dest="XXX")
    assert np.isfinite(probability_of_late(model, strange)).all()


@families
def test_validation_rows_do_not_reach_the_model(
    family: Family, train: Rows, validation: Rows
) -> None:
    other = Rows(validation.features.iloc[::-1], ~validation.late)
    first, second = fit(SMALL[family], train, validation), fit(SMALL[family], train, other)
    asked = validation.features
    assert np.array_equal(probability_of_late(first, asked), probability_of_late(second, asked))


def test_a_forbidden_column_stops_the_fit(train: Rows, validation: Rows) -> None:
    leaking = Rows(train.features.assign(arr_delay=0.0), train.late)
    with pytest.raises(LeakageError, match="arr_delay"):
        fit(LOGISTIC, leaking, validation)


def test_rows_hold_the_permitted_features_of_one_split() -> None:
    table = made_up_table().assign(dep_delay=0.0)
    assert tuple(rows_of(table, "train").features.columns) == tuple(FEATURES)
    assert len(rows_of(table, "train")) + len(rows_of(table, "validation")) == len(table)


def test_a_learning_curve_has_one_row_per_share(train: Rows, validation: Rows) -> None:
    curve = learning_curve(SMALL["logistic"], train, validation, shares=(0.5, 1.0))
    assert list(curve.index) == [300, 600] and list(curve.columns) == ["train", "validation"]


@pytest.mark.parametrize(("last", "steps"), [(1, [1]), (8, [1, 2, 4, 8]), (10, [1, 2, 4, 8, 10])])
def test_powers_end_with_the_last_step(last: int, steps: list[int]) -> None:
    assert powers_up_to(last) == steps
