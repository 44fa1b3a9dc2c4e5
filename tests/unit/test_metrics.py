"""The headline of a metrics file."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.errors import RecordError
from mlops_nb.runs.metrics import headline, read_headline

names = st.text(st.characters(exclude_characters="."), min_size=1, max_size=3)
trees = st.recursive(
    st.floats(allow_nan=False),
    lambda inner: st.dictionaries(names, inner, max_size=4),
    max_leaves=9,
)


def count(tree: object) -> int:
    return sum(count(value) for value in tree.values()) if isinstance(tree, dict) else 1


@given(st.dictionaries(names, trees, max_size=4))
def test_every_figure_is_shown_or_counted(metrics: dict[str, object]) -> None:
    found = headline(metrics)

    assert len(found.values) + found.deeper == count(metrics)


def test_plain_figures_come_before_groups() -> None:
    found = headline({"a": {"x": 1}, "z": 2})

    assert list(found.values) == ["z", "a.x"]


def test_large_groups_are_counted() -> None:
    found = headline({"importance": {f"column_{n}": n for n in range(13)}, "auc": 0.9})

    assert found.values == {"auc": 0.9}
    assert found.deeper == 13


def test_file_that_was_not_written_yet_has_no_headline(tmp_path: Path) -> None:
    assert read_headline(tmp_path / "none.json").values == {}


@pytest.mark.parametrize("text", ["{", "[1]", json.dumps(3)])
def test_file_that_is_not_a_metrics_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "train.json"
    path.write_text(text)

    with pytest.raises(RecordError, match="not a metrics file"):
        read_headline(path)
