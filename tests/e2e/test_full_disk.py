"""Full and read-only file systems: whatever could be kept is whole, and what could not is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest

from mlops_nb.notebook.journal import JOURNAL, read_entries
from mlops_nb.notebook.replay import Replay
from mlops_nb.notebook.report import render
from tests.kills import until, workers
from tests.warm import ROOT, Warm, warm_server

pytestmark = pytest.mark.slow

Mount = Callable[..., Path]
SMALL = 64 * 1024
CELLS = ("print('a' * 9_000)", "print('b' * 30_000)", "open('made', 'w').write('x' * 20_000)", "1")


@contextmanager
def mounted(place: Path, options: str) -> Iterator[Path]:
    """Mount a file system of its own in memory at `place`."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def execute(
    folder: Path, *cells: str, state: Path, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Execute a notebook in `folder`, which keeps its record in `state`."""
    code = [nbformat.v4.new_code_cell(text, id=f"c{i}") for i, text in enumerate(cells)]
    nbformat.write(nbformat.v4.new_notebook(cells=code), folder / "nb.ipynb")
    own = {"MLOPS_NB_WARM": "0", "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(state)}
    command = [sys.executable, "-m", "mlops_nb", "execute", "nb.ipynb", "-o", "out.ipynb"]
    given = {**os.environ, **own, **environ}
    done = subprocess.run(
        command, cwd=folder, env=given, capture_output=True, text=True, timeout=120, check=False
    )
    until(lambda: not workers(folder), "everything to end")
    assert "Traceback" not in done.stderr, done.stderr
    return done


def journals(state: Path) -> list[Path]:
    return [path for path in state.glob(f"**/executions/*/{JOURNAL}") if path.stat().st_size]


@pytest.mark.parametrize("kilobytes", [8, 32, 64, 96, 128, 512])
def test_a_disk_that_fills_up_stops_the_execution_and_loses_nothing_written(
    tmp_path: Path, kilobytes: int
) -> None:
    with mounted(tmp_path / "disk", f"size={kilobytes}k") as disk:
        work = tmp_path / "work"
        work.mkdir()
        done = execute(work, *CELLS, state=disk)
        states = []
        for journal in journals(disk):
            replay = Replay(journal)
            states.append(replay.outcome().state)
            assert render(replay.notebook())
        if done.returncode == 0:
            assert states == ["ok"] and (work / "out.ipynb").exists()
        else:
            assert "No space left on device" in done.stderr and done.stderr.count("error:") == 1
            assert "ok" not in states
        assert not list(disk.glob("**/*.tmp"))
    assert done.returncode == (0 if kilobytes >= 512 else done.returncode)
    assert done.returncode != 0 or kilobytes > 32
    again = execute(work, *CELLS, state=tmp_path / "state")
    assert again.returncode == 0


@pytest.mark.parametrize("kilobytes", [16, 48])
def test_a_report_for_which_there_is_no_room_is_still_in_the_journal(
    tmp_path: Path, kilobytes: int
) -> None:
    with mounted(tmp_path / "disk", f"size={kilobytes}k") as disk:
        done = execute(disk, "print('a' * 60_000)", state=tmp_path / "state")
        assert done.returncode != 0 and "out.ipynb" in done.stderr
        assert "No space left on device" in done.stderr
        assert not (disk / "out.ipynb").exists() and not list(disk.glob("*.tmp"))
    (journal,) = journals(tmp_path / "state")
    replay = Replay(journal)
    outcome = replay.outcome()
    assert outcome.state == "error" and outcome.error
    assert "out.ipynb: cannot be written" in outcome.error.message
    assert f"mlops-nb recover {journal.parent}" in done.stderr
    assert "a" * 60_000 in render(replay.notebook())


def test_a_cell_that_fills_the_disk_says_so_itself(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=256k") as disk:
        cell = "with open('big', 'w') as file:\n    file.write('x' * 10_000_000)"
        done = execute(disk, cell, state=tmp_path / "state")
        assert done.returncode == 1 and "OSError: [Errno 28] No space left" in done.stderr


def test_a_full_temporary_directory_is_said_in_a_line(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=1m,nr_inodes=2") as disk:
        work = tmp_path / "work"
        work.mkdir()
        done = execute(work, "1", state=tmp_path / "state", TMPDIR=str(disk), MLOPS_NB_WARM="0")
        assert done.returncode == 3 and done.stderr.count("error:") == 1
        assert "No space left on device" in done.stderr


def test_a_disk_that_is_full_of_a_checkpoint_means_no_checkpoint(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    with mounted(tmp_path / "disk", "size=400k") as disk:
        other = f"open({str(disk / 'other')!r}, 'wb').write(bytes(150_000))"
        cells = ("data = bytes(range(256)) * 700", other, "len(data)")
        done = execute(work, *cells, state=disk, MLOPS_NB_CHECKPOINT_SECONDS="0")
        (journal,) = journals(disk)
        said = [e for e in read_entries(journal) if e["entry"] == "no_checkpoint"]
    assert done.returncode == 0 and said


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Give a folder with a short path, which sockets need."""
    with tempfile.TemporaryDirectory(prefix="d-", dir="/tmp") as place:
        yield Path(place)


@pytest.mark.parametrize("inodes", [1, 2, 3, 4, 5])
def test_a_warm_server_without_room_means_a_cold_start(
    tmp_path: Path, short_folder: Path, inodes: int
) -> None:
    with mounted(short_folder / "disk", f"size=64k,nr_inodes={inodes},mode=700") as disk:
        given = {"MLOPS_NB_WARM": "1", "XDG_RUNTIME_DIR": str(disk)}
        warm = Warm({**os.environ, "PYTHONPATH": str(ROOT), **given}, given)
        for _ in range(2):
            done = execute(tmp_path, "print('cold')", state=tmp_path / "state", **given)
            assert done.returncode == 0
        assert not warm.status()["running"]


@pytest.fixture(scope="module")
def warm() -> Iterator[Warm]:
    with warm_server() as server:
        yield server


@pytest.mark.parametrize("start", ["cold", "warm"])
def test_a_read_only_file_system_is_refused_before_anything_starts(
    tmp_path: Path, warm: Warm, start: str
) -> None:
    given = warm.environ if start == "warm" else {}
    with mounted(tmp_path / "disk", "size=1m") as disk:
        assert execute(disk, "1", state=tmp_path / "state").returncode == 0
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        own = {**os.environ, "MLOPS_NB_WARM": "0", "PYTHONPATH": str(ROOT), **given}

        def run(report: str, state: Path) -> subprocess.CompletedProcess[str]:
            """Execute the notebook that lies on the read-only disk."""
            command = [sys.executable, "-m", "mlops_nb", "execute", "nb.ipynb", "-o", report]
            environ = own | {"XDG_STATE_HOME": str(state)}
            return subprocess.run(
                command, cwd=disk, env=environ, capture_output=True, text=True, check=False
            )

        kept = tmp_path / "kept"
        done = run("out.ipynb", kept)
        assert done.returncode == 2 and "out.ipynb: cannot be written (" in done.stderr
        assert done.stderr.count("\n") == 1 and not journals(kept)
        elsewhere = tmp_path / "elsewhere.ipynb"
        done = run(str(elsewhere), disk)
        assert done.returncode == 2 and "cannot be written (" in done.stderr
        assert done.stderr.count("\n") == 1 and not elsewhere.exists()
        until(lambda: not workers(disk), "everything to end")


def test_the_outcome_of_a_cell_that_ended_its_disk_is_told_as_json(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=32k") as disk:
        work = tmp_path / "work"
        work.mkdir()
        code = [nbformat.v4.new_code_cell("print('a' * 60_000)", id="c0")]
        nbformat.write(nbformat.v4.new_notebook(cells=code), work / "nb.ipynb")
        own = {"MLOPS_NB_WARM": "0", "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(disk)}
        command = [sys.executable, "-m", "mlops_nb", "execute", "nb.ipynb", "--json"]
        done = subprocess.run(
            command, cwd=work, env={**os.environ, **own}, capture_output=True, text=True
        )
        document = json.loads(done.stdout)
        assert document["error"] in ("JournalLost", "UnwritablePath")
        assert document["exit_code"] == done.returncode != 0
