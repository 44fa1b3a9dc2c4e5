"""What a cell shows is kept up to a limit, and the cell says what was left out."""

from collections.abc import Iterable
from typing import Any

import pytest

from mlops_nb.notebook.outputs import MEBIBYTE, OutputFilter, Said
from mlops_nb.notebook.redaction import Redactor


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ten and thirty mebibytes be too much."""
    monkeypatch.setattr("mlops_nb.notebook.outputs.SHOWN_LIMIT", 10 * MEBIBYTE)
    monkeypatch.setattr("mlops_nb.notebook.outputs.TOTAL_LIMIT", 30 * MEBIBYTE)


def text(size: int, name: str = "stdout") -> Said:
    return "stream", {"name": name, "text": "x" * size}


def display(size: int, kind: str = "display_data") -> Said:
    return kind, {"data": {"text/plain": "x" * size}, "metadata": {}, "transient": {}}


CLEAR: Said = ("clear_output", {"wait": True})


def kept(*said: Said, secrets: Iterable[str] = ()) -> tuple[int, str]:
    """Return how many mebibytes of messages are kept, and what the cell adds at its end."""
    outputs = OutputFilter(Redactor(secrets))
    size = 0
    for kind, content in said:
        for _, part in outputs.keep(kind, content):
            size += len(part.get("text", "")) or len(part.get("data", {}).get("text/plain", ""))
    return size // MEBIBYTE, "".join(content["text"] for _, content in outputs.rest()).strip()


def cut(everything: int, limit: int = 10) -> str:
    return f"mlops_nb: the output was cut after {limit} MiB; the cell wrote {everything} MiB"


def test_a_cell_within_the_limit_is_whole() -> None:
    assert kept(text(9 * MEBIBYTE), text(MEBIBYTE, "stderr")) == (10, "")


def test_a_text_is_cut_at_the_limit_wherever_its_pieces_end() -> None:
    assert kept(*[text(3 * MEBIBYTE)] * 5) == (10, cut(15))
    assert kept(*[text(MEBIBYTE)] * 15) == (10, cut(15))


def test_a_display_that_does_not_fit_is_left_out_and_a_smaller_one_is_not() -> None:
    assert kept(display(8 * MEBIBYTE), display(8 * MEBIBYTE), display(MEBIBYTE)) == (9, cut(17))


def test_a_cell_that_clears_what_it_showed_may_show_more() -> None:
    assert kept(display(8 * MEBIBYTE), CLEAR, display(8 * MEBIBYTE)) == (16, "")


def test_a_display_that_is_updated_counts_once_until_it_is_far_too_much() -> None:
    update = display(9 * MEBIBYTE, "update_display_data")
    assert kept(display(9 * MEBIBYTE), *[update] * 2) == (27, "")
    assert kept(display(9 * MEBIBYTE), *[update] * 3) == (27, cut(36, 30))


def test_an_error_is_always_kept() -> None:
    error: dict[str, Any] = {"ename": "E", "evalue": "hunter2", "traceback": ["at hunter2"]}
    outputs = OutputFilter(Redactor(["hunter2"]))
    list(outputs.keep(*text(20 * MEBIBYTE)))
    ((kind, content),) = outputs.keep("error", error)
    assert (kind, content) == ("error", {"ename": "E", "evalue": "***", "traceback": ["at ***"]})


def test_the_source_that_a_kernel_repeats_is_not_kept() -> None:
    repeated = {"code": "token = 'hunter2'", "execution_count": 3}
    assert list(OutputFilter(Redactor([])).keep("execute_input", repeated)) == [
        ("execute_input", {"execution_count": 3})
    ]


def test_a_secret_in_a_widget_is_kept_by_no_message() -> None:
    state = {"state": {"value": "hunter2", "hunter2": 1}, "buffer_paths": []}
    said = list(
        OutputFilter(Redactor(["hunter2"])).keep("comm_msg", {"comm_id": "1", "data": state})
    )
    assert said and "hunter2" not in str(said)


def test_the_end_of_a_cell_brings_what_was_held_back() -> None:
    said = text(1)
    said[1]["text"] = "not hunter"
    outputs = OutputFilter(Redactor(["hunter2"]))
    before = [content["text"] for _, content in outputs.keep(*said)]
    after = [content["text"] for _, content in outputs.rest()]
    assert (before, after) == (["not "], ["hunter"])


def test_the_limit_that_cut_is_named() -> None:
    many = [part for _ in range(4) for part in (display(8 * MEBIBYTE), CLEAR)]
    assert kept(*many) == (24, cut(32, 30))
    assert kept(*many[:5], text(5 * MEBIBYTE)) == (25, cut(29))
