import html
import json
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.notebook.redaction import MASK, Redactor

secrets = st.text(min_size=4).filter(lambda text: "*" not in text)


@given(secrets, st.text(), st.text())
def test_a_secret_is_found_however_it_is_written(secret: str, before: str, after: str) -> None:
    for shown in (secret, repr(secret), json.dumps(secret), html.escape(secret), quote(secret)):
        if quote(secret, safe="") != shown == quote(secret):
            continue  # a path, in which slashes are not quoted
        assert secret not in Redactor([secret]).text(before + shown + after)


@given(st.data(), st.lists(st.text(max_size=5)), st.lists(st.text(max_size=5)))
def test_cutting_a_stream_hides_no_secret(
    data: st.DataObject, before: list[str], after: list[str]
) -> None:
    secret = "hunter2"
    cut = sorted(data.draw(st.lists(st.integers(0, len(secret)), max_size=4)))
    parts = [secret[a:b] for a, b in zip([0, *cut], [*cut, len(secret)], strict=True)]
    pieces = [*before, *parts, *after]
    redacted = Redactor([secret]).pieces(pieces)
    assert len(redacted) == len(pieces)
    assert "".join(redacted) == "".join(pieces).replace(secret, MASK)


def test_nothing_changes_without_secrets() -> None:
    assert Redactor(["", ""]).text("hunter2") == "hunter2"


def test_an_image_stays_as_it_is() -> None:
    value = {"image/png": "aGVsbG8=", "text/plain": "hello aGVs"}
    assert Redactor(["aGVs"]).value(value) == {"image/png": "aGVsbG8=", "text/plain": "hello ***"}
