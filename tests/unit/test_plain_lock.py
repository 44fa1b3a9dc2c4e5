"""A lock that is read line by line says what YAML says, or is left to YAML."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from mlops_nb.core.yaml import load_yaml
from mlops_nb.errors import ConfigError
from mlops_nb.pipeline.foreign import locked_stages
from mlops_nb.pipeline.plain_lock import plain_lock

PLAIN = """schema: '2.0'
stages:
  train:
    cmd: python train.py
    deps:
    - path: data/raw.csv
      hash: md5
      md5: 37b51d194a7513e45b56f6524f2d51f2
      size: 3
    params:
      params.yaml:
        train:
          rate: 0.1
          name: 'a: b'
    outs:
    - path: model
      hash: md5
      md5: 37b51d194a7513e45b56f6524f2d51f2
      size: 4
      isexec: true
"""


def by_yaml(text: str) -> Any:
    return locked_stages(load_yaml(text, "dvc.lock") or {})


def test_what_dvc_writes_is_read() -> None:
    found = plain_lock(PLAIN.encode())
    assert found == by_yaml(PLAIN) and found and found["train"]["outs"][0]["isexec"] is True


def test_the_lock_of_this_project_is_read_alike() -> None:
    text = (Path(__file__).parents[2] / "dvc.lock").read_text()
    assert plain_lock(text.encode()) == by_yaml(text)


words = st.one_of(
    st.sampled_from(
        ["a", "null", "yes", "0x1f", "1e5", "a b", "x: y", "- z", "é", "a'b", "'", "1_0"]
    ),
    st.text(max_size=6),
)
values = st.one_of(words, st.integers(), st.floats(allow_nan=False), st.booleans(), st.none())
digests = st.one_of(st.from_regex(r"[0-9a-f]{32}(\.dir)?", fullmatch=True), words)
files = st.lists(
    st.fixed_dictionaries(
        {"path": words, "hash": st.just("md5"), "md5": digests}, optional={"size": values}
    ),
    max_size=3,
)
stages = st.dictionaries(
    words,
    st.fixed_dictionaries(
        {"cmd": st.one_of(words, st.lists(words, max_size=2))},
        optional={
            "deps": files,
            "params": st.dictionaries(
                words, st.dictionaries(words, values, max_size=2), max_size=2
            ),
            "outs": files,
        },
    ),
    max_size=3,
)


@given(stages)
def test_a_lock_with_anything_in_it_is_read_as_yaml_or_not_at_all(content: Any) -> None:
    out = io.StringIO()
    yaml = YAML()
    yaml.dump({"schema": "2.0", "stages": content}, out)
    text = out.getvalue().replace("schema: 2.0", "schema: '2.0'")
    found = plain_lock(text.encode(errors="surrogatepass"))
    if found is not None:
        assert found == by_yaml(text)


@given(st.data())
def test_a_lock_that_was_changed_by_hand_is_read_as_yaml_or_not_at_all(data: st.DataObject) -> None:
    lines = PLAIN.splitlines()
    place = data.draw(st.integers(2, len(lines) - 1))
    line = data.draw(
        st.sampled_from(["", *lines, "    - x", "        y", "    outs: []", "# z", "  b: &x", "'"])
    )
    text = "\n".join([*lines[:place], line, *lines[place + data.draw(st.integers(0, 2)) :]]) + "\n"
    found = plain_lock(text.encode())
    if found is not None:
        try:
            expected = by_yaml(text)
        except ConfigError:
            return  # parameters that YAML does not take are not read here
        assert found == expected


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("model", '"model"'),
        ("model", "null"),
        ("model", "12"),
        ("size: 4", "size: 04"),
        ("  train:", "  yes:"),
        ("'a: b'", "'a"),
        ("python train.py", "|"),
        ("'2.0'", "'1.0'"),
    ],
)
def test_what_is_unusual_is_left_to_yaml(old: str, new: str) -> None:
    assert plain_lock(PLAIN.replace(old, new, 1).encode()) is None
