"""Sizes are read as people write them, and refused in one line otherwise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.errors import UsageError
from mlops_nb.notebook.limits import parse_size, size_in_words


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2G", 2 * 1024**3),
        ("2g", 2 * 1024**3),
        ("2 GiB", 2 * 1024**3),
        ("1.5GB", 3 * 1024**3 // 2),
        ("512M", 512 * 1024**2),
        ("100k", 100 * 1024),
        ("4096", 4096),
        ("4096B", 4096),
    ],
)
def test_a_size_is_read_as_people_write_it(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "G", "two", "-1G", "0", "0.1", "1GG", "1e9", "1 2G", "inf", "9" * 400]
)
def test_what_is_no_size_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UsageError, match="is no size; write it like 512M or 2G"):
        parse_size(text)


@given(st.integers(1, 2**50))
def test_a_size_in_words_reads_back_nearly_equal(size: int) -> None:
    words = size_in_words(size)
    again = int(words.split()[0]) if words.endswith("bytes") else parse_size(words)
    assert abs(again - size) <= size * 0.001


@given(st.text(max_size=8))
def test_any_text_is_a_size_or_refused(text: str) -> None:
    try:
        assert parse_size(text) > 0
    except UsageError:
        pass
