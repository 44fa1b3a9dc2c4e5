"""The quick answer for plain values is the one that pydantic gives."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pydantic
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mlops_nb.notebook.validate import complaint, python_type
from mlops_nb.notebook.valuetype import ValueType

PLAIN = ("any", "bool", "int", "float", "str", "none", "path", "date", "datetime", "secret")
CHOICES: list[tuple[object, ...]] = [("a", "b"), (0, 1), (True, "1"), (None, "none"), ("żółć",)]
LEAVES = st.one_of(
    st.sampled_from(PLAIN).map(lambda name: ValueType(name, name)),
    st.sampled_from(CHOICES).map(lambda found: ValueType("literal", "Literal", choices=found)),
    st.sampled_from(("int", "float")).map(lambda n: ValueType(n, n, bounds=(("ge", 1), ("lt", 9)))),
)
TYPES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda a: ValueType("union", "|", tuple(a))),
        inner.map(lambda item: ValueType("list", "list", (item,))),
        inner.map(lambda item: ValueType("dict", "dict", (ValueType("str", "str"), item))),
    ),
    max_leaves=5,
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, 1, 5, 10**400]),
    st.floats(),
    st.text(st.characters()),
    st.sampled_from(["a", "b", "1", "none", "żółć", "2013-01-01", "2013-01-01T06:00", "\ud800"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def accepted_by_pydantic(value_type: ValueType, value: object) -> bool:
    adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(python_type(value_type))
    try:
        adapter.validate_json(json.dumps(value), strict=True)
    except pydantic.ValidationError:
        return False
    return True


@given(TYPES, VALUES)
@example(ValueType("str", "str"), "\ud800")
@example(ValueType("float", "float"), 10**400)
@example(ValueType("float", "float"), float("nan"))
@example(ValueType("int", "int"), True)
@example(ValueType("literal", "Literal[0, 1]", choices=(0, 1)), True)
def test_a_value_fits_exactly_if_pydantic_says_so(value_type: ValueType, value: object) -> None:
    assert (complaint(value_type, value) is None) == accepted_by_pydantic(value_type, value)


@given(st.data())
def test_a_value_made_for_a_type_is_judged_alike(data: st.DataObject) -> None:
    value_type = data.draw(TYPES)
    value = data.draw(made_for(value_type))
    assert (complaint(value_type, value) is None) == accepted_by_pydantic(value_type, value)


def made_for(value_type: ValueType) -> st.SearchStrategy[Any]:
    """Draw JSON values that are likely to fit, so that the quick answer is often `yes`."""
    if value_type.choices:
        return st.sampled_from(value_type.choices)
    inner = [made_for(argument) for argument in value_type.arguments]
    if value_type.name == "union":
        return st.one_of(inner)
    if value_type.name == "list":
        return st.lists(inner[0], max_size=3)
    if value_type.name == "dict":
        return st.dictionaries(inner[0], inner[1], max_size=3)
    return {
        "bool": st.booleans(),
        "int": st.integers(),
        "float": st.floats() | st.integers(),
        "none": st.none(),
        "date": st.dates().map(str),
        "datetime": st.datetimes().map(lambda moment: moment.isoformat()),
        "any": SCALARS,
    }.get(value_type.name, st.text())


@pytest.mark.parametrize(("name", "value"), [("int", 3), ("float", 3), ("str", "a")])
def test_a_plain_value_that_fits_needs_no_pydantic(name: str, value: object) -> None:
    code = (
        "import sys\n"
        "from mlops_nb.notebook.validate import complaint\n"
        "from mlops_nb.notebook.valuetype import ValueType\n"
        f"assert complaint(ValueType({name!r}, {name!r}), {value!r}) is None\n"
        "assert 'pydantic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
