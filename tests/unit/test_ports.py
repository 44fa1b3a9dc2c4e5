"""Ports are plain text, and a secret is only ever shown by its place."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import pytest

from mlops_nb import In, Metrics, Out, Plots, Secret
from mlops_nb.errors import UsageError


def test_a_port_is_text_to_everyone_else() -> None:
    for port in (In, Out, Metrics, Plots):
        assert port.__origin__ is str
    assert [port.__metadata__[0].kind for port in (In, Out, Metrics, Plots)] == [
        "in",
        "out",
        "metrics",
        "plots",
    ]


@pytest.mark.parametrize("value", ["hunter2", "env:", "file:", "ENV:X", "", "https://a:b@c"])
def test_a_value_is_no_reference_and_is_not_repeated(value: str) -> None:
    with pytest.raises(UsageError) as caught:
        Secret(value)
    assert not value or value not in str(caught.value).replace("env:NAME", "").replace("file:P", "")


def test_a_secret_is_revealed_when_asked_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("hunter2 \n\n")
    monkeypatch.setenv("TOKEN", "hunter2")
    monkeypatch.setenv("HOME", str(tmp_path))
    for reference, value in (("env:TOKEN", "hunter2"), ("file:~/token", "hunter2 ")):
        secret = Secret(reference)
        assert secret.reveal() == value
        shown = repr(secret) + str(secret) + f"{secret!s:>20}" + str(dataclasses.asdict(secret))
        assert "hunter2" not in shown
        assert b"hunter2" not in pickle.dumps(secret)


@pytest.mark.parametrize("reference", ["env:NOT_SET_ANYWHERE", "file:/proc/none", "file:/proc"])
def test_a_place_without_a_value_is_named(reference: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=reference) as caught:
        Secret(reference).reveal()
    assert caught.value.hint


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot be read"):
        Secret(f"file:{tmp_path / 'key'}").reveal()


def test_an_empty_environment_variable_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPTY_TOKEN", "")
    with pytest.raises(UsageError, match="secret env:EMPTY_TOKEN is not set"):
        Secret("env:EMPTY_TOKEN").reveal()
