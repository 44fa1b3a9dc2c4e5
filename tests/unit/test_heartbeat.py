"""Who lives on another machine, as a shared file system has it."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import pytest

from mlops_nb.sweep.heartbeat import Heartbeat, is_silent


def test_a_heart_beats_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "driver"
    with contextlib.closing(Heartbeat(path, 0.1)):
        os.utime(path, (0, 0))
        while is_silent(path, tmp_path / "own", 1e6):
            time.sleep(0.01)
    os.utime(path, (0, 0))
    assert is_silent(path, tmp_path / "own", 1e6)


def test_a_heart_that_is_gone_is_silent(tmp_path: Path) -> None:
    assert is_silent(tmp_path / "driver", tmp_path / "own", 1e6)
    assert is_silent(tmp_path / "no" / "driver", tmp_path / "no" / "own", 1e6)


def test_no_two_drivers_have_one_heart(tmp_path: Path) -> None:
    with contextlib.closing(Heartbeat(tmp_path / "driver", 60.0)):
        with pytest.raises(FileExistsError):
            Heartbeat(tmp_path / "driver", 60.0)


def test_a_heart_whose_file_somebody_removes_does_not_make_it_anew(tmp_path: Path) -> None:
    path = tmp_path / "driver"
    heart = Heartbeat(path, 0.05)
    path.unlink()
    heart._thread.join(0.2)
    heart.close()
    assert not path.exists()
