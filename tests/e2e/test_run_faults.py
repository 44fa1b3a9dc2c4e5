"""Runs in repositories in every state, on disks that fill up, and after somebody was killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_nb.runs.folder import Broken
from mlops_nb.runs.run import Run
from mlops_nb.runs.store import Store

from .conftest import Shop, environment
from .test_full_disk import mounted
from .test_places import everything, git_state, one_line

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm")]


def records(shop: Shop) -> list[Run]:
    """Return the records of the project, oldest first; none of them is broken."""
    store = Store(shop.path(".mlops_nb/runs"))
    found = [store.read(run) for run in store.ids()]
    assert not [one for one in found if isinstance(one, Broken)], found
    return [run for run in found if isinstance(run, Run)]


def status(shop: Shop) -> bytes:
    """Return all that git says of the workspace, to the byte."""
    words = ("status", "--porcelain=v2", "--branch", "--show-stash", "-z", "--untracked-files=all")
    return subprocess.run(["git", *words], cwd=shop.root, capture_output=True, check=True).stdout


def test_what_happens_to_history_does_not_happen_to_runs(shop: Shop, tmp_path: Path) -> None:
    shop.path("shop/extra.py").write_text("HALF = 'a thought'\n")
    shop.tool("run", "train.shrink=0.5", "--name", "half")
    shop.path("shop/extra.py").unlink()
    branch = shop.run("git", "branch", "--show-current").stdout.strip()
    shop.run("git", "checkout", "--quiet", "-b", "side")
    shop.path("notes.txt").write_text("on the side")
    shop.commit()
    shop.run("git", "checkout", "--quiet", branch)
    shop.run("git", "commit", "--quiet", "--amend", "--message", "Amended")
    shop.run("git", "rebase", "--quiet", branch, "side")
    shop.run("git", "reflog", "expire", "--expire=now", "--all")
    shop.run("git", "gc", "--quiet", "--prune=now")
    moved = Shop(tmp_path / "moved here")
    shop.root.rename(moved.root)
    (run,) = records(moved)
    assert [one["name"] for one in json.loads(moved.tool("runs", "--json").stdout)] == ["half"]
    before = status(moved)
    moved.tool("rerun", "half")
    moved.tool("restore", "half", "--to", str(tmp_path / "beside"))
    assert status(moved) == before
    assert (tmp_path / "beside/shop/extra.py").read_text() == "HALF = 'a thought'\n"
    again = records(moved)[-1]
    assert again.metrics == run.metrics and again.code["commit"] == run.code["commit"]


def test_a_workspace_in_any_state_is_run_and_left_as_it_is(shop: Shop) -> None:
    names = ("with space.py", "with\nnewline.txt", "ünï\U0001f40d.py", "'quotes\"\\.txt", "-dash")
    for name in names:
        shop.path(name).write_text("NAME = 1\n")
    shop.run("git", "add", "--", names[0])
    shop.path(names[0]).write_text("NAME = 2\n")
    shop.run("git", "mv", "shop/__init__.py", "shop/moved.py")
    shop.path("shop/__init__.py").write_text("")
    shop.run("git", "rm", "--quiet", "--cached", "conf/train/median.yaml")
    with shop.path("weights.bin").open("wb") as file:
        file.truncate(2 * 2**30)
    shop.run("git", "checkout", "--quiet", "--detach")
    before, index = status(shop), shop.path(".git/index").read_bytes()
    done = shop.tool("run", "train=median")
    assert status(shop) == before and shop.path(".git/index").read_bytes() == index
    assert "warning: weights.bin is not in the run: 2,147,483,648 bytes" in done.stderr
    (run,) = records(shop)
    assert run.state == "ok" and run.code["branch"] is None
    assert [one["path"] for one in run.code["left_out"]] == ["weights.bin"]
    listed = shop.run("git", "ls-tree", "-r", "-z", "--name-only", run.code["commit"]).stdout
    assert set(names) <= set(listed.split("\0"))
    size = subprocess.run(["du", "-sk", shop.root], capture_output=True, check=True).stdout
    assert int(size.split()[0]) < 100_000


def test_a_run_before_the_first_commit_and_in_a_shallow_clone(shop: Shop, tmp_path: Path) -> None:
    shallow = Shop(tmp_path / "shallow")
    shop.run("git", "clone", "--quiet", "--depth=1", f"file://{shop.root}", str(shallow.root))
    shallow.tool("run", "train.shrink=0.5", "--name", "half")
    assert records(shallow)[0].state == "ok"
    assert "half" in shallow.run("dvc", "exp", "list", "--name-only").stdout
    shop.run("git", "update-ref", "-d", "HEAD")
    before = status(shop)
    shop.tool("run", "train.shrink=0.5")
    assert status(shop) == before
    (run,) = records(shop)
    assert run.state == "ok" and run.code["base"] is None and run.more["left"]
    shop.tool("rerun", run.id)
    assert records(shop)[-1].metrics == run.metrics


def test_a_file_that_git_lfs_keeps_is_there_in_a_run(shop: Shop) -> None:
    shop.run("git", "lfs", "install", "--local")
    shop.run("git", "lfs", "track", "*.big")
    shop.path("shop/scale.big").write_text("2")
    shop.commit()
    shop.path("shop/scale.big").write_text("3")
    shop.path("shop/untracked.big").write_text("4")
    read = "open('shop/scale.big').read() + open('shop/untracked.big').read()"
    shop.replace("shop/score.py", "/ len(values)", f"* int({read})")
    before = status(shop)
    shop.tool("run", "train.shrink=0.5")
    assert status(shop) == before
    (run,) = records(shop)
    assert run.state == "ok" and run.metrics["evaluate"]["error"]
    held = shop.run("git", "show", f"{run.code['commit']}:shop/scale.big").stdout
    assert held.startswith("version https://git-lfs.github.com/spec/v1")


# ---- interruptions of `restore --here` -----------------------------------------------------------


def edited(shop: Shop) -> None:
    """Leave a workspace in which much differs from what the run called `half` has."""
    shop.path("notes.txt").write_text("as in the run")
    shop.tool("run", "train=median", "train.shrink=0.5", "--name", "half")
    shop.path("notes.txt").write_text("edited, and not tracked")
    shop.replace("shop/score.py", "Score a model.", "Score a model, edited.")
    shop.path("models/model.json").write_text("an output edited by hand, in no cache")


def test_a_restore_that_is_killed_at_any_moment_can_be_undone(shop: Shop) -> None:
    edited(shop)
    before, state = everything(shop), git_state(shop)
    assert shop.run("git", "for-each-ref", "refs/mlops_nb/undo").stdout == ""
    command = [sys.executable, "-m", "mlops_nb", "restore", "half", "--here", "--yes"]
    undo = shop.path(".mlops_nb/undo")
    for number in range(8):
        with subprocess.Popen(
            command, cwd=shop.root, env=environment(), stdout=subprocess.DEVNULL,
            start_new_session=True,
        ) as running:  # fmt: skip
            while running.poll() is None and not (undo.is_dir() and os.listdir(undo)):
                time.sleep(0.001)
            time.sleep(number * 0.15)
            os.killpg(running.pid, signal.SIGKILL)
        if any(not name.startswith(".") for name in os.listdir(undo)):
            shop.tool("restore", "--undo")
        assert everything(shop) == before and git_state(shop) == state
        shutil.rmtree(undo)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Give a disk in memory that can be filled."""
    with mounted(tmp_path / "disk", "size=40m") as disk:
        yield disk


def fill(disk: Path, left: int) -> Path:
    """Fill a disk but for `left` KiB; return the file that does so."""
    ballast = disk / "ballast"
    free = shutil.disk_usage(disk).free - left * 1024
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, free))
    return ballast


@pytest.mark.parametrize("left", [0, 16, 100, 400])
def test_a_full_disk_loses_no_run_and_leaves_none_half_written(
    shop: Shop, small: Path, left: int
) -> None:
    shutil.copytree(shop.root, small / "shop", symlinks=True)
    there = Shop(small / "shop")
    there.tool("run", "train.shrink=0.5", "--name", "half")
    (first,) = records(there)
    before = status(there)
    ballast = fill(small, left)
    done = there.tool("run", "train.shrink=0.25", "--force", code=None)
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
    ballast.unlink()
    assert status(there) == before
    found = records(there)
    assert found[0] == first and all(run.state != "ok" for run in found[1:])
    there.tool("run", "train.shrink=0.25")
    assert records(there)[-1].state == "ok"
    assert os.listdir(there.path(".mlops_nb/worktrees")) == []
    assert there.run("git", "fsck", "--no-dangling").returncode == 0


@pytest.mark.parametrize("left", [0, 8, 40])
def test_a_restore_on_a_full_disk_loses_nothing(shop: Shop, small: Path, left: int) -> None:
    shutil.copytree(shop.root, small / "shop", symlinks=True)
    there = Shop(small / "shop")
    edited(there)
    before, state = everything(there), git_state(there)
    ballast = fill(small, left)
    done = there.tool("restore", "half", "--here", "--yes", code=None)
    ballast.unlink()
    if done.returncode == 0:
        there.tool("restore", "--undo")
    else:
        one_line(done)
    assert everything(there) == before and git_state(there) == state
