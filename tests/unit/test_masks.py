import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.notebook.masks import masked, overwritten


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("<M at 0x7f3c5a1e8d90>", "<M at 0x...>"),
        ("&lt;M at 0x7f3c5a1e8d90&gt;", "&lt;M at 0x...&gt;"),
        ("/tmp/ipykernel_4711/302.py:3: UserWarning", "/tmp/ipykernel/302.py:3: UserWarning"),
        ("2/2 [00:01<00:00,  1.93it/s]", "2/2 [...]"),
        ("2/2 [00:01<00:00, 1.93s/it, loss=0.1]", "2/2 [..., loss=0.1]"),
        ("0/2 [00:00<?, ?it/s]", "0/2 [...]"),
        ("12it [1:00:00, 345.00it/s]", "12it [...]"),
        ("12/12 [00:01&lt;00:00, 1.9k rows/s]", "12/12 [...]"),
        ("0/2 [00:00<?, ?it/s]\r2/2 [00:01<00:00, 2.00it/s]", "2/2 [...]"),
    ],
)
def test_what_a_process_leaves_is_masked(text: str, seen: str) -> None:
    assert masked(overwritten(text)) == seen


@pytest.mark.parametrize(
    "text",
    [
        "fault at 0x10",
        "0x7f3c5a1e8d90 is the key",
        "T_3c4f1 and 1.93it",
        "[00:01, 00:02]",
        "05:15 auc 0.91 (12.5%)",
        "/data/ipykernel/302.py",
        "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
    ],
)
def test_what_may_be_data_is_not(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("10%\r50%\r100%\ndone\r\n", "100%\ndone\n"),
        ("working\r", "working"),
        ("abcd\b\be", "abe"),
        ("\b\ba", "a"),
        ("plain\n\n", "plain\n\n"),
    ],
)
def test_overwritten_text_is_what_a_terminal_shows(text: str, seen: str) -> None:
    assert overwritten(text) == seen


@given(st.text(alphabet="ab1 \r\n\b[]<:,/?x0t."))
def test_masks_and_overwriting_are_idempotent(text: str) -> None:
    once = masked(overwritten(text))
    assert masked(overwritten(once)) == once


@pytest.mark.parametrize(
    "text",
    ["x", "[00:00, 1", "[00:00, 1a/s, ", "/a", "\r", "a\b", "1", " at 0x7f", "\\ipykernel_1"],
)
def test_a_long_line_is_read_in_linear_time(text: str) -> None:
    masked(overwritten(text * 1_000_000))  # minutes if it were not
