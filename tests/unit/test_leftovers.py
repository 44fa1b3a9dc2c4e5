"""What killed processes have left is found and deleted, and nothing that somebody still writes."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlops_nb.core.locks import LifeLock
from mlops_nb.core.processes import machine
from mlops_nb.core.project import Project
from mlops_nb.pipeline.disposal import dispose
from mlops_nb.pipeline.leftovers import DRAFT_SECONDS, SENT
from mlops_nb.pipeline.undo import UNDO
from mlops_nb.sweep.clone import tidy_folder
from mlops_nb.sweep.node import Node

LONG_AGO = datetime.now(UTC).timestamp() - 2 * DRAFT_SECONDS


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=A Tester", "-c", "user.email=tester@example.org")
    done = subprocess.run(
        ["git", "-C", folder, *who, *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def made(path: Path, *, is_old: bool = True) -> Path:
    """Make a file, or a folder if the name ends like that of a clone, long ago or now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir() if path.suffix == ".clone" else path.touch()
    if is_old:
        os.utime(path, (LONG_AGO, LONG_AGO))
    return path


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a repository with a commit."""
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "one")
    return Project(tmp_path)


def dead() -> int:
    """Return the number of a process that is gone."""
    with subprocess.Popen(["true"]) as process:
        return process.pid


def test_what_killed_processes_have_left_in_a_project_goes_and_all_else_stays(
    project: Project,
) -> None:
    places = project.state / "worktrees"
    made(places / "a.new")
    made(places / "b.new", is_old=False)
    held = places / "c.new"
    lock = LifeLock(held)
    os.utime(held, (LONG_AGO, LONG_AGO))
    objects = project.root / ".dvc/cache/files/md5/ab"
    made(objects / ".cd.1.part")
    made(objects / ".ef.1.part", is_old=False)
    made(objects / "whole")
    kept, orphan = (f"{UNDO}/20130101T051500.000-{end}" for end in ("aaaa", "bbbb"))
    made(project.state / "undo" / kept.rpartition("/")[2] / "aside.json")
    gone, ours = (f"{SENT}/{machine()}/{pid}-1" for pid in (dead(), os.getpid()))
    elsewhere = f"{SENT}/0123456789ab/{dead()}-1"
    for ref in (kept, orphan, gone, ours, elsewhere):
        git(project.root, "update-ref", ref, "HEAD")

    expected = {".mlops_nb/worktrees/a.new", ".dvc/cache/files/md5/ab/.cd.1.part", orphan, gone}
    month, now = timedelta(days=36_500), datetime.now(UTC)
    assert set(dispose(project, month, now, dry=True).leftovers) == expected
    assert set(dispose(project, month, now).leftovers) == expected
    assert dispose(project, month, now).leftovers == ()
    assert sorted(path.name for path in places.iterdir()) == ["b.new", "c.new"]
    assert sorted(path.name for path in objects.iterdir()) == [".ef.1.part", "whole"]
    refs = git(project.root, "for-each-ref", "--format=%(refname)", "refs/mlops_nb").split()
    assert refs == sorted([kept, ours, elsewhere])
    lock.release()


def test_what_killed_workers_have_left_on_a_node_goes_and_all_else_stays(tmp_path: Path) -> None:
    made(tmp_path / "a.clone")
    made(tmp_path / "b.clone", is_old=False)
    made(tmp_path / "c.1.bundle")
    made(tmp_path / "clone.d" / "file")
    made(tmp_path / "cache/files/md5/ab/.cd.1.part")
    made(tmp_path / "cache/files/md5/ab/whole")
    tidy_folder(tmp_path, tmp_path / "cache")
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert left == {"b.clone", "clone.d"}
    assert (tmp_path / "cache/files/md5/ab/whole").exists()


def test_a_node_that_was_not_the_first_leaves_no_clone_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_NB_NODE_FOLDER", str(tmp_path))
    folder = tmp_path / "key"
    made(folder / "clone" / "of the first")  # so that the second cannot put its own there

    class Spare(Node):
        """One that starts no processes."""

        def _ready(self) -> None:  # type: ignore[override]
            git(folder / "clone", "init", "--quiet")

    monkeypatch.setattr("mlops_nb.sweep.node.set_up", lambda *_: git(folder, "init", "--quiet"))
    Spare().welcome({"key": "key", "prefix": "", "who": {}, "paths": []})
    assert list(folder.glob("*.clone")) == []
