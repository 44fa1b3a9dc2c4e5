"""What the features of the reference project may know, and when."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_nb.examples.flights.features import (
    FEATURES,
    OUTCOMES,
    SPLITS,
    LeakageError,
    build_features,
    columns_that_look_ahead,
    draw,
    hide_future,
    late,
    refuse_leakage,
    split_of,
    weather_at_departure,
)
from mlops_nb.examples.flights.history import recent_mean, still_waiting
from mlops_nb.examples.flights.source import READINGS

START = pd.Timestamp("2013-03-01 00:00Z")


def made_up_flights(seed: int, rows: int = 60, hours: int = 30) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    offset = np.sort(random.integers(0, hours * 60, rows))
    delay = random.integers(-20, 200, rows).astype(float)
    delay[random.uniform(size=rows) < 0.1] = np.nan
    scheduled = pd.Series(START + pd.to_timedelta(offset, unit="min"))
    return pd.DataFrame(
        {
            "scheduled": scheduled.astype("datetime64[us, UTC]"),
            "month": 3,
            "weekday": scheduled.dt.day_of_week,
            "hour": scheduled.dt.hour,
            "minute": scheduled.dt.minute,
            "origin": random.choice(["JFK", "LGA"], rows),
            "dest": random.choice(["SFO", "BOS", "IAH"], rows),
            "dest_latitude": 40.0,
            "dest_longitude": -90.0,
            "distance": 900.0,
            "carrier": random.choice(["UA", "B6", "DL"], rows),
            "tailnum": random.choice(np.array(["N1", "N2", "N3", None], dtype=object), rows),
            "plane_year": 2003.0,
            "seats": 150.0,
            "dep_delay": delay,
            "arr_delay": delay - 5,
        }
    )


def made_up_weather(seed: int, hours: int = 32) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    hour = pd.Series(START + pd.to_timedelta(np.repeat(np.arange(hours), 2), unit="h"))
    table = pd.DataFrame({"observed_hour": hour.astype("datetime64[us, UTC]")})
    table["origin"] = np.tile(["JFK", "LGA"], hours)
    return table.assign(**{name: random.normal(size=2 * hours) for name in READINGS})


@pytest.mark.parametrize("column", sorted(OUTCOMES))
def test_an_outcome_among_the_features_is_refused_by_name(column: str) -> None:
    with pytest.raises(LeakageError, match=column) as caught:
        refuse_leakage([*FEATURES, column])
    assert caught.value.columns == (column,)
    assert "known only after scheduled departure" in str(caught.value)


def test_a_column_nobody_has_vouched_for_is_refused() -> None:
    with pytest.raises(LeakageError, match="nobody has said when"):
        refuse_leakage(["carrier", "wheels_off"])


def test_the_permitted_features_hold_no_outcome() -> None:
    refuse_leakage(FEATURES)
    assert not OUTCOMES & set(FEATURES)


def test_splits_cover_the_year_in_order_and_do_not_overlap() -> None:
    months = [month for split in ("train", "validation", "future") for month in SPLITS[split]]
    assert months == list(range(1, 13))
    assert split_of(pd.Series(range(1, 13))).value_counts().to_dict() == {
        "train": 8,
        "validation": 2,
        "future": 2,
    }


def test_late_begins_at_fifteen_minutes_and_is_missing_without_an_arrival() -> None:
    answers = late(pd.DataFrame({"arr_delay": [14.0, 15.0, -3.0, np.nan]}))
    assert answers.isna().tolist() == [False, False, False, True]
    assert answers[:3].tolist() == [False, True, False]


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), minute=st.integers(0, 30 * 60))
def test_hiding_the_future_changes_no_earlier_feature(seed: int, minute: int) -> None:
    flights, weather = made_up_flights(seed), made_up_weather(seed)
    moment = START + pd.Timedelta(minutes=minute)
    known = build_features(flights, weather)
    rebuilt = build_features(*hide_future(flights, weather, moment))
    assert columns_that_look_ahead(known, rebuilt, flights["scheduled"], moment) == ()


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), minute=st.integers(0, 30 * 60))
def test_other_outcomes_of_later_flights_change_no_earlier_feature(seed: int, minute: int) -> None:
    flights, weather = made_up_flights(seed), made_up_weather(seed)
    moment = START + pd.Timedelta(minutes=minute)
    later = flights["scheduled"] >= moment
    changed = flights.assign(dep_delay=flights["dep_delay"].where(~later, 999.0))
    known, rebuilt = build_features(flights, weather), build_features(changed, weather)
    assert columns_that_look_ahead(known, rebuilt, flights["scheduled"], moment) == ()


@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), window=st.integers(1, 600))
def test_recent_mean_and_waiting_agree_with_their_definitions(seed: int, window: int) -> None:
    flights = made_up_flights(seed, rows=40)
    delay = flights["dep_delay"]
    minute = (flights["scheduled"] - START) // pd.Timedelta(minutes=1)
    seen = minute + delay.clip(lower=0)
    board = recent_mean(flights, ["carrier"], delay.fillna(0).astype("int64"), window)
    overdue = still_waiting(flights, "origin", window)
    for row in range(len(flights)):
        now = minute[row]
        mates = flights["carrier"] == flights["carrier"][row]
        expected = delay[mates & (seen < now) & (seen >= now - window)].mean()
        assert board[row] == pytest.approx(expected, nan_ok=True)
        gone = minute + delay.fillna(window).clip(0, window)
        here = flights["origin"] == flights["origin"][row]
        assert overdue[row] == (here & (minute < now) & (gone >= now)).sum()


def test_a_flight_that_left_early_does_not_inform_itself() -> None:
    flights = made_up_flights(0, rows=1).assign(dep_delay=-10.0)
    assert np.isnan(recent_mean(flights, ["carrier"], pd.Series([-10]), 600)).all()


def test_an_aircraft_without_a_name_has_no_history() -> None:
    flights = made_up_flights(1, rows=30).assign(tailnum=None, dep_delay=5.0)
    values = flights["dep_delay"].astype("int64")
    assert np.isnan(recent_mean(flights, ["tailnum"], values, 10_000)).all()


def test_the_reading_of_the_scheduled_hour_is_not_used() -> None:
    flights = made_up_flights(0, rows=2).assign(origin="JFK")
    flights["scheduled"] = pd.to_datetime(["2013-03-01 10:00Z", "2013-03-01 10:59Z"])
    flights["scheduled"] = flights["scheduled"].astype("datetime64[us, UTC]")
    weather = made_up_weather(0)
    hour = (weather["observed_hour"] - START) // pd.Timedelta(hours=1)
    found = weather_at_departure(flights, weather.assign(temp=hour))
    assert found["temp"].tolist() == [9, 9]


def test_a_draw_is_repeatable_ordered_and_at_most_the_table() -> None:
    table = pd.DataFrame({"flight": range(100)})
    drawn = draw(table, 30, seed=1)
    assert drawn.equals(draw(table, 30, seed=1)) and not drawn.equals(draw(table, 30, seed=2))
    assert drawn.index.is_monotonic_increasing and len(drawn) == 30
    assert draw(table, None, seed=1) is table and draw(table, 1000, seed=1) is table


def test_a_feature_that_knows_how_flights_in_the_air_will_arrive_is_caught() -> None:
    flights, weather = made_up_flights(0), made_up_weather(0)
    flights = flights.assign(arr_delay=flights["dep_delay"] + 20)
    moment = START + pd.Timedelta(hours=14)

    def arrived_late(table: pd.DataFrame) -> np.ndarray:
        late_ones = (table["arr_delay"].fillna(0) >= 15).astype("int64")
        return recent_mean(table, ["dest"], late_ones, 120)

    features = build_features(flights, weather)
    cheating = features.assign(dest_late_share=arrived_late(flights))
    hidden, readings = hide_future(flights, weather, moment)
    rebuilt = build_features(hidden, readings).assign(dest_late_share=arrived_late(hidden))
    caught = columns_that_look_ahead(cheating, rebuilt, flights["scheduled"], moment)
    assert caught == ("dest_late_share",)
