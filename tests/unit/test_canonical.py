"""Equal values have equal texts and digests, and what JSON lacks is refused with its place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.core.canonical import canonical_json, digest, digest_bytes
from mlops_nb.errors import UsageError

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12
)


def reordered(value: Any) -> Any:
    """Return an equal value whose dictionaries were filled the other way round."""
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return [reordered(item) for item in value] if isinstance(value, list) else value


@given(VALUES)
def test_the_text_reads_back_equal_and_does_not_show_the_order(value: Any) -> None:
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text == canonical_json(reordered(value))
    assert digest(value) == digest(reordered(value))


def test_the_form_is_the_documented_one() -> None:
    assert canonical_json({"b": [1.0, 1e-05, True], "a": "é"}) == '{"a":"é","b":[1.0,1e-05,true]}'
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest_bytes(b"") == f"sha256:{empty}"


def test_half_a_surrogate_pair_has_a_digest() -> None:
    assert digest("\ud800") != digest("\ud801")


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": [0, float("nan")]}, r"\$\.a\[1\] is nan"),
        (float("-inf"), r"\$ is -inf"),
        ({"a": {1: 2}}, r"\$\.a has the key 1"),
        ([{1, 2}], r"\$\[0\] is a set"),
        ({"a": b"x"}, r"\$\.a is a bytes"),
    ],
)
def test_what_json_lacks_is_named_with_its_place(value: object, place: str) -> None:
    with pytest.raises(UsageError, match=place):
        canonical_json(value)
