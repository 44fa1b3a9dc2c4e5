"""What several people say about a run comes to the same for all of them in the end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.errors import RecordError
from mlops_nb.runs.annotations import Annotations, annotations_from_json, dated, merged
from mlops_nb.runs.run import Run, new_id
from mlops_nb.runs.store import Store

TIMES = [f"2013-01-01T05:15:00.00{digit}+00:00" for digit in range(4)]
LAST = "9999-12-31T23:59:59.999+00:00"
TAGS = ["a", "b", "name"]
KEYS = ["name", "note", "hypothesis", "starred", *(f"tag {tag}" for tag in TAGS)]
SAID = st.builds(
    Annotations,
    name=st.sampled_from(["", "a", "b"]),
    tags=st.frozensets(st.sampled_from(TAGS)),
    note=st.sampled_from(["", "a", "b"]),
    hypothesis=st.sampled_from(["", "a"]),
    starred=st.booleans(),
    times=st.dictionaries(st.sampled_from(KEYS), st.sampled_from([*TIMES, LAST])),
)


def told(one: Annotations, other: Annotations) -> dict[str, Any]:
    """Return what both say, with the times."""
    return merged(one, other).to_json()


@given(SAID, SAID)
def test_who_hears_whom_makes_no_difference(one: Annotations, other: Annotations) -> None:
    assert told(one, other) == told(other, one)


@given(SAID, SAID, SAID)
def test_the_order_in_which_things_are_heard_makes_no_difference(
    one: Annotations, two: Annotations, three: Annotations
) -> None:
    assert told(merged(one, two), three) == told(one, merged(two, three))


@given(SAID, SAID)
def test_to_hear_something_again_changes_nothing(one: Annotations, other: Annotations) -> None:
    assert told(one, one) == one.to_json()
    assert told(merged(one, other), other) == told(one, other)


@given(SAID, SAID, st.sampled_from(TIMES))
def test_what_is_changed_after_it_was_seen_wins_whatever_the_clock_says(
    seen: Annotations, wanted: Annotations, now: str
) -> None:
    changed = dated(seen, wanted, now)
    if LAST not in seen.times.values():
        assert merged(seen, changed) == merged(changed, seen) == changed == wanted


@given(SAID)
def test_times_are_read_as_they_were_written(said: Annotations) -> None:
    document = said.to_json()
    document["times"] = document["times"] | {"mood": "of a later version"}
    assert annotations_from_json(document, "annotations.json").to_json() == said.to_json()


def test_what_was_taken_away_does_not_come_back_from_somebody_who_has_not_heard_of_it() -> None:
    first = dated(Annotations(), Annotations("x", frozenset({"a"}), "why"), TIMES[0])
    less = dated(first, Annotations(), TIMES[2])
    other = dated(first, replace(first, tags=first.tags | {"b"}), TIMES[3])
    assert merged(less, other) == merged(other, less) == Annotations(tags=frozenset({"b"}))
    again = dated(less, replace(less, tags=frozenset({"a"})), TIMES[3])
    assert merged(again, first).tags == {"a"}


def test_that_a_run_was_removed_is_said_by_each_for_himself() -> None:
    removed = Annotations(removed=TIMES[0])
    assert merged(removed, Annotations()) == removed
    assert merged(Annotations(), removed) == Annotations()


def test_the_store_notes_when_something_was_said_and_takes_over_what_others_said(
    tmp_path: Path,
) -> None:
    store, run = Store(tmp_path), Run(new_id(), TIMES[0], "ok", finished=TIMES[0])
    store.add(run)
    store.annotate(run.id, lambda said: replace(said, name="ours"))
    old = dated(Annotations(), Annotations("theirs", note="theirs"), TIMES[1])
    said = store.hear(run.id, old)
    assert said == store.annotations(run.id) == Annotations("ours", note="theirs")
    assert said.times["note"] == TIMES[1] < said.times["name"]


@pytest.mark.parametrize(
    "times",
    [3, [], {"name": "now"}, {"tag a": "2013-99-01T05:15:00.000+00:00"}, {"note": None}],
)
def test_times_that_are_none_are_refused(times: object) -> None:
    with pytest.raises(RecordError, match=r"^x/annotations.json: `times`") as caught:
        annotations_from_json({"times": times}, "x/annotations.json")
    assert "\n" not in str(caught.value)


def test_times_of_what_can_be_no_tag_are_left_out() -> None:
    document = {"times": {f"tag {'x' * 201}": TIMES[0], "tag a": TIMES[0]}}
    assert annotations_from_json(document, "here").times == {"tag a": TIMES[0]}
