"""Folders that a killed process leaves: removed by the next, and no others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from mlops_nb.warm.folder import PREFIX, HeldFolder

MAKE = """
import os, sys
from mlops_nb.warm.folder import HeldFolder
folder = HeldFolder(sys.argv[1])
"""


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    killed = MAKE + "open(folder.path + '/socket', 'w').close(); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", killed, str(tmp_path)], check=False)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(PREFIX)
    folder = HeldFolder(str(tmp_path))
    assert os.listdir(tmp_path) == [Path(folder.path).name]
    folder.remove()
    folder.remove()
    assert os.listdir(tmp_path) == []


def test_only_what_nobody_holds_and_is_named_like_ours_is_removed(tmp_path: Path) -> None:
    (tmp_path / "mlops-nb-0").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"{PREFIX}file").touch()
    (tmp_path / f"{PREFIX}link").symlink_to(tmp_path / "elsewhere")
    before = set(os.listdir(tmp_path))
    one, two = HeldFolder(str(tmp_path)), HeldFolder(str(tmp_path))
    assert Path(one.path).is_dir()
    one.remove()
    two.remove()
    assert set(os.listdir(tmp_path)) == before


def test_a_folder_is_for_its_maker_alone(tmp_path: Path) -> None:
    folder = HeldFolder(str(tmp_path))
    assert Path(folder.path).stat().st_mode & 0o777 == 0o700
    folder.remove()


def test_many_at_once_take_none_from_each_other(tmp_path: Path) -> None:
    race = MAKE + (
        "for _ in range(50):\n    folder.remove(); folder = HeldFolder(sys.argv[1])\n"
        "    assert os.path.isdir(folder.path)\nfolder.remove()"
    )
    command = [sys.executable, "-c", race, str(tmp_path)]
    racers = [subprocess.Popen(command) for _ in range(4)]
    assert [racer.wait(60) for racer in racers] == [0] * 4
    assert os.listdir(tmp_path) == []
