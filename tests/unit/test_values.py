"""Values reach a notebook with the types it declares, whatever their way."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.errors import (
    InvalidParameter,
    MissingParameter,
    ParameterError,
    UnknownParameter,
    UsageError,
)
from mlops_nb.notebook.signature import Signature
from mlops_nb.notebook.values import bind, parse_assignments, parse_untyped

Reader = Callable[..., Signature]

HEADER = """
import datetime as dt
import enum
import pathlib
import typing as t
from dataclasses import dataclass, field
from datetime import date
from enum import Enum, IntEnum, StrEnum, auto
from pathlib import Path
from typing import Annotated, Any, Dict, List, Literal, Optional, Tuple, Union

from pydantic import Field

class Family(Enum):
    LOGISTIC = "logistic"
    FOREST = "forest"

class Level(IntEnum):
    LOW = auto()
    HIGH = auto()

class Mode(StrEnum):
    FAST = auto()
    Slow = "SLOW"

class Sign(enum.Enum):
    MINUS = -1
    HALF = 0.5

@dataclass(frozen=True)
class Schedule:
    kind: Mode = Mode.FAST
    steps: tuple[int, ...] = (1, 2)

@dataclass(frozen=True)
class Optimizer:
    copy: str
    lr: float = 0.1
    root: Path | None = None
    schedule: Schedule = field(default_factory=Schedule)
    tags: List[str] = field(default_factory=list)
"""
TYPES: dict[str, Any] = {}
exec(HEADER, TYPES)
Optimizer, Schedule = TYPES["Optimizer"], TYPES["Schedule"]
Pair = tuple[str, Any, Any]  # an annotation, a JSON value, the Python value that it stands for


def pairs(annotation: str, strategy: st.SearchStrategy[Any], make: Any = None) -> Any:
    """Return a strategy of triples for one annotation."""
    return strategy.map(lambda value: (annotation, value, make(value) if make else value))


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
MEMBERS = {
    name: [(member.value, member) for member in TYPES[name]]
    for name in ("Family", "Level", "Mode", "Sign")
}
SCALARS: st.SearchStrategy[Pair] = st.one_of(
    pairs("int", st.integers()),
    pairs("float", st.floats()),
    pairs("float", st.integers(-(2**53), 2**53), float),
    pairs("bool", st.booleans()),
    pairs("str", TEXTS),
    pairs("'str'", TEXTS),
    pairs("Path", TEXTS, Path),
    pairs("pathlib.Path", TEXTS, Path),
    st.dates().map(lambda day: ("date", day.isoformat(), day)),
    st.dates().map(lambda day: ("dt.date", day.isoformat(), day)),
    st.datetimes().map(lambda moment: ("dt.datetime", moment.isoformat(), moment)),
    pairs("Literal['a', 'b', 3]", st.sampled_from(["a", "b", 3])),
    pairs("t.Literal[-1, True, None]", st.sampled_from([-1, True, None])),
    pairs("Annotated[int, Field(ge=1, le=9)]", st.integers(1, 9)),
    pairs("Any", st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS)),
    *(
        st.sampled_from(members).map(lambda pair, name=name: (name, *pair))
        for name, members in MEMBERS.items()
    ),
    pairs(
        "Optimizer",
        st.fixed_dictionaries({"copy": TEXTS, "root": st.none() | TEXTS}),
        lambda v: Optimizer(v["copy"], root=None if v["root"] is None else Path(v["root"])),
    ),
    st.sampled_from(MEMBERS["Mode"]).map(
        lambda mode: (
            "Optimizer",
            {"copy": "", "schedule": {"kind": mode[0], "steps": [3]}},
            Optimizer("", schedule=Schedule(mode[1], (3,))),
        )
    ),
)
KEYS = st.one_of(
    pairs("str", TEXTS), pairs("int", st.integers()), pairs("date", st.dates().map(str), None)
)


def containers(inner: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    """Return a strategy of containers of what `inner` gives."""

    def several(pair: Pair, annotation: str, make: Callable[[list[Any]], Any]) -> Pair:
        return annotation.format(pair[0]), [pair[1], pair[1]], make([pair[2], pair[2]])

    return st.one_of(
        inner.map(lambda p: several(p, "list[{}]", list)),
        inner.map(lambda p: several(p, "List[{}]", list)),
        inner.map(lambda p: several(p, "tuple[{}, ...]", tuple)),
        inner.map(lambda p: (f"tuple[{p[0]}]", [p[1]], (p[2],))),
        st.tuples(inner, inner).map(
            lambda two: (
                f"Tuple[{two[0][0]}, {two[1][0]}]",
                [two[0][1], two[1][1]],
                (two[0][2], two[1][2]),
            )
        ),
        st.tuples(TEXTS, inner).map(
            lambda pair: (f"dict[str, {pair[1][0]}]", {pair[0]: pair[1][1]}, {pair[0]: pair[1][2]})
        ),
        st.tuples(st.integers(), inner).map(
            lambda pair: (f"Dict[int, {pair[1][0]}]", {pair[0]: pair[1][1]}, {pair[0]: pair[1][2]})
        ),
        inner.map(lambda p: (f"Optional[{p[0]}]", p[1], p[2])),
        inner.map(lambda p: (f"{p[0].strip(chr(39))} | None", p[1], p[2])),
        inner.map(lambda p: (f"Union[None, {p[0]}]", None, None)),
    )


def same(left: Any, right: Any) -> bool:
    """Return whether two values are equal with equal types throughout; `nan` equals itself."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float) and math.isnan(left):
        return math.isnan(right)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return same(list(left.items()), list(right.items()))
    if dataclasses.is_dataclass(left):
        return all(
            same(getattr(left, f.name), getattr(right, f.name)) for f in dataclasses.fields(left)
        )
    return bool(left == right)


def run(parameters: str, injected: str, earlier: str = "") -> dict[str, Any]:
    """Return the names that a kernel would hold after the parameters cell and the injected one."""
    names = dict(TYPES) if earlier == HEADER else {}
    for source in ("" if earlier == HEADER else earlier, parameters, injected):
        exec(source, names)
    return names


@given(st.recursive(SCALARS, containers, max_leaves=4))
def test_a_bound_value_arrives_as_the_annotated_type_says(read: Reader, pair: Pair) -> None:
    annotation, value, expected = pair
    source = f"x: {annotation}"
    binding = bind(read(source, HEADER), {"x": value})
    assert same(run(source, binding.source, HEADER)["x"], expected), binding.source


@pytest.mark.parametrize(
    ("annotation", "default"),
    [
        ("int", "1_000"),
        ("int", "-3"),
        ("int", "60 * 60"),
        ("int", "7 // 2"),
        ("float", "1e-5"),
        ("float", "2 ** -3"),
        ("float", "float('inf')"),
        ("float", "float('nan')"),
        ("float", "-0.5"),
        ("bool", "False"),
        ("str", "'a' 'b'"),
        ("str", "'''a\n'b' \"c\" \\\\d'''"),
        ("str", "'żółć \N{PILE OF POO}'"),
        ("int | None", "None"),
        ("Family", "Family.FOREST"),
        ("'Family | None'", "Family('forest')"),
        ("Level", "Level.HIGH"),
        ("Mode", "Mode.Slow"),
        ("Path", "Path('a') "),
        ("pathlib.Path | None", "pathlib.Path('a')"),
        ("date", "date(2013, 1, 1)"),
        ("date", "date(year=2013, month=1, day=1)"),
        ("dt.datetime", "dt.datetime(2013, 1, 1, 6)"),
        ("dt.datetime", "dt.datetime.fromisoformat('2013-01-01T06:00')"),
        ("list[int]", "[\n  1,  # one\n  2,\n]"),
        ("tuple[int, ...]", "(1, 2)"),
        ("tuple[int, str]", "(1, 'a')"),
        ("tuple", "(1, 2)"),
        ("dict[str, float]", "{'a': 0.5}"),
        ("dict[int, str]", "{1: 'a'}"),
        ("dict[Family, int]", "{Family.FOREST: 1}"),
        ("dict[str, int]", "dict(a=1)"),
        ("list[Path]", "[Path('a')]"),
        ("list[str]", "list()"),
        ("Optimizer", "Optimizer('a')"),
        ("Optimizer", "Optimizer(copy='a', schedule=Schedule(steps=(4,)), root=Path('b'))"),
        ("list[Schedule]", "[Schedule(kind=Mode.Slow)]"),
    ],
)
def test_a_default_given_back_changes_nothing(read: Reader, annotation: str, default: str) -> None:
    source = f"x: {annotation} = {default}"
    signature = read(source, HEADER)
    (parameter,) = signature.parameters
    assert parameter.has_default
    binding = bind(signature, {"x": parameter.default})
    before, after = run(source, "", HEADER)["x"], run(source, binding.source, HEADER)["x"]
    assert same(before, after), binding.source
    assert bind(signature, {}).source == ""


def test_types_that_the_notebook_does_not_import_are_imported_for_it(
    read: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "shapes_of_a_project"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from .models import *\nfrom .models import Model as Net\n"
    )
    (package / "kinds.py").write_text("import enum\nclass Kind(enum.Enum):\n    A = 'a'\n")
    (package / "models.py").write_text(
        "from dataclasses import dataclass, field\nfrom pathlib import Path\nfrom . import kinds\n"
        "@dataclass\nclass Base:\n    where: Path = Path('w')\n"
        "@dataclass\nclass Model(Base):\n    kind: kinds.Kind = kinds.Kind.A\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("Net", "Model"):
        source = f"from shapes_of_a_project import {name}\nmodel: {name} = {name}()"
        signature = read(source, root=tmp_path)
        assert signature.parameters[0].default == {"where": "w", "kind": "a"}
        binding = bind(signature, {"model": {"where": "v", "kind": "a"}})
        model = run(source, binding.source)["model"]
        assert model.where == Path("v") and model.kind.name == "A"


def test_derived_defaults_follow_parameters_and_ports_in_their_order(read: Reader) -> None:
    source = (
        "from mlops_nb import In\nrows: int = 100\nfeatures: In = 'data/a.csv'\n"
        "half: int = rows // 2\nquarter = half // 2\nname: str = f'{features}-{quarter}'\nother = 1"
    )
    signature = read(source)
    given_rows = run(source, bind(signature, {"rows": 40}).source)
    assert (given_rows["half"], given_rows["quarter"], given_rows["name"]) == (
        20,
        10,
        "data/a.csv-10",
    )
    given_port = run(source, bind(signature, {"features": "b", "quarter": 7}).source)
    assert given_port["name"] == "b-7" and given_port["half"] == 50
    assert "other" not in bind(signature, {"rows": 40, "features": "b"}).source


@pytest.mark.parametrize(
    ("annotation", "text", "expected"),
    [
        ("bool", "false", False),
        ("bool", "False", False),
        ("bool", "TRUE", True),
        ("float", "1e-05", 1e-05),
        ("float", "1E5", 1e5),
        ("float", "3", 3),
        ("float", "inf", math.inf),
        ("float", "-Infinity", -math.inf),
        ("float", ".inf", math.inf),
        ("int", "007", 7),
        ("int", "-1", -1),
        ("int", "1_000", 1000),
        ("str", "007", "007"),
        ("str", "1e-05", "1e-05"),
        ("str", "on", "on"),
        ("str", "null", "null"),
        ("str", "", ""),
        ("str", "a=b = c", "a=b = c"),
        ("str", "a #b: c", "a #b: c"),
        ("str", " padded ", " padded "),
        ("str", "'quoted'", "'quoted'"),
        ("str", '{"a": 1}', '{"a": 1}'),
        ("str", "two\nlines", "two\nlines"),
        ("str", "żółć 🙂", "żółć 🙂"),
        ("str | None", "null", None),
        ("str | None", "None", None),
        ("str | None", "", None),
        ("str | None", '"null"', "null"),
        ("str | None", "a #b", "a #b"),
        ("int | None", "None", None),
        ("int | None", "~", None),
        ("int | None", "4", 4),
        ("int | str", "4", 4),
        ("int | str", '"4"', "4"),
        ("int | str", "four", "four"),
        ("Literal['01', 'b']", "01", "01"),
        ("Literal[1, 2]", "2", 2),
        ("Family", "forest", "forest"),
        ("Path", "a b#c/1.csv", "a b#c/1.csv"),
        ("Path", "1", "1"),
        ("date", "2013-01-01", "2013-01-01"),
        ("list[str]", "[a, b]", ["a", "b"]),
        ("list[str]", "[007, on, 1e5]", ["007", "on", "1e5"]),
        ("list[str]", '["a, b", "\\ud83d\\ude42"]', ["a, b", "🙂"]),
        ("list[int]", "[1, 2]", [1, 2]),
        ("list[int | None]", "[1, None]", [1, None]),
        ("tuple[int, int]", "(1, 2)", (1, 2)),
        ("tuple[int, ...]", "[]", []),
        ("dict[str, float]", "{a: 1, b: 1e-3}", {"a": 1, "b": 1e-3}),
        ("dict[str, float]", '{"a":1}', {"a": 1}),
        ("dict[str, str]", "{a: 1}", {"a": "1"}),
        ("dict[int, str]", "{1: a}", {1: "a"}),
        ("Optimizer", "{copy: x, lr: 1}", {"copy": "x", "lr": 1}),
        ("Any", "3", 3),
        ("Any", "three #3", "three #3"),
    ],
)
def test_a_text_means_what_the_type_asks(
    read: Reader, annotation: str, text: str, expected: object
) -> None:
    signature = read(f"x: {annotation}", HEADER)
    values = parse_assignments(signature, [f"x={text}"])
    assert same(values["x"], expected)
    bind(signature, values)


@given(TEXTS)
def test_any_text_reaches_a_str_parameter_unchanged(read: Reader, text: str) -> None:
    source = "x: str = 'a'"
    signature = read(source)
    binding = bind(signature, parse_assignments(signature, [f"x={text}"]))
    assert run(source, binding.source)["x"] == text


@given(TEXTS, st.sampled_from(["int", "bool", "list[int]", "dict[str, int]", "Family", "date"]))
def test_a_text_is_accepted_or_refused_in_one_line(
    read: Reader, text: str, annotation: str
) -> None:
    signature = read(f"x: {annotation}", HEADER)
    try:
        run("", bind(signature, parse_assignments(signature, [f"x={text}"])).source, HEADER)
    except ParameterError as error:
        assert len(str(error).splitlines()) == 1 and error.hint and error.exit_code == 2


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        ("int", "3"),
        ("int", 3.0),
        ("int", True),
        ("int", None),
        ("float", "0.1"),
        ("bool", 1),
        ("bool", "no"),
        ("str", 3),
        ("Literal['a', 'b']", "c"),
        ("Literal[1]", True),
        ("Literal[1]", "1"),
        ("Family", "FOREST"),
        ("Level", 3),
        ("Sign", 0.25),
        ("Annotated[int, Field(ge=1)]", 0),
        ("Annotated[int | None, Field(ge=1)]", 0),
        ("list[Annotated[float, Field(gt=0)]]", [0.0]),
        ("list[int]", ["1"]),
        ("tuple[int, int]", [1]),
        ("dict[int, str]", {"a": "b"}),
        ("date", "2013-13-01"),
        ("date", 20130101),
        ("dt.datetime", "yesterday"),
        ("Optimizer", {}),
        ("Optimizer", {"copy": "a", "lrate": 1}),
        ("Optimizer", {"copy": "a", "schedule": {"kind": "medium"}}),
        ("int", object()),
        ("list[int]", {1, 2}),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_what_is_expected(
    read: Reader, annotation: str, value: object
) -> None:
    with pytest.raises(InvalidParameter) as caught:
        bind(read(f"x: {annotation}", HEADER), {"x": value})
    error = caught.value
    assert len(str(error).splitlines()) == 1 and "`x`" in error.what and error.exit_code == 2
    assert error.hint.startswith("expected ")


def test_a_near_miss_of_a_choice_is_suggested(read: Reader) -> None:
    with pytest.raises(InvalidParameter, match="did you mean `forest`"):
        bind(read("x: Family", HEADER), {"x": "forrest"})
    with pytest.raises(UnknownParameter, match="did you mean `learning_rate`"):
        parse_assignments(read("learning_rate: float = 0.1"), ["learnin_rate=1"])


def test_a_value_without_a_name_is_refused(read: Reader) -> None:
    with pytest.raises(UsageError, match="write `-p name=value`"):
        parse_assignments(read("x: int = 1"), ["x"])
    with pytest.raises(UnknownParameter):
        parse_assignments(read("x: int = 1"), ["=1"])


def test_a_required_parameter_and_a_required_port_are_missed(read: Reader) -> None:
    with pytest.raises(MissingParameter, match="parameter `x` has no value"):
        bind(read("x: int"), {})
    with pytest.raises(MissingParameter, match="port `x` has no value"):
        bind(read("from mlops_nb import In\nx: In"), {})
    with pytest.raises(InvalidParameter, match="expected a path"):
        bind(read("from mlops_nb import In\nx: In"), {"x": ""})


SECRETS = """
from dataclasses import dataclass
from mlops_nb import Secret
@dataclass
class Login:
    user: str
    password: Secret | None = None
"""


@pytest.mark.parametrize(
    "annotation", ["Secret", "Secret | None", "'Secret'", "int | None | Secret", "str | Secret"]
)
def test_a_secret_given_by_value_travels_in_the_environment_alone(
    read: Reader, annotation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    signature = read(f"token: {annotation}", SECRETS)
    binding = bind(signature, parse_assignments(signature, ["token=hunter2 = #x"]))
    assert binding.environ == {"MLOPS_NB_SECRET_token": "hunter2 = #x"}
    assert "hunter2" not in repr(binding) + repr(binding.values) + binding.source
    assert binding.references == ("env:MLOPS_NB_SECRET_token",)
    monkeypatch.setenv("MLOPS_NB_SECRET_token", "hunter2 = #x")
    token = run("", binding.source, SECRETS)["token"]
    assert token.reveal() == "hunter2 = #x" and "hunter2" not in repr(token) + str(token)


@pytest.mark.parametrize("text", ["null", "None"])
def test_no_secret_can_be_given_where_none_is_allowed(read: Reader, text: str) -> None:
    signature = read("token: Secret | None", SECRETS)
    binding = bind(signature, parse_assignments(signature, [f"token={text}"]))
    assert binding.values == {"token": None} and not binding.environ
    assert run("", binding.source, SECRETS)["token"] is None


@pytest.mark.parametrize("annotation", ["Secret", "Secret | int"])
def test_a_secret_may_be_the_word_null(read: Reader, annotation: str) -> None:
    signature = read(f"token: {annotation}", SECRETS)
    binding = bind(signature, parse_assignments(signature, ["token=null"]))
    assert list(binding.environ.values()) == ["null"]


def test_secrets_whose_names_differ_in_case_alone_keep_their_values(read: Reader) -> None:
    signature = read("a: Secret\nA: Secret", SECRETS)
    binding = bind(signature, {"a": "small-1", "A": "capital-2"})
    places = {name: str(value).removeprefix("env:") for name, value in binding.values.items()}
    assert {name: binding.environ[place] for name, place in places.items()} == {
        "a": "small-1",
        "A": "capital-2",
    }


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        ("list[Secret]", "[env:A, file:b]", ["env:A", "file:b"]),
        ("dict[str, Secret]", "{x: env:A}", {"x": "env:A"}),
        ("Login", "{user: u, password: env:A}", {"user": "u", "password": "env:A"}),
        ("list[Secret] | None", "null", None),
    ],
)
def test_a_text_with_secrets_inside_is_read_like_any_other(
    read: Reader, annotation: str, text: str, value: object
) -> None:
    signature = read(f"x: {annotation}", SECRETS)
    values = parse_assignments(signature, [f"x={text}"])
    assert values == {"x": value}
    binding = bind(signature, values)
    assert not binding.environ
    run("", binding.source, SECRETS)


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        ("list[Secret]", "31415926"),
        ("list[Secret]", "[31415926]"),
        ("list[Secret] | None", "pw-31415926"),
        ("dict[str, Secret]", "pw-31415926"),
        ("Login", "pw-31415926"),
        ("Login", "{user: u, password: pw-31415926}"),
    ],
)
def test_a_text_in_the_place_of_secrets_is_refused_and_not_repeated(
    read: Reader, annotation: str, text: str
) -> None:
    signature = read(f"x: {annotation}", SECRETS)
    with pytest.raises(InvalidParameter, match=r"\*\*\*") as caught:
        bind(signature, parse_assignments(signature, [f"x={text}"]))
    assert "31415926" not in str(caught.value) + repr(vars(caught.value))


@pytest.mark.parametrize(
    ("annotation", "value", "references"),
    [
        ("list[Secret]", ["env:A", "file:b"], ("env:A", "file:b")),
        ("dict[str, Secret]", {"x": "env:A"}, ("env:A",)),
        ("Login", {"user": "u", "password": "env:A"}, ("env:A",)),
        ("tuple[Login, ...]", [{"user": "u", "password": "env:A"}], ("env:A",)),
    ],
)
def test_secrets_inside_a_value_are_references(
    read: Reader, annotation: str, value: object, references: tuple[str, ...]
) -> None:
    signature = read(f"x: {annotation}", SECRETS)
    binding = bind(signature, {"x": value})
    assert binding.references == references
    run("", binding.source, SECRETS)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        ("Secret", 31415926),
        ("Secret", ["31415926"]),
        ("list[Secret]", ["31415926"]),
        ("dict[str, Secret]", {"x": "31415926"}),
        ("Login", {"user": "u", "password": "31415926"}),
        ("Login", {"usr": "u", "password": "31415926"}),
    ],
)
def test_a_refused_secret_is_not_repeated(read: Reader, annotation: str, value: object) -> None:
    with pytest.raises(InvalidParameter) as caught:
        bind(read(f"x: {annotation}", SECRETS), {"x": value})
    shown = str(caught.value) + repr(caught.value) + repr(vars(caught.value))
    assert "31415926" not in shown


@pytest.mark.parametrize(
    "text", ["[" * 200_000, "[" * 600 + "]" * 600, '{"a":' * 150 + "1" + "}" * 150]
)
def test_a_value_that_is_nested_too_deeply_is_a_text(read: Reader, text: str) -> None:
    signature = read("rows: list[int] = []\nname: str = ''\nany = None")
    given = parse_assignments(signature, [f"rows={text}"])
    with pytest.raises(InvalidParameter):
        bind(signature, given)
    assert parse_assignments(signature, [f"name={text}"]) == {"name": text}
    assert parse_untyped([f"name={text}"]) == {"name": text}
