"""A record is read as it was written, and what is wrong with one is said in a line."""

from __future__ import annotations

import dataclasses
import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.core.canonical import canonical_json
from mlops_nb.core.states import STATES
from mlops_nb.errors import RecordError, UsageError
from mlops_nb.runs.annotations import Annotations, annotations_from_json
from mlops_nb.runs.run import Run, is_id, new_id, run_from_json, short_id

TIME = "2013-01-01T05:15:00.000+00:00"
RUN = Run(id="20130101T051500.000-3f9a2c1e", started=TIME)
TEXT = st.text(max_size=6)
PLAIN = st.none() | st.booleans() | st.integers() | TEXT
JSON: st.SearchStrategy[Any] = st.recursive(
    PLAIN | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
FREE = st.dictionaries(TEXT, JSON, max_size=2)
NESTED = st.dictionaries(TEXT, FREE, max_size=2)
FIGURES = st.dictionaries(TEXT, st.dictionaries(TEXT, st.floats() | st.integers() | st.booleans()))
TEXTS = st.lists(TEXT, max_size=2).map(tuple)
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))
RUNS = st.builds(
    Run,
    id=MOMENTS.map(new_id),
    started=st.just(TIME),
    state=st.sampled_from(sorted(STATES)),
    finished=st.none() | st.just(TIME),
    wall_seconds=st.none() | st.floats(0, 1e9),
    origin=FREE.map(lambda free: free | {"kind": "sweep"}),
    who=FREE,
    host=TEXT,
    command=TEXTS,
    overrides=TEXTS,
    config=FREE,
    params=NESTED,
    metrics=FIGURES,
    series=FIGURES,
    stages=NESTED.map(lambda all: {name: one | {"state": "ok"} for name, one in all.items()}),
    artifacts=NESTED,
    code=FREE,
    data=st.dictionaries(TEXT, TEXT, max_size=2),
    environment=FREE,
    resources=FREE,
    more=st.dictionaries(st.sampled_from(["carbon", "cluster"]), JSON),
    version=st.integers(1, 3),
)


@given(RUNS)
def test_a_record_is_read_as_it_was_written(run: Run) -> None:
    document = json.loads(canonical_json(run.to_json()))
    read = run_from_json(document, "run.json")
    for field in dataclasses.fields(Run):
        mine, other = getattr(run, field.name), getattr(read, field.name)
        if field.name in ("metrics", "series"):  # `nan` is not equal to itself
            mine, other = (json.dumps(value, sort_keys=True) for value in (mine, other))
        assert mine == other, field.name
    assert canonical_json(read.to_json()) == canonical_json(run.to_json())


def test_numbers_that_json_lacks_come_back_as_numbers_among_figures_alone() -> None:
    figures = {"train": {"loss": math.nan, "best": -math.inf, "curve": [math.inf, 1.0]}}
    run = dataclasses.replace(RUN, metrics=figures, series=figures, params={"train": {"c": "nan"}})
    read = run_from_json(json.loads(canonical_json(run.to_json())), "run.json")
    assert math.isnan(read.metrics["train"]["loss"]) and math.isnan(read.series["train"]["loss"])
    assert read.metrics["train"]["best"] == -math.inf
    assert read.metrics["train"]["curve"] == [math.inf, 1.0]
    assert read.params["train"]["c"] == "nan"


def test_a_parameter_that_json_lacks_is_recorded_as_a_text() -> None:
    run = dataclasses.replace(RUN, params={"train": {"limit": math.inf}}, config={"c": math.nan})
    document = run.to_json()
    assert document["params"] == {"train": {"limit": "inf"}} and document["config"] == {"c": "nan"}


def test_what_a_later_version_adds_survives() -> None:
    later = RUN.to_json() | {"version": 2, "carbon": {"grams": 3.5}}
    read = run_from_json(later, "run.json")
    assert read.more == {"carbon": {"grams": 3.5}} and read.version == 2
    assert read.to_json() == later


@pytest.mark.parametrize("key", ["version", "id", "started", "state", "origin"])
def test_a_record_without_a_required_key_names_file_and_key(key: str) -> None:
    document = RUN.to_json()
    del document[key]
    with pytest.raises(RecordError) as caught:
        run_from_json(document, "runs/x/run.json")
    assert str(caught.value).startswith(f"runs/x/run.json: no key `{key}`")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", 0),
        ("version", True),
        ("id", "../../etc"),
        ("started", "yesterday\n"),
        ("state", "lost"),
        ("state", []),
        ("finished", 3),
        ("wall_seconds", True),
        ("origin", {}),
        ("who", []),
        ("host", None),
        ("command", "mlops-nb run"),
        ("overrides", [1]),
        ("params", {"train": 3}),
        ("metrics", [1]),
        ("series", {"train": None}),
        ("stages", {"train": {}}),
        ("stages", {"train": {"state": "lost"}}),
        ("artifacts", {"a.csv": "md5"}),
        ("data", {"a.csv": 1}),
        ("code", None),
    ],
)
def test_a_value_of_the_wrong_type_names_file_and_key(key: str, value: object) -> None:
    with pytest.raises(RecordError) as caught:
        run_from_json(RUN.to_json() | {key: value}, "runs/x/run.json")
    assert str(caught.value).startswith(f"runs/x/run.json: key `{key}` is ")
    assert "\n" not in str(caught.value)


@given(JSON)
def test_any_document_is_a_record_or_one_line(document: object) -> None:
    for candidate in (document, RUN.to_json() | (document if isinstance(document, dict) else {})):
        try:
            run_from_json(candidate, "run.json")
        except UsageError as error:
            assert "\n" not in str(error)


def test_a_record_that_nobody_could_read_is_not_written() -> None:
    with pytest.raises(RecordError, match=r"run 2013.*`overrides`"):
        dataclasses.replace(RUN, overrides="train=mlp").to_json()


def test_ids_sort_by_time_and_differ_within_a_millisecond() -> None:
    moment = datetime(2026, 11, 26, 16, 6, 59, 123456, tzinfo=UTC)
    ids = {new_id(moment) for _ in range(100)}
    assert len(ids) == 100 and all(map(is_id, ids))
    assert {one.partition("-")[0] for one in ids} == {"20261126T160659.123"}
    assert max(ids) < new_id(moment.replace(microsecond=124000))
    assert short_id("20261126T160659.123-3f9a2c1e") == "3f9a2c1e"


@pytest.mark.parametrize(
    "text", ["", "..", "/etc", "20261126T160659.123-3F9A2C1E", "20261126T160659.123-3f9a2c1e\n"]
)
def test_what_has_not_the_form_is_no_id(text: str) -> None:
    assert not is_id(text)


ANNOTATIONS = st.builds(
    Annotations,
    name=st.text("ab é-", max_size=5),
    tags=st.frozensets(st.sampled_from(["a", "b b", "ü"])),
    note=st.text("ab\n\t", max_size=5),
    hypothesis=st.text("ab\n", max_size=5),
    starred=st.booleans(),
    removed=st.sampled_from(["", TIME]),
)


@given(ANNOTATIONS)
def test_annotations_are_read_as_they_were_written(said: Annotations) -> None:
    document = json.loads(canonical_json(said.to_json()))
    assert annotations_from_json(document | {"mood": 1}, "annotations.json") == said


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": "a\nb"}, r"the name has '\\n' as its character 2"),
        ({"name": "\x1b[2J"}, "the name has '.x1b' as its character 1"),
        ({"name": "\u2028"}, "the name has"),
        ({"name": "\ud800"}, "the name has"),
        ({"name": "n" * 201}, "the name has 201 characters"),
        ({"name": 3}, "the name is a int"),
        ({"tags": ["a\tb"]}, "a tag has"),
        ({"tags": [""]}, "a tag is empty"),
        ({"tags": "forest"}, "`tags` is 'forest'"),
        ({"tags": [["a"]]}, "unhashable"),
        ({"note": "\x07"}, "the note has"),
        ({"starred": 1}, "`starred` is 1"),
        ({"removed": "now"}, "`removed` is 'now'"),
    ],
)
def test_annotations_that_would_break_a_table_are_refused(wrong: Any, said: str) -> None:
    with pytest.raises(RecordError, match=said) as caught:
        annotations_from_json(wrong, "x/annotations.json")
    assert "\n" not in str(caught.value) and str(caught.value).startswith("x/annotations.json: ")
