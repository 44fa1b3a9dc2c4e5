"""Defaults are read as JSON values, or said to be unreadable; nothing is executed."""

from __future__ import annotations

import ast
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.notebook.defaults import read_default
from mlops_nb.notebook.scope import Scope
from mlops_nb.notebook.types import read_type
from mlops_nb.notebook.valuetype import Unreadable

HEADER = """
import math
import numpy as np
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

class Kind(Enum):
    A = "a"

@dataclass
class Point:
    x: int
    y: int = 2
    kinds: dict[Kind, int] = field(default_factory=lambda: {Kind.A: 1})
    tags: list[str] = field(default_factory=list)
"""
SCOPE = Scope.of([ast.parse(HEADER)], None)


def default(expression: str, annotation: str = "Any") -> object:
    value_type = read_type(ast.parse(annotation, mode="eval").body, SCOPE)
    return read_default(ast.parse(expression, mode="eval").body, value_type, SCOPE)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=8,
)


@given(VALUES)
def test_a_literal_is_read_as_python_reads_it(value: object) -> None:
    assert default(repr(value)) == value


@given(
    st.integers(-99, 99), st.sampled_from(["+", "-", "*", "/", "//", "**"]), st.integers(-99, 99)
)
def test_arithmetic_is_worked_out_as_python_does(left: int, operator: str, right: int) -> None:
    source = f"{left} {operator} {right}"
    try:
        value = default(source)
    except Unreadable:
        return
    assert value == eval(source)


@pytest.mark.parametrize(
    ("expression", "annotation", "value"),
    [
        ("Point(1)", "Point", {"x": 1, "y": 2, "kinds": {"a": 1}, "tags": []}),
        ("[Point(1, y=3)]", "list[Point]", [{"x": 1, "y": 3, "kinds": {"a": 1}, "tags": []}]),
        ("[Kind.A, Kind('a')]", "list[Kind]", ["a", "a"]),
        ("{'a': Path('b')}", "dict[str, Path]", {"a": "b"}),
        ("math.inf", "float", math.inf),
        ("np.inf", "float", math.inf),
        ("float('-inf')", "float", -math.inf),
        ("dict()", "dict", {}),
        ("tuple([1, 2])", "tuple", [1, 2]),
        ("60 * 60 * 24", "int", 86400),
    ],
)
def test_calls_that_only_make_a_value_are_read(
    expression: str, annotation: str, value: object
) -> None:
    assert default(expression, annotation) == value


@pytest.mark.parametrize(
    ("expression", "annotation"),
    [
        ("Point(1, 2, 3, 4, 5)", "Point"),
        ("Point(1, z=3)", "Point"),
        ("Kind.B", "Kind"),
        ("Kind.A", "str"),
        ("Path('a') / 'b'", "Path"),
        ("Path('a', 'b')", "Path"),
        ("list('ab')", "list[str]"),
        ("list(a=1)", "list[str]"),
        ("dict([1])", "dict"),
        ("float()", "float"),
        ("10 ** 100", "int"),
        ("2 ** 10 ** 10", "int"),
        ("'a' * 3", "str"),
        ("[x for x in (1, 2)]", "list[int]"),
        ("[1][0]", "int"),
        ("(lambda: 1)()", "int"),
        ("__import__('os').system('false')", "int"),
    ],
)
def test_what_would_have_to_be_executed_is_unreadable(expression: str, annotation: str) -> None:
    with pytest.raises(Unreadable):
        default(expression, annotation)
