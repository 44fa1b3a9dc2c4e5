"""Entries of DVC's run-cache: their form, and the name that DVC gives them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from dvc.stage.cache import _get_cache_hash
from dvc.utils.serialize import dumps_yaml
from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.errors import RecordError
from mlops_nb.sweep.homecoming import bring_entries
from mlops_nb.sweep.needs import usable
from mlops_nb.sweep.run_cache import entry_from, entry_name, is_entry, outs_of
from mlops_nb.sweep.transport import Depot


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"[]", b"cmd: {}", b"deps: []", b"cmd: x\nouts: [1]", b"cmd: x\nparams: 1",
     b"cmd: x\nouts: [{md5: 1}]", b"a: &a [*a]", b"cmd: x\nparams: {p: &a {b: *a}}",
     b"cmd: x\nd: [&a0 [1]" + b"".join(b", &a%d [*a%d, *a%d]" % (n, n - 1, n - 1)
                                     for n in range(1, 40)) + b"]",
     b"x" * (2**20 + 1)],
)  # fmt: skip
def test_what_is_no_entry_is_refused(content: bytes) -> None:
    with pytest.raises(RecordError, match="no entry of a run-cache"):
        entry_from(content, "here")


def test_what_dvc_cannot_have_written_has_no_name() -> None:
    with pytest.raises(RecordError, match="not the one of that name"):
        entry_from(b"cmd: x\nparams: {p: {b: !!binary aGk=}}", "here")


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(documents, documents, documents)
def test_whatever_passes_for_an_entry_can_be_asked(deps: Any, outs: Any, params: Any) -> None:
    document = {"cmd": "x", "deps": deps, "outs": outs, "params": params}
    if is_entry(document):
        assert outs_of(document) == [] or all("/" in name for name in outs_of(document))
        usable([document], {}, {})
        assert entry_name(document)


values = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("aeu-:.1ä ", max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["size", "nfiles", "rate", "a.b"]), inner, min_size=1, max_size=3
        )
    ),
    max_leaves=6,
)
digests = st.text("0123456789abcdef", min_size=32, max_size=32)
files = st.fixed_dictionaries(
    {"path": st.text("ab/.ü ", min_size=1, max_size=9), "hash": st.just("md5"), "md5": digests,
     "size": st.integers(0)},
    optional={"nfiles": st.integers(0), "isexec": st.just(True)},
)  # fmt: skip
entries = st.fixed_dictionaries(
    {"cmd": st.text("abc -\n", min_size=1, max_size=9), "outs": st.lists(files, min_size=1)},
    optional={
        "deps": st.lists(files, min_size=1, max_size=3),
        "params": st.dictionaries(
            st.just("params.yaml"),
            st.dictionaries(st.sampled_from(["train", "size"]), values, min_size=1),
        ),
    },
)


@given(entries)
def test_an_entry_has_the_name_that_dvc_gives_it(document: dict[str, Any]) -> None:
    key = _get_cache_hash(copy.deepcopy(document), key=True)
    name = f"{key[:2]}/{key}/{_get_cache_hash(copy.deepcopy(document))}"
    assert entry_name(document) == name
    assert entry_from(dumps_yaml(document).encode(), name) == document


@given(entries, entries)
def test_an_entry_under_the_name_of_another_one_is_refused(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    if entry_name(one) != entry_name(other):
        with pytest.raises(RecordError, match="not the one of that name"):
            entry_from(dumps_yaml(one).encode(), entry_name(other))


def test_an_odd_entry_of_a_node_is_left_out_and_the_others_come(tmp_path: Path) -> None:
    document = {"cmd": "x", "outs": []}
    good = entry_name(document)
    odd = f"00/{'0' * 64}/{'0' * 64}"
    entries = {odd: b"cmd: x", good: dumps_yaml(document).encode()}
    worker = mock.Mock(ask=lambda verb, name="": entries[name] if name else [*entries])
    stock = mock.Mock()
    bring_entries(worker, Depot(tmp_path), stock)
    assert [*Depot(tmp_path).entries()] == [good]
    assert [call.args[0] for call in stock.add.call_args_list] == [good]
