"""What a person types is a condition or one line, and is the same in Python and in SQL."""

from __future__ import annotations

import math
import sqlite3
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.core.states import STATES
from mlops_nb.errors import UsageError
from mlops_nb.runs.columns import chosen_columns, column_meant, in_order
from mlops_nb.runs.expression import Column, Compare, Every, Not, Present, matches
from mlops_nb.runs.order import SortKey, parse_sort, sorted_rows
from mlops_nb.runs.query import parse
from mlops_nb.runs.row import BROKEN, BUILT_IN, Kind, Row, Value, from_cell, kind_of, tidy, to_cell
from mlops_nb.runs.sql import condition, order

KINDS: tuple[Kind, ...] = ("number", "text", "truth value", "list")
COLUMNS: dict[str, frozenset[Kind]] = {
    **{name: frozenset({kind}) for name, kind in BUILT_IN.items()},
    "params.train.family": frozenset({"text"}),
    "params.train.seed": frozenset({"number"}),
    "params.train.balanced": frozenset({"truth value"}),
    "params.train.features": frozenset({"number", "text"}),
    "params.train.layers": frozenset({"list"}),
    "params.train.max-depth": frozenset({"number"}),
    "metrics.train.loss": frozenset({"number"}),
    "metrics.evaluate.loss": frozenset({"number"}),
    "metrics.evaluate.auc": frozenset({"number"}),
    "metrics.evaluate.by_month.01": frozenset({"number"}),
    "config.model.seed": frozenset({"number"}),
}
ROW: Row = {
    "id": "a",
    "state": "ok",
    "starred": True,
    "tags": ["baseline", "x"],
    "note": "worse than before",
    "params.train.family": "mlp",
    "params.train.seed": 3,
    "params.train.balanced": False,
    "params.train.features": "sqrt",
    "params.train.layers": [64, 32],
    "params.train.max-depth": 4,
    "metrics.evaluate.auc": 0.9,
    "metrics.evaluate.by_month.01": 0.5,
}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "metrics.evaluate.auc > 0.8",
        "auc > 0.8 and evaluate.auc < 1",
        "0.8 < auc <= 0.9",
        "0.9 == auc != 0.8",
        "seed == 3.0",
        "seed > -1",
        'state == "ok" and not family == "forest"',
        '"baseline" in tags and "y" not in tags',
        'family in ["mlp", "forest"]',
        'family not in ["forest"]',
        "64 in layers and 3 not in layers",
        "layers == [64, 32]",
        "layers != [64]",
        '"than" in note',
        "starred and not balanced",
        "balanced == false",
        "balanced != True",
        "train.loss is None and auc is not None",
        "train.loss == None",
        "not train.loss > 3",
        "features == 'sqrt' and features != 3",
        "not features < 3",
        'params["train"]["max-depth"] == 4',
        'metrics.evaluate.by_month["01"] == 0.5',
        "train['seed'] in (3, 4)",
        "seed < max_depth or true",
        'params.train.seed < params.train["max-depth"]',
        "id\n==\n'a'",
    ],
)
def test_conditions_that_hold(text: str) -> None:
    columns = COLUMNS | {"max_depth": frozenset({"number"})}
    assert matches(parse(text, columns), ROW)


@pytest.mark.parametrize(
    "text",
    [
        "train.loss > 0",
        "train.loss <= 0",
        "train.loss != 0",
        "not auc > 0.8",
        "auc is None",
        "features < 3",
        '"z" in tags',
        "false",
        "family in []",
        "train.loss not in [3]",
    ],
)
def test_conditions_that_do_not_hold(text: str) -> None:
    assert not matches(parse(text, COLUMNS), ROW)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("acu > 0.8", "no run has a value `acu`; did you mean `metrics.evaluate.auc`?"),
        (
            "loss > 1",
            "`loss` could be `metrics.evaluate.loss`, `metrics.train.loss`; write one of them,",
        ),
        (
            'auc > "high"',
            '`metrics.evaluate.auc` is a number and "high" is a text; compare like with like',
        ),
        ("3 == family", "`params.train.family` is a text and 3 is a number"),
        ("balanced == 1", "`params.train.balanced` is a truth value and 1 is a number"),
        ("family in ['a', 3]", "`params.train.family` is a text and 3 is a number"),
        ("seed == family", "`params.train.seed` is a number and family is a text"),
        ("balanced > false", "a truth value has no order; use `==`"),
        ("layers < [1]", "a list has no order"),
        ("auc > None", "None has no order; write `is None`"),
        ("auc is 3", "`is` asks for None alone; write `==`"),
        ("auc is seed", "`is` asks for None alone"),
        ("auc", "`metrics.evaluate.auc` is a number, not a truth value; compare it"),
        ("'a'", "'a' is not a condition"),
        ("1 < 2", "no column is compared"),
        ("3 in auc", "`metrics.evaluate.auc` is a number, not a list"),
        ("name in tags", "`in` needs a column and a constant or a list"),
        ("family in 'mlp'", "`in` needs a column and a constant or a list"),
        ("auc in [[1]]", "a list holds numbers, texts and truth values"),
        ("auc in [None]", "a list holds numbers, texts and truth values"),
        ("auc in [x for x in y]", "is not allowed here"),
        ("open('x') == 1", "open('x') is not allowed here; use names and constants"),
        ("auc + 1 > 2", "auc + 1 is not allowed here"),
        ("-auc > 2", "-auc is not allowed here"),
        ("auc > 1j", "1j is not allowed here"),
        ("id == b'a'", "b'a' is not allowed here"),
        ("f'{auc}' == id", "is not allowed here"),
        ("(lambda: 1) == 1", "is not allowed here"),
        ("(auc := 1) == 1", "is not allowed here"),
        ("auc[1:2] == 1", "is not the name of a column"),
        ("open('x').y == 1", "is not the name of a column"),
        ("auc >", "character 5: nothing follows `>`; an example: "),
        ("auc = 1", "character 5: `=` is no operator here; did you mean `auc == 1`?"),
        ("params.train.lambda > 1", "a name with other characters is written params.train["),
        ("auc > 1; import os", "there is no operator before `os`"),
        ("(" * 5000 + ")" * 5000, "filter"),
        ("not " * 21 + "starred", "too deeply nested"),
        ("-" * 9000 + "1 < auc", "filter"),
        ("starred or " * 300 + "starred", "too many conditions"),
        ("a\0b", "filter"),
        ("x" * 30_000, "the filter has 30000 characters"),
        ("train.family == forest", "character 17: no run has a value `forest`; a text"),
        ("train.family in [mlp, forest]", "a text stands in quotes: 'mlp'"),
        ("train.family == 'forest", "character 17: the quote ' is not closed"),
        ("(auc > 1 or (auc < 0)", "character 1: `(` is not closed; write `)` where it ends"),
        ("auc > 1)", "character 8: `)` closes nothing"),
        ("auc > 1 && auc < 2", "did you mean `auc > 1 and auc < 2`?"),
        ("auc => 1", "did you mean `auc >= 1`?"),
        ("name == 'a=b' AND auc <> 1", "did you mean `name == 'a=b' and auc <> 1`?"),
        ("auc > 0,7", "a comma is no operator; write `and`, or `0.7` with a point"),
        ("tags has 'x'", "no operator before `has`; what a text or a list has: 'a' in tags"),
        ("train.sed == 1", "character 1: no run has a value `train.sed`; did you mean"),
        ("auc > 1 and", "character 9: nothing follows `and`"),
        ("tok > 10", "did you mean `took`?"),
        ("state == 'okay'", "character 10: no run has the state 'okay'; did you mean `ok`?"),
        ("'ERROR' != state", "character 1: no run has the state 'ERROR'; did you mean `error`?"),
        ("state in ['ok', 'killed']", "no run has the state 'killed'; did you mean `killed:"),
        ("state == 'finished'", "known: broken, cancelled, error, killed:oom, killed:signal, ok"),
    ],
)
def test_a_filter_that_cannot_mean_anything_is_one_line(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text, COLUMNS)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_the_place_of_a_mistake_is_counted_in_characters() -> None:
    with pytest.raises(UsageError, match=r"^filter, character 19:"):
        parse("name == 'äöü' and auc > 'a'", COLUMNS)


WORDS = st.sampled_from(
    "auc seed family tags state starred loss nothing params.train . [ ] ( ) , and or not in is "
    "== != < >= None true 3 0.5 'a' \"x\" - + * lambda if else : = \\ # \n \x00 é 9e999 0x".split(
        " "
    )
)


@given(st.text(max_size=30) | st.lists(WORDS, max_size=12).map(" ".join))
def test_any_text_is_a_condition_or_one_line(text: str) -> None:
    try:
        expression = parse(text, COLUMNS)
    except UsageError as error:
        assert "\n" not in str(error)
    else:
        assert matches(expression, ROW) in (True, False)


# Every row may have a value of any kind anywhere: SQL must not compare what Python would not.
NAMES = ("a", "b", "c")
TEXTS = st.sampled_from(["", "a", "ab", "b", "1", "é", "\n1\n", "true", "nan", "a\x00b", "'"])
NUMBERS = st.sampled_from([0, 1, -1, 0.5, 1.0, math.inf, -math.inf, math.nan, 2**53 + 1, 2.0**53])
SCALARS = TEXTS | NUMBERS | st.booleans()
VALUES: st.SearchStrategy[Any] = SCALARS | st.lists(SCALARS, max_size=3)
ROWS = st.lists(st.dictionaries(st.sampled_from(NAMES), VALUES), max_size=6).map(
    lambda rows: [{**row, "id": f"{number}"} for number, row in enumerate(rows)]
)
CONSTANTS = st.one_of(
    TEXTS,
    NUMBERS.filter(math.isfinite),
    st.booleans(),
    st.none(),
    st.lists(TEXTS | NUMBERS.filter(math.isfinite) | st.booleans(), max_size=3),
).map(repr)
OPERANDS = st.sampled_from(NAMES) | CONSTANTS
COMPARISONS = st.tuples(
    OPERANDS,
    st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "not in", "is", "is not"]),
    OPERANDS,
).map(" ".join)
FILTERS = st.recursive(
    COMPARISONS | st.sampled_from(NAMES),
    lambda inner: st.one_of(
        inner.map("not ({})".format),
        st.tuples(inner, st.sampled_from([" and ", " or "]), inner).map(
            "({0[0]}){0[1]}({0[2]})".format
        ),
    ),
    max_leaves=4,
)
EVERYTHING: dict[str, frozenset[Kind]] = {name: frozenset(KINDS) for name in (*NAMES, "id")}


def table_of(rows: list[dict[str, Value]]) -> sqlite3.Connection:
    """Return `rows` in a table of SQLite."""
    table = sqlite3.connect(":memory:")
    table.execute("CREATE TABLE runs (id, a, b, c)")
    cells = [[to_cell(row.get(name)) for name in ("id", *NAMES)] for row in rows]
    table.executemany("INSERT INTO runs VALUES (?, ?, ?, ?)", cells)
    return table


@given(ROWS, FILTERS)
def test_sql_finds_what_python_finds(rows: list[dict[str, Value]], text: str) -> None:
    try:
        expression = parse(text, EVERYTHING)
    except UsageError:
        return
    sql, values = condition(expression, str)
    found = table_of(rows).execute(f"SELECT id FROM runs WHERE {sql}", values)
    assert [name for (name,) in found] == [row["id"] for row in rows if matches(expression, row)]
    every = table_of(rows).execute(f"SELECT DISTINCT {sql} FROM runs", values)
    assert {truth for (truth,) in every} <= {0, 1}


@given(ROWS, st.lists(st.builds(SortKey, st.sampled_from(NAMES), st.booleans()), max_size=3))
def test_sql_sorts_as_python_does(rows: list[dict[str, Value]], keys: list[SortKey]) -> None:
    found = table_of(rows).execute(f"SELECT id FROM runs ORDER BY {order(keys, str)}")
    assert [name for (name,) in found] == [row["id"] for row in sorted_rows(rows, keys)]


@given(VALUES)
def test_a_value_comes_back_from_its_cell(value: Value) -> None:
    back = from_cell(to_cell(value))
    assert to_cell(back) == to_cell(value)
    assert kind_of(back) == kind_of(value)


def test_what_an_index_cannot_hold_is_made_to_fit() -> None:
    assert tidy(2**64) == 2.0**64 and tidy(-(10**400)) == -math.inf and tidy("\ud800é") == "?é"
    assert tidy(("a", [2**64])) == ["a", [2.0**64]]


def test_the_largest_filter_is_one_that_sqlite_can_read() -> None:
    for text in (
        "not " * 18 + "0 < a < b",
        "(a < 1 and " * 9 + "(a < 1 or " * 9 + "0 < a < b" + ")" * 18,
        " or ".join(["0 < a < 1"] * 60),
        "a in [" + "1," * 5000 + "]",
    ):
        sql, values = condition(parse(text, EVERYTHING), str)
        table_of([{"id": "0", "a": 1}]).execute(f"SELECT id FROM runs WHERE {sql}", values)


def test_an_expression_is_made_of_few_things() -> None:
    auc = Column("metrics.evaluate.auc")
    assert parse("0.5 < auc", COLUMNS) == Compare(auc, ">", 0.5)
    assert parse("auc is None", COLUMNS) == Not(Present(auc))
    assert parse(" \n", COLUMNS) == Every()


@pytest.mark.parametrize(
    ("patterns", "chosen"),
    [
        (["id", "auc"], ["id", "metrics.evaluate.auc"]),
        (["auc", "id", "auc"], ["metrics.evaluate.auc", "id"]),
        (["*.loss"], ["metrics.evaluate.loss", "metrics.train.loss"]),
        (["metrics.*", "-*.loss", "-by_month.01"], ["metrics.evaluate.auc"]),
        (["config.*"], ["config.model.seed"]),
        (["*seed"], ["params.train.seed"]),
        (["nothing.*"], []),
    ],
)
def test_patterns_choose_columns(patterns: list[str], chosen: list[str]) -> None:
    assert chosen_columns(patterns, COLUMNS) == chosen


def test_without_a_pattern_all_columns_but_the_config_are_shown_in_order() -> None:
    names = [name for name in in_order(COLUMNS) if not name.startswith("config.")]
    assert chosen_columns([], COLUMNS) == names
    assert chosen_columns(["-id"], COLUMNS) == names[1:]
    assert names[0] == "id" and names[-1] == "metrics.train.loss"
    with pytest.raises(UsageError, match="could be"):
        chosen_columns(["loss"], COLUMNS)


def test_a_short_name_that_is_no_name_lists_some() -> None:
    with pytest.raises(UsageError, match="there are no runs yet"):
        column_meant("auc", {})
    with pytest.raises(UsageError, match=r"there are `branch`, .* and 29 more"):
        column_meant("zzzzzz", COLUMNS)


def test_a_shortened_name_is_compared_with_what_it_may_have_been_short_for() -> None:
    names = ("evaluate.validation.roc_auc", "evaluate.future.roc_auc", "features.rows.validation")
    columns = {**COLUMNS, **{f"metrics.{name}": frozenset[Kind]({"number"}) for name in names}}
    for text, meant in {
        "validation.roc_acu": "validation.roc_auc",
        "evaluate.validatoin.roc_auc": "evaluate.validation.roc_auc",
        "row.validation": "rows.validation",
        "roc_acu": "roc_auc",
    }.items():
        with pytest.raises(UsageError, match=f"did you mean `{meant}`"):
            column_meant(text, columns)


def test_a_heading_of_the_table_is_a_name_of_its_column() -> None:
    assert column_meant("took", COLUMNS) == "wall_seconds"
    assert parse("took > 10", COLUMNS) == parse("wall_seconds > 10", COLUMNS)
    assert parse_sort("-took,when", COLUMNS) == parse_sort("-wall_seconds,started", COLUMNS)
    assert chosen_columns(["when", "-when", "until"], COLUMNS) == ["finished"]
    with pytest.raises(UsageError, match=r"could be `metrics.fit.took`, `wall_seconds`"):
        column_meant("took", {**COLUMNS, "metrics.fit.took": frozenset({"number"})})


@pytest.mark.parametrize("state", [*sorted(STATES), BROKEN])
def test_each_state_of_a_run_can_be_asked_for(state: str) -> None:
    assert matches(parse(f"state == '{state}'", COLUMNS), {"state": state})
    assert not matches(parse(f"state not in ['{state}']", COLUMNS), {"state": state})


def test_a_part_of_a_state_can_be_asked_for() -> None:
    assert matches(parse("'kill' in state", COLUMNS), {"state": "killed:oom"})


def test_an_order_is_read_by_short_names() -> None:
    keys = parse_sort("-auc, +seed,,started", COLUMNS)
    assert keys == (
        SortKey("metrics.evaluate.auc", descending=True),
        SortKey("params.train.seed"),
        SortKey("started"),
    )
    with pytest.raises(UsageError, match="did you mean `started`"):
        parse_sort("startd", COLUMNS)
    with pytest.raises(UsageError, match="21 columns"):
        parse_sort("id," * 21, COLUMNS)
