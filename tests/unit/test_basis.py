"""What a saved state rests on is the same for the same prefix, and for no other."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.notebook.basis import (
    Basis,
    Late,
    Present,
    cell_digests,
    changed_cell,
    environ_digests,
    file_digest,
    files_in,
    value_digests,
)
from mlops_nb.notebook.grounds import Grounds
from mlops_nb.notebook.prepare import Prepared

Cells = list[tuple[str, str]]
cells = st.lists(st.tuples(st.sampled_from(["code", "markdown"]), st.text(max_size=3)), max_size=6)


def prepared(given_cells: Cells) -> Prepared:
    node = {
        "cells": [{"cell_type": k, "metadata": {}, "source": text} for k, text in given_cells],
        "metadata": {},
    }
    return Prepared("nb.ipynb", node, tuple(range(1, len(given_cells) + 1)), ())


def code(given_cells: Cells) -> list[str]:
    return [text for kind, text in given_cells if kind == "code" and text.strip()]


@given(cells, cells, st.integers(0, 6))
def test_a_prefix_is_as_it_was_exactly_if_its_code_is(one: Cells, other: Cells, count: int) -> None:
    before = cell_digests(prepared(one))[:count]
    same = code(one)[:count] == code(other)[: len(before)]
    assert (changed_cell(prepared(other), before) == "") == same


@given(cells, st.lists(st.text(min_size=1), max_size=2), st.integers(0, 6))
def test_prose_and_later_cells_may_change(one: Cells, prose: list[str], place: int) -> None:
    before = cell_digests(prepared(one))
    added = [("markdown", text) for text in prose]
    assert changed_cell(prepared([*one[:place], *added, *one[place:], ("code", "1")]), before) == ""


values = st.dictionaries(st.sampled_from("abc"), st.integers(0, 2) | st.text(max_size=1))


@given(values, values)
def test_a_basis_differs_exactly_if_a_value_does(one: dict, other: dict) -> None:  # type: ignore[type-arg]
    basis = Basis((), value_digests(one), "python3", environ_digests({}, "s"), "s", {}, {})
    present = Present(prepared([]), Grounds(other), Path(), "python3", {})
    assert (present.difference(Basis.from_json(basis.to_json())) == "") == (one == other)


def test_tags_count_and_the_cell_of_the_parameters_has_a_name() -> None:
    book = prepared([("code", "x = 1")])
    before = cell_digests(book)
    book.notebook["cells"][0]["metadata"]["tags"] = ["raises-exception"]
    assert changed_cell(book, before) == "cell 1 has changed"
    injected = Prepared(book.where, book.notebook, (None,), ())
    assert changed_cell(injected, before) == "the parameters have changed"


def test_the_environment_is_known_by_keyed_digests_without_what_belongs_to_a_terminal() -> None:
    environ = {"TERM": "xterm", "SSH_TTY": "1", "PASSWORD": "hunter2", "OMP_NUM_THREADS": "1"}
    one, other = environ_digests(environ, "a"), environ_digests(environ, "b")
    assert set(one) == {"PASSWORD", "OMP_NUM_THREADS"} and "hunter2" not in str(one)
    assert one["PASSWORD"] != other["PASSWORD"]


def test_files_are_digested_within_time(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "two").write_text("2")
    (tmp_path / "a").write_text("1")
    found = [str(path.relative_to(tmp_path)) for path in files_in(tmp_path, ["b", "a", "absent"])]
    assert found == ["b/two", "a", "absent"]
    assert file_digest(tmp_path / "absent") == ""
    with pytest.raises(Late):
        file_digest(tmp_path / "a", 0.0)
