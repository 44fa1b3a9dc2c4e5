"""A secret is found however it is written, and the rest stays as it was."""

import html
import json
from base64 import b64encode
from urllib.parse import quote, quote_plus

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.notebook.redaction import MASK, RedactedStream, Redactor
from mlops_nb.notebook.report import WIDGET_STATE, identified

secrets = st.text(min_size=4).filter(lambda text: "*" not in text)


@given(secrets, st.text(), st.text())
def test_a_secret_is_found_however_it_is_written(secret: str, before: str, after: str) -> None:
    pages = [html.escape(secret), html.escape(secret, quote=False), html.escape(repr(secret)[1:-1])]
    addresses = [quote(secret), quote(secret, safe=""), quote_plus(secret)]
    for shown in (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], *pages, *addresses):
        redacted = Redactor([secret]).text(before + shown + after)
        assert shown not in redacted and secret not in redacted


def test_a_secret_is_found_in_what_libraries_write() -> None:
    import jinja2
    import pandas as pd

    secret = "a<b>&\"c' /d"
    table = pd.DataFrame({"token": [secret]})
    pages = [
        table.to_html(),
        table.style.to_html(),
        jinja2.Template("{{ token | e }}").render(token=secret),
    ]
    for page in pages:
        redacted = Redactor([secret]).text(page)
        assert MASK in redacted and "b" not in redacted.partition(MASK)[2].partition("<")[0]


def test_a_secret_that_is_not_utf_8_is_found() -> None:
    secret = b"p\xffss".decode(errors="surrogateescape")
    assert Redactor([secret]).text(f"key={secret} p%FFss") == "key=*** ***"


@given(st.data(), st.lists(st.text(max_size=5)), st.lists(st.text(max_size=5)))
def test_cutting_a_stream_hides_no_secret(
    data: st.DataObject, before: list[str], after: list[str]
) -> None:
    secret = "hunter2"
    cut = sorted(data.draw(st.lists(st.integers(0, len(secret)), max_size=4)))
    parts = [secret[a:b] for a, b in zip([0, *cut], [*cut, len(secret)], strict=True)]
    pieces = [*before, *parts, *after]
    stream = RedactedStream(Redactor([secret]))
    redacted = [*map(stream.feed, pieces), stream.flush()]
    assert "".join(redacted) == "".join(pieces).replace(secret, MASK)


@given(
    st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=3),
    st.lists(st.text("abcd", max_size=6), max_size=6),
)
def test_a_stream_is_redacted_as_the_whole_text_would_be(
    secrets: list[str], pieces: list[str]
) -> None:
    redactor = Redactor(secrets)
    stream = RedactedStream(redactor)
    assert "".join([*map(stream.feed, pieces), stream.flush()]) == redactor.text("".join(pieces))


def test_nothing_changes_without_secrets() -> None:
    assert Redactor(["", ""]).text("hunter2") == "hunter2"


def test_of_a_value_keys_are_redacted_as_well() -> None:
    value = {"hunter2": [{"url": "https://me:hunter2@example.org"}], "port": 443}
    redacted = {"***": [{"url": "https://me:***@example.org"}], "port": 443}
    assert Redactor(["hunter2"]).strings(value) == redacted


def written(text: str) -> dict[str, object]:
    """Return a notebook in which `text` stands wherever a text can stand."""
    v4 = nbformat.v4
    metadata = {"title": text, "mlops_nb": {"stage": "train", "parameters": {"name": text}}}
    html_widget = {"model_name": "HTMLModel", "model_module": "@jupyter-widgets/controls"}
    traits = {"value": text, "choices": {text: 1}}
    widgets = {WIDGET_STATE: {"state": {"0" * 32: {**html_widget, "state": traits}}}}
    outputs = [
        v4.new_output("stream", name="stdout", text=text),
        v4.new_output("stream", name="stderr", text=text),
        v4.new_output(
            "display_data",
            {"text/plain": text, "application/json": {text: [text]}, "image/png": "aGk="},
            metadata={"text/plain": {"note": text}},
        ),
        v4.new_output("execute_result", {"text/html": f"<b>{text}</b>"}, execution_count=1),
        v4.new_output("error", ename=text, evalue=text, traceback=[text, text]),
    ]
    cells = [
        v4.new_markdown_cell(text, id="m", attachments={"a.txt": {"text/plain": text}}),
        v4.new_code_cell(
            f"print('{text}')", id="c", outputs=outputs, metadata={"tags": ["parameters"]}
        ),
    ]
    kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata |= {"kernelspec": kernelspec, "widgets": widgets}
    return identified(v4.new_notebook(cells=cells, metadata=metadata))


def test_a_secret_stays_nowhere_in_a_notebook() -> None:
    notebook = written("hunter2")
    redacted = Redactor(["hunter2"]).notebook(notebook)
    assert "hunter2" in json.dumps(notebook) and "hunter2" not in json.dumps(redacted)
    nbformat.validate(nbformat.from_dict(redacted))


WORDS = """
cells metadata source outputs code markdown id nbformat nbformat_minor cell_type output_type stream
name stdout stderr text data display_data execute_result error ename evalue traceback language
execution_count text/plain text/html application/json image/png aGk= tags parameters kernelspec
python python3 widgets state value mlops_nb stage train attachments
"""


@pytest.mark.parametrize("word", WORDS.split())
def test_a_secret_that_is_a_word_of_the_format_does_not_break_the_notebook(word: str) -> None:
    redactor = Redactor([word])
    redacted = redactor.notebook(written("unrelated"))
    nbformat.validate(nbformat.from_dict(redacted))
    assert redactor.notebook(redacted) == redacted

    def shape(value: object) -> object:
        """Return the names in a value."""
        if isinstance(value, dict):
            return {key: shape(item) for key, item in value.items()}
        return [shape(item) for item in value] if isinstance(value, list) else None

    assert shape(redacted) == shape(written("unrelated"))
    tags, kernelspec = redacted["cells"][1]["metadata"]["tags"], redacted["metadata"]["kernelspec"]
    assert tags == ["parameters"] and kernelspec["name"] == "python3"
    assert redacted["cells"][1]["outputs"][2]["data"]["image/png"] == "aGk="


def test_a_shown_value_that_looks_like_a_notebook_is_redacted_as_a_value() -> None:
    shown = {"nbformat": 4, "cells": [1, "hunter2"], "hunter2": 1}
    notebook = written("unrelated")
    notebook["cells"][1]["outputs"][2]["data"]["application/json"] = shown
    assert "hunter2" not in json.dumps(Redactor(["hunter2"]).notebook(notebook))


@pytest.mark.parametrize(
    ("secret", "value", "shown"),
    [
        ("123456789", {"a": [123456789, 1234567890]}, {"a": [MASK, 1234567890]}),
        ("1.5", [1.5, 1.25, "1.5"], [MASK, 1.25, MASK]),
        ("-7", -7, MASK),
        ("1", [True, 1], [True, MASK]),
        ("true", [True, 1], [True, 1]),
        ("0017", 17, 17),
    ],
)
def test_a_secret_is_found_as_a_number(secret: str, value: object, shown: object) -> None:
    redactor = Redactor([secret])
    assert repr(redactor.strings(value)) == repr(shown)
    output = {"data": {"application/json": value}, "metadata": {"n": value}}
    redacted = redactor.output(output)
    assert redacted["data"]["application/json"] == redacted["metadata"]["n"] == shown


def test_a_secret_is_known_as_bytes_and_in_base64() -> None:
    secret = 'sek"ret-9931&v\u00e4lue'
    redactor = Redactor([secret])
    for shown in (repr(secret.encode()), b64encode(secret.encode()).decode()):
        assert MASK in redactor.text(f"Authorization: {shown}")
        assert "9931" not in redactor.text(shown)
