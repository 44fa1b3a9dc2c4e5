"""An imprint changes with what can be reached, and with nothing else."""

from __future__ import annotations

import functools
import logging
import random
import re
import threading
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.notebook.imprint import imprint, module_imprints
from mlops_nb.runs import recorder

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=8,
)


@given(plain, plain)
def test_equal_imprints_are_of_equal_values(one: object, other: object) -> None:
    if imprint(one) == imprint(other):
        assert repr(one) == repr(other)
    assert imprint(one) == imprint(one)


class Kept:
    def __init__(self) -> None:
        self.seen: list[int] = []


@functools.cache
def cached(number: int) -> int:
    return number


def test_what_has_no_effect_does_not_count() -> None:
    logger, lock = logging.getLogger("some"), threading.Lock()
    values = [logger, lock, cached, re.compile("a"), Path("a/b")]
    before = imprint(values, __name__)
    logger.isEnabledFor(10)
    lock.acquire()
    cached(1)
    hash(values[-1])
    assert imprint(values, __name__) == before


@pytest.mark.parametrize(
    ("value", "change"),
    [
        (Kept(), lambda kept: kept.seen.append(1)),
        (Counter("a"), lambda counter: counter.update("b")),
        (OrderedDict(a=1), lambda found: found.update(b=2)),
        (np.zeros(3), lambda array: array.fill(1)),
        (random.Random(1), lambda chance: chance.random()),
        ({1, 2}, lambda numbers: numbers.add(3)),
    ],
)
def test_a_change_is_seen(value: Any, change: Any) -> None:
    before = imprint(value)
    change(value)
    assert imprint(value) != before


def test_who_shares_with_whom_counts_and_rings_end() -> None:
    one: list[object] = []
    assert imprint([one, one]) != imprint([[], []])
    one.append(one)
    assert imprint(one) == imprint(one)


def test_functions_and_classes_of_the_module_count_by_what_they_hold() -> None:
    def remember(what: int, so_far: list[int] = []) -> None:  # noqa: B006
        so_far.append(what)

    before = imprint(remember, __name__), imprint(remember, "elsewhere")
    remember(1)
    assert imprint(remember, __name__) != before[0] and imprint(remember, "elsewhere") == before[1]


def test_what_is_too_much_to_compare_says_so() -> None:
    assert imprint([[n] for n in range(300_000)]).startswith("?")


def test_that_an_object_was_pickled_does_not_change_its_class() -> None:
    class Plain:
        pass

    before = imprint(Plain, __name__)
    Plain().__reduce_ex__(4)
    assert "__slotnames__" in vars(Plain) and imprint(Plain, __name__) == before


def test_a_module_that_can_save_its_state_is_not_compared() -> None:
    assert module_imprints("mlops_nb.notebook.imprint")
    assert module_imprints(recorder.__name__) == {}
