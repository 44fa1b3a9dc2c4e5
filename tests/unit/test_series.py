"""A series holds each step once, belongs to this process, and never writes through a link."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.errors import UnwritablePath
from mlops_nb.runs.series import Series


@pytest.fixture
def series(tmp_path: Path) -> Series:
    return Series(tmp_path / "plots" / "loss.csv", "loss")


def rows(series: Series) -> list[str]:
    header, *found = series.path.read_text().splitlines()
    assert header == "step,loss"
    return found


def test_the_first_row_replaces_what_another_process_left(series: Series) -> None:
    series.path.parent.mkdir()
    series.path.write_text("step,loss\n0,1.0\n1,0.5\n2,0.1\n")
    series.append(1, 0.4)
    assert rows(series) == ["1,0.4"]


def test_a_repeated_step_starts_over_from_it(series: Series) -> None:
    for step in range(4):
        series.append(step, 1.0)
    series.append(2, 0.5)
    assert rows(series) == ["0,1.0", "1,1.0", "2,0.5"]


@given(steps=st.lists(st.integers(0, 20), min_size=1, max_size=30))
def test_steps_are_always_strictly_increasing_and_end_with_the_last(
    steps: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    series = Series(tmp_path_factory.mktemp("series") / "loss.csv", "loss")
    expected: dict[int, float] = {}
    for number, step in enumerate(steps):
        series.append(step, float(number))
        expected = {kept: value for kept, value in expected.items() if kept < step}
        expected[step] = float(number)
    assert rows(series) == [f"{step},{value!r}" for step, value in expected.items()]


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_a_link_into_a_cache_is_replaced_and_the_cached_copy_kept(
    series: Series, tmp_path: Path, link: object
) -> None:
    series.append(0, 1.0)
    cached = tmp_path / "cached"
    os.replace(series.path, cached)
    cached.chmod(0o444)
    link(cached, series.path)
    series.append(1, 0.5)
    series.append(2, 0.25)
    assert cached.read_text() == "step,loss\n0,1.0\n"
    assert rows(series) == ["0,1.0", "1,0.5", "2,0.25"]
    assert series.path.stat().st_mode & 0o200


def test_a_file_that_was_deleted_or_rewritten_starts_again(series: Series) -> None:
    series.append(0, 1.0)
    series.path.unlink()
    series.append(1, 0.5)
    assert rows(series) == ["1,0.5"]
    series.path.write_text("not a series\n")
    series.append(2, 0.25)
    assert rows(series) == ["2,0.25"]


def test_values_read_back_equal(series: Series) -> None:
    series.append(0, 0.1 + 0.2)
    assert float(rows(series)[0].split(",")[1]) == 0.1 + 0.2


def test_a_folder_that_is_a_file_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "plots").write_text("")
    with pytest.raises(UnwritablePath, match=r"loss\.csv"):
        Series(tmp_path / "plots" / "loss.csv", "loss").append(0, 1.0)
