"""What is accepted can be made in the notebook, and what is not is said in one phrase."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.notebook.validate import complaint
from mlops_nb.notebook.valuetype import Field, ValueType

T = ValueType
INT, STR, NONE = T("int", "int"), T("str", "str"), T("none", "None")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
TYPES: list[ValueType] = [
    *(T(name, name) for name in "int float bool str none path date datetime list dict any".split()),
    T("union", "int | None", (INT, NONE)),
    T("tuple", "tuple[int, ...]", (INT, T("ellipsis", "..."))),
    T("tuple", "tuple[int, str]", (INT, STR)),
    T("dict", "dict[str, int]", (STR, INT)),
    T("literal", "Literal['a', 1]", choices=("a", 1)),
    T("dataclass", "Point", fields=(Field("x", INT, True), Field("_y", STR, False))),
]


@given(st.sampled_from(TYPES), JSON)
def test_any_value_is_accepted_or_refused_in_one_phrase(value_type: ValueType, value: Any) -> None:
    expected = complaint(value_type, value)
    assert expected is None or (expected and len(expected) < 300)


MOMENTS = st.from_regex(
    r"\d{4}-?[01]\d-?[0-3]\d([T _t]\d\d(:?\d\d(:?\d\d([.,]\d{1,9})?)?)?)?(Z|[-+]\d\d:?\d\d)?"
    r"|\d{1,12}",
    fullmatch=True,
)


@given(MOMENTS | st.sampled_from(["1700000000", "2024-W01-1", "2024-01-01T00:00\u221201:00"]))
def test_a_moment_is_accepted_exactly_when_python_reads_it(text: str) -> None:
    for kind in (datetime.date, datetime.datetime):
        try:
            kind.fromisoformat(text)
            read = True
        except ValueError:
            read = False
        assert (complaint(T(kind.__name__, kind.__name__), text) is None) is read


@pytest.mark.parametrize(
    "name", ["copy", "json", "schema", "model_config", "model_name", "_private", "self", "fields"]
)
def test_a_field_may_have_any_name(name: str) -> None:
    kind = T("dataclass", "project.Thing", fields=(Field(name, INT, True),))
    assert complaint(kind, {name: 1}) is None
    assert complaint(kind, {}) is not None and complaint(kind, {name: "1"}) is not None


@pytest.mark.parametrize("value", [object(), {1, 2}, b"x", datetime.date(2024, 1, 1)])
def test_what_is_no_json_value_is_refused(value: object) -> None:
    assert complaint(T("any", "Any"), value) == "Any, which is written as a JSON value"
