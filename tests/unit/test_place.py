"""Where a sweep runs, in the words of `--on`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.core.project import Project
from mlops_nb.errors import MissingExtra, UsageError
from mlops_nb.sweep.place import NUMBERS, open_place, parse_place


@pytest.mark.parametrize(
    ("place", "module", "extra"),
    [("ray", "ray", "ray"), ("ray://h:1", "ray", "ray"), ("slurm:local", "submitit", "slurm")],
)
def test_a_missing_extra_is_named_and_nothing_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    said: list[str] = []
    with pytest.raises(MissingExtra) as raised:
        open_place(Project(tmp_path), parse_place(place), said.append)
    assert f"mlops_nb[{extra}]" in str(raised.value) and "\n" not in str(raised.value)
    assert said == [] and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "no place"), ("ray://", "no place"), ("ray:/x", "no place"), ("slurm:here", "no place"),
     ("pool:1", "no place"), ("ray://host", "no place"), ("slurm,cpus", "whole number"),
     ("slurm,cpus=0", "from 1"), ("ray,gpus=-1", "from 0"), ("ray,partition=x", "no option"),
     ("slurm,partition=", "no value"), ("slurm,partition=a b", "no value"),
     ("pool,cpus=1", "no op"),
     ("slurm,partiton=x", "did you mean `partition`")],
)  # fmt: skip
def test_a_place_that_is_none_is_refused_in_one_line(text: str, words: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_place(text)
    assert words in str(raised.value) and "\n" not in str(raised.value)


@given(st.text(max_size=30))
def test_whatever_is_asked_for_is_a_place_or_refused(text: str) -> None:
    try:
        assert parse_place(text).kind in NUMBERS
    except UsageError as error:
        assert "--on" in str(error)
