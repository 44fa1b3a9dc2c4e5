"""A file is the old one or the new one, whatever happens while it is written."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlops_nb.core.files import refuse_unwritable, write_atomic
from mlops_nb.errors import UnwritablePath

INJECTED = OSError(28, "No space left on device")


def test_the_parents_are_made_and_an_unchanged_file_keeps_its_time(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.txt"
    assert write_atomic(path, "é\n") is True
    assert path.read_bytes() == b"\xc3\xa9\n"
    os.utime(path, ns=(1, 1))
    assert write_atomic(path, "é\n".encode()) is False
    assert path.stat().st_mtime_ns == 1


@pytest.mark.parametrize("step", ["replace", "chmod", "fsync", "interrupt"])
def test_a_crash_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "report.ipynb"
    write_atomic(path, "old")

    def crash(*_: object) -> None:
        raise KeyboardInterrupt if step == "interrupt" else INJECTED

    if step in ("replace", "chmod"):
        monkeypatch.setattr(Path, step, crash)
    else:
        monkeypatch.setattr(os, "fsync", crash)
    expected = KeyboardInterrupt if step == "interrupt" else UnwritablePath
    with pytest.raises(expected):
        write_atomic(path, "new")
    monkeypatch.undo()
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["report.ipynb"]


def test_concurrent_writers_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "shared.json"
    contents = [bytes([65 + number]) * 100_000 for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: write_atomic(path, content), contents))
    assert path.read_bytes() in contents and os.listdir(tmp_path) == ["shared.json"]


def test_the_mode_of_an_old_file_is_kept_and_a_new_one_obeys_the_umask(tmp_path: Path) -> None:
    old, new = tmp_path / "run.sh", tmp_path / "new"
    old.write_text("a")
    old.chmod(0o750)
    write_atomic(old, "b")
    before = os.umask(0o027)
    try:
        write_atomic(new, "b")
    finally:
        os.umask(before)
    assert stat.S_IMODE(old.stat().st_mode) == 0o750
    assert stat.S_IMODE(new.stat().st_mode) == 0o640


def test_a_link_into_a_cache_is_replaced_and_the_cache_untouched(tmp_path: Path) -> None:
    cached, path = tmp_path / "cached", tmp_path / "out"
    cached.write_text("cached")
    path.symlink_to(cached)
    write_atomic(path, "new")
    assert cached.read_text() == "cached" and path.read_text() == "new" and not path.is_symlink()


def test_the_longest_possible_name_can_be_written(tmp_path: Path) -> None:
    assert write_atomic(tmp_path / ("n" * 255), "x")


@pytest.fixture(params=["below a file", "a directory", "in /proc", "name too long"])
def unwritable(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Paths that nobody can write to, root included."""
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    return {
        "below a file": tmp_path / "file" / "x" / "report.ipynb",
        "a directory": tmp_path / "folder",
        "in /proc": Path("/proc/none/report.ipynb"),
        "name too long": tmp_path / ("n" * 256),
    }[request.param]


def test_an_unwritable_place_is_one_line_and_leaves_nothing(
    unwritable: Path, tmp_path: Path
) -> None:
    with pytest.raises(UnwritablePath) as caught:
        write_atomic(unwritable, "x")
    assert len(str(caught.value).splitlines()) == 1 and caught.value.exit_code == 2
    assert caught.value.hint
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder"]


def test_an_unwritable_place_is_refused_before_the_work(unwritable: Path) -> None:
    with pytest.raises(UnwritablePath):
        refuse_unwritable(unwritable)


def test_a_writable_place_is_accepted_and_its_directory_made(tmp_path: Path) -> None:
    refuse_unwritable(tmp_path / "reports" / "train.ipynb")
    assert os.listdir(tmp_path / "reports") == []


def test_a_directory_that_we_may_not_write_to_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir(mode=0o555)
    for place in (tmp_path, *tmp_path.parents):
        if os.geteuid() == 0 and place != Path("/"):
            place.chmod(place.stat().st_mode | 0o011)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover (another process)
        if os.geteuid() == 0:
            os.setuid(65534)  # root may write anywhere
        for question in (refuse_unwritable, lambda path: write_atomic(path, "x")):
            try:
                question(folder / "report.ipynb")
            except UnwritablePath:
                os.write(writer, b"refused ")
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    assert os.read(reader, 100) == b"refused refused "
