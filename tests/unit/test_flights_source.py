"""The source tables are the known ones, or an error says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_nb.errors import MissingExtra, UsageError
from mlops_nb.examples.flights.source import (
    SOURCES,
    flight_status,
    flight_table,
    read_source,
    source_folder,
    weather_table,
)
from mlops_nb.examples.flights.tables import read_table, write_table


def test_a_missing_package_names_the_extra() -> None:
    with pytest.raises(MissingExtra, match="examples") as caught:
        source_folder("nycflights_nobody_has")
    assert caught.value.extra == "examples"


@pytest.mark.parametrize("name", ["airlines", "airports", "planes", "weather"])
def test_a_source_has_the_rows_it_is_known_for(name: str) -> None:
    assert len(read_source(name)) == SOURCES[name].rows


def test_a_source_that_changed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "planes.csv").write_text("tailnum,year\nN1,2003\n", encoding="utf-8")
    with pytest.raises(UsageError, match="SHA-256"):
        read_source("planes", tmp_path)
    with pytest.raises(UsageError, match="No such file"):
        read_source("airports", tmp_path)


def test_status_says_what_became_of_a_flight() -> None:
    delays = pd.DataFrame({"dep_delay": [1.0, 1.0, np.nan], "arr_delay": [1.0, np.nan, np.nan]})
    assert flight_status(delays).tolist() == ["arrived", "diverted", "cancelled"]


def test_scheduled_departure_is_an_instant_across_summer_time() -> None:
    flights = pd.DataFrame(
        {
            "year": 2013,
            "month": [3, 3],
            "day": [9, 10],
            "hour": [6, 6],
            "minute": [15, 15],
            "time_hour": ["2013-03-09T11:00:00Z", "2013-03-10T10:00:00Z"],
            "origin": "JFK",
            "dest": ["SFO", "SJU"],
            "distance": 100,
            "carrier": "UA",
            "tailnum": ["N1", None],
            "dep_delay": [0.0, 1.0],
            "arr_delay": [0.0, 1.0],
        }
    )
    planes = pd.DataFrame({"tailnum": ["N1"], "year": [2003.0], "seats": [150]})
    airports = pd.DataFrame({"faa": ["SFO"], "lat": [37.6], "lon": [-122.4]})
    airlines = pd.DataFrame({"carrier": ["UA"], "name": ["United"]})
    table = flight_table(flights, planes, airports, airlines)
    assert table["scheduled"].diff()[1] == pd.Timedelta(hours=23)
    assert table["hour"].tolist() == [6, 6] and table["weekday"].tolist() == [5, 6]
    assert table["dest_latitude"].isna().tolist() == [False, True]


def test_weather_keeps_the_airports_asked_for_and_drops_impossible_wind() -> None:
    table = weather_table(read_source("weather"), ["JFK", "LGA"])
    assert set(table["origin"]) == {"JFK", "LGA"}
    assert table["wind_speed"].max() < 150 and (table["wind_gust"] >= 0).sum() > 17_000


def test_a_table_is_the_same_bytes_each_time_and_makes_its_folder(tmp_path: Path) -> None:
    table = pd.DataFrame({"carrier": ["UA", None], "late": [True, False], "delay": [1.5, np.nan]})
    for name in ("a/first.parquet", "b/second.parquet"):
        write_table(table, tmp_path / name)
    assert (tmp_path / "a/first.parquet").read_bytes() == (
        tmp_path / "b/second.parquet"
    ).read_bytes()
    pd.testing.assert_frame_equal(read_table(tmp_path / "a/first.parquet"), table)


def test_a_table_that_is_not_there_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="dvc repro"):
        read_table(tmp_path / "features.parquet")
