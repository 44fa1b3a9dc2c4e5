"""Annotations are read into value types, or refused; never guessed."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from mlops_nb.notebook.scope import Scope
from mlops_nb.notebook.types import read_type
from mlops_nb.notebook.valuetype import Unreadable, ValueType

HEADER = """
import collections.abc
import dataclasses
import datetime as dt
import enum
import pathlib
import typing as t
from dataclasses import KW_ONLY, dataclass, field
from enum import Enum, Flag, StrEnum, auto
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Optional, Union
import annotated_types as at
from pydantic import Field
from mlops_nb import Secret as Hidden

Choice = Literal["a", "b"]
Number: t.TypeAlias = int | float
Loop = list["Loop"]

class Named(str, Enum):
    pass

class Family(Named):
    LOGISTIC = "logistic"
    _private_ = "x"
    def method(self): return 1

class Count(enum.IntEnum):
    FIVE = 5
    SIX = auto()
    SEVEN = enum.auto()

class Pair(Enum):
    A = (1, 2)

class Bits(Flag):
    A = 1

class Plain:
    x: int

@dataclasses.dataclass
class Base:
    seed: int
    shared: ClassVar[int] = 3
    made: int = field(init=False, default=0)

@dataclass(kw_only=True)
class Child(Base):
    _: KW_ONLY
    seed: float = 0.5
    names: list[str] = field(default_factory=lambda: ["a"])
    limit: int = field(metadata={"unit": "s"})

@dataclass
class Tree:
    children: "list[Tree]"
"""
SCOPE = Scope.of([ast.parse(HEADER)], root=None)


def annotation(source: str) -> ValueType:
    return read_type(ast.parse(source, mode="eval").body, SCOPE)


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("int", "int"),
        ("'int'", "int"),
        ("\"list['int']\"", "list int"),
        ("None", "none"),
        ("t.Any", "any"),
        ("object", "any"),
        ("Optional[int]", "union int none"),
        ("t.Optional[t.List[int]]", "union list int none"),
        ("int | None | str", "union union int none str"),
        ("Union[int, 'str']", "union int str"),
        ("Path", "path"),
        ("pathlib.Path", "path"),
        ("dt.date", "date"),
        ("dt.datetime", "datetime"),
        ("t.List", "list"),
        ("t.Sequence[int]", "list int"),
        ("collections.abc.Mapping[str, int]", "dict str int"),
        ("tuple[int, str]", "tuple int str"),
        ("tuple[int, ...]", "tuple int ellipsis"),
        ("Literal['a', -1, True, None]", "literal"),
        ("Hidden", "secret"),
        ("Choice", "literal"),
        ("Number | None", "union union int float none"),
        ("Family", "enum"),
        ("Annotated[int, 'a note']", "int"),
        ("Child", "dataclass float list str int"),
    ],
)
def test_an_annotation_is_read_as_a_tree(source: str, names: str) -> None:
    assert " ".join(part.name for part in annotation(source).walk()) == names


def test_the_members_of_an_enum_are_those_that_python_makes() -> None:
    assert annotation("Family").members == (("LOGISTIC", "logistic"),)
    assert annotation("Count").choices == (5, 6, 7)


def test_the_fields_of_a_dataclass_are_those_of_its_constructor() -> None:
    fields = annotation("Child").fields
    assert [(f.name, f.type.text, f.required) for f in fields] == [
        ("seed", "float", False),
        ("names", "list[str]", False),
        ("limit", "int", True),
    ]


@pytest.mark.parametrize(
    ("source", "bounds"),
    [
        ("Annotated[int, Field(ge=1, le=9, description='d')]", {"ge": 1, "le": 9}),
        ("Annotated[float, at.Gt(-0.5)]", {"gt": -0.5}),
        ("Annotated[float, at.Interval(ge=0, lt=1)]", {"ge": 0, "lt": 1}),
        ("Annotated[str, Field(pattern='a+', examples=['a'])]", {"pattern": "a+"}),
        ("Annotated[Annotated[int, Field(ge=1)], Field(le=2)]", {"ge": 1, "le": 2}),
    ],
)
def test_the_bounds_of_an_annotation_are_kept(source: str, bounds: dict[str, object]) -> None:
    value_type = annotation(source)
    assert dict(value_type.bounds) == bounds
    hash(value_type)


@pytest.mark.parametrize(
    "source",
    [
        "pandas.DataFrame",
        "Missing",
        "Plain",
        "Bits",
        "Pair",
        "Tree",
        "Loop",
        "set[int]",
        "t.Callable[[int], int]",
        "'not a type!'",
        "''",
        "int()",
        "[int]",
        "3",
        "...",
        "Literal[Path('a')]",
        "Annotated[int, Field(ge=limit)]",
        "Pair | None",
        "dict[str, Missing]",
    ],
)
def test_what_cannot_be_known_is_unreadable(source: str) -> None:
    with pytest.raises(Unreadable) as caught:
        annotation(source)
    assert len(str(caught.value).splitlines()) == 1


def test_a_type_of_a_module_is_called_by_its_full_name(tmp_path: Path) -> None:
    (tmp_path / "kinds.py").write_text(
        "import datetime\nfrom dataclasses import dataclass\nfrom enum import Enum\n"
        "class Kind(Enum):\n    A = 1\n"
        "@dataclass\nclass Plan:\n    kind: Kind\n    day: datetime.date\n"
    )
    scope = Scope.of([ast.parse("from kinds import Plan as P")], tmp_path)
    plan = read_type(ast.parse("P", mode="eval").body, scope)
    assert [(part.text, part.module) for part in plan.walk()] == [
        ("P", ""),
        ("kinds.Kind", "kinds"),
        ("datetime.date", "datetime"),
    ]
