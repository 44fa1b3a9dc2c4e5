"""Whatever is done to a journal, what is read of it was written, in that order."""

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.errors import UnwritablePath
from mlops_nb.notebook.journal import Entry, Journal, entry_line, is_written, read_entries

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
ENTRIES = st.lists(st.dictionaries(st.text(), VALUES, max_size=3), max_size=6)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept") / "journal.jsonl"


def read(path: Path, data: bytes) -> list[Entry]:
    """Return what is read of a journal that holds `data`."""
    path.write_bytes(data)
    return list(read_entries(path))


@given(ENTRIES)
def test_what_is_written_is_read(path: Path, entries: list[Entry]) -> None:
    assert read(path, b"".join(map(entry_line, entries))) == entries


@given(ENTRIES, st.data())
def test_a_journal_that_was_cut_off_is_a_beginning(
    path: Path, entries: list[Entry], data: st.DataObject
) -> None:
    whole = b"".join(map(entry_line, entries))
    cut = data.draw(st.integers(0, len(whole)))
    found = read(path, whole[:cut])
    assert found == entries[: len(found)]
    assert len(found) == whole[:cut].count(b"\n")


@given(ENTRIES, st.data())
def test_a_damaged_byte_ends_the_journal_before_its_line(
    path: Path, entries: list[Entry], data: st.DataObject
) -> None:
    whole = bytearray(b"".join(map(entry_line, [*entries, {"last": True}])))
    place = data.draw(st.integers(0, len(whole) - 1))
    line = whole[:place].count(b"\n")
    whole[place] ^= data.draw(st.integers(1, 255))
    assert read(path, bytes(whole)) == entries[:line]


@given(st.binary(max_size=200))
def test_any_file_can_be_read(path: Path, data: bytes) -> None:
    read(path, data)


def test_a_journal_begins_empty_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "executions" / "a" / "journal.jsonl"
    for number in range(2):
        journal = Journal(path)
        journal.append({"entry": "began", "number": number})
        journal.close()
    assert list(read_entries(path)) == [{"entry": "began", "number": 1}]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


HOLD = """
import sys, time
from pathlib import Path
from mlops_nb.notebook.journal import Journal
journal = Journal(Path(sys.argv[1]))
journal.append({"entry": "began"})
print("held", flush=True)
time.sleep(60)
"""


def test_who_writes_is_known_until_he_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.jsonl"
    assert not is_written(path)
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout and writer.stdout.readline() == "held\n"
        assert is_written(path)
        monkeypatch.setattr("mlops_nb.notebook.journal.LOCK_SECONDS", 0.05)
        with pytest.raises(UnwritablePath, match="Resource temporarily unavailable"):
            Journal(path)
        writer.kill()
    assert not is_written(path)
    assert list(read_entries(path)) == [{"entry": "began"}]


def test_a_full_disk_is_said_in_one_line() -> None:
    journal = Journal.__new__(Journal)
    journal.path = Path("kept/journal.jsonl")
    journal._file = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(UnwritablePath, match=r"journal\.jsonl: cannot be written \(No space left"):
        journal.append({"entry": "cell"})
    os.close(journal._file)
