"""YAML is read as DVC reads it, and what is written reads back equal."""

from __future__ import annotations

import datetime
import io
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from ruamel.yaml import YAML

from mlops_nb.core.yaml import load_yaml
from mlops_nb.errors import ConfigError

TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.from_regex(
    r"[-+.0-9eExo_:~<=]{1,6}|on|yes|No|TRUE|null|0x1F|0b11|1e-05|\.inf|2024-01-01", fullmatch=True
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=10,
)


def as_dvc_reads(text: str) -> Any:
    """Return what DVC's own reader makes of `text` (dvc.utils.serialize, without the file)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return YAML(typ="safe").load(text)


@given(VALUES)
def test_what_dvc_writes_is_read_as_dvc_reads_it(value: Any) -> None:
    stream = io.StringIO()
    YAML().dump(value, stream)
    text = stream.getvalue()
    assert load_yaml(text, "x") == as_dvc_reads(text)


@given(VALUES.filter(lambda value: isinstance(value, dict)))
def test_what_hydra_writes_is_read_as_dvc_reads_it(value: dict[str, Any]) -> None:
    text = OmegaConf.to_yaml(OmegaConf.create({"train": {"values": [repr(value)]}}))
    assert load_yaml(text, "x") == as_dvc_reads(text)


@pytest.mark.parametrize("number", [1e-05, 1e16, 0.1, -0.0, 1e300, 5e-324, float("inf"), 3, -7])
def test_the_numbers_that_hydra_writes_come_back(number: float) -> None:
    text = OmegaConf.to_yaml(OmegaConf.create({"x": number}))
    assert repr(load_yaml(text, "x")["x"]) == repr(number)


@pytest.mark.parametrize(
    "scalar",
    """on off yes No y true TRUE null Null ~ 1e5 1E-05 1e-05 1.0e+16 0x1f 0X1F -0x1f 0o17 +0o7 017
    007 08 1_000 1__0 1_ _1 0b11 +1 -1 +.5 .5 5. 0. 00 -.inf .inf .nan +.inf inf nan 1:30 12:30:45
    1e 1.e5 e5 0o8 0x 1.2.3 - + . .. 1e400 !!str?3 <a =a 1.5e 0.1e-3""".split(),
)
def test_a_scalar_is_read_as_dvc_reads_it(scalar: str) -> None:
    text = f"x: {scalar.replace('?', ' ')}\n"
    try:
        expected = as_dvc_reads(text)
    except Exception:
        with pytest.raises(ConfigError):
            load_yaml(text, "x")
        return
    assert repr(load_yaml(text, "x")) == repr(expected)


def test_a_date_stays_text_for_its_annotation_to_read() -> None:
    text = "day: 2024-01-01\n"
    assert load_yaml(text, "x") == {"day": "2024-01-01"}
    assert as_dvc_reads(text) == {"day": datetime.date(2024, 1, 1)}


def test_anchors_and_merge_keys_are_read_as_dvc_reads_them() -> None:
    text = "a: &a {q: 1, r: 1}\nb:\n  <<: *a\n  r: 2\nc:\n  <<: [*a, {s: 3}]\n"
    assert load_yaml(text, "x") == as_dvc_reads(text)


def test_a_number_and_its_text_are_two_keys() -> None:
    assert load_yaml("1: a\n'1': b\n", "x") == {1: "a", "1": "b"}


def test_words_stay_words() -> None:
    assert load_yaml("[007, on, null, 1e5]", "x", words=True) == ["007", "on", "null", "1e5"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\na: 2\n", 2),
        ("a:\n  - b\n c\n", 3),
        ("a: [1,\n", 2),
        ("a: 1\nb: {{ template }}\n", 2),
        ("? [a, b]\n: 1\n", 1),
        ("a: *nothing\n", 1),
        ("a: !unknown x\n", 1),
        ("a: !!python/object/apply:os.system [ls]\n", 1),
        ("a: 1\n---\nb: 2\n", 2),
        ("a: \x00\n", None),
        ("a: !!int x\n", None),
        ("a: !!timestamp x\n", None),
        (f"a: {'9' * 5000}\n", None),
    ],
)
def test_what_is_no_config_is_one_line_that_names_the_place(text: str, line: int | None) -> None:
    with pytest.raises(ConfigError) as caught:
        load_yaml(text, "conf/config.yaml")
    message = str(caught.value)
    assert message.startswith(f"conf/config.yaml, line {line}: " if line else "conf/config.yaml")
    assert len(message.splitlines()) == 1 and caught.value.hint and caught.value.exit_code == 2


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        load_yaml(text, "x")
    except ConfigError as error:
        assert len(str(error).splitlines()) == 1


@pytest.mark.parametrize(
    "text", ["[" * 200_000, "[" * 101 + "]" * 101, "- " * 200_000, "{a: " * 101]
)
def test_what_no_parser_can_bear_is_one_line(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^x: not YAML \(nested too deeply\)"):
        load_yaml(text, "x")


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert load_yaml("[" + "[1], " * 500 + "]", "x") == [[1]] * 500
    assert load_yaml("- a\n" * 500, "x") == ["a"] * 500
    assert load_yaml("a: " + "x - " * 500, "x") == {"a": ("x - " * 500).strip()}
