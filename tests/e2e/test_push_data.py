"""Outputs go to the DVC remote that the workspace has, from wherever its settings name it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from .conftest import Shop

pytestmark = pytest.mark.slow
Facts = dict[str, Any]


@pytest.fixture(scope="module")
def ran(finished_shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, Facts]:
    """Return a project with a git remote and a run, and the record of that."""
    shop = Shop(tmp_path_factory.mktemp("ran") / "shop")
    shutil.copytree(finished_shop.root, shop.root, symlinks=True)
    shop.run("git", "init", "--quiet", "--bare", str(shop.root.parent / "remote"))
    shop.run("git", "remote", "add", "origin", "../remote")
    return shop, json.loads(shop.tool("run", "train.shrink=0.5", "--json").stdout)


@pytest.fixture
def sender(ran: tuple[Shop, Facts], tmp_path: Path) -> Shop:
    """Return a copy of the project that has a run, and of its git remote."""
    shutil.copytree(ran[0].root.parent, tmp_path / "copy", symlinks=True)
    return Shop(tmp_path / "copy" / "shop")


def objects_in(folder: Path) -> set[str]:
    """Return the names of the objects in the cache or the remote `folder`."""
    files = folder / "files" / "md5"
    return {path.relative_to(files).as_posix() for path in files.rglob("*") if path.is_file()}


def outputs_of(record: Facts) -> set[str]:
    """Return the objects of some outputs of a run that DVC keeps."""
    paths = ("data/table.csv", "models/model.json", "reports/train.ipynb")
    hashes = [record["artifacts"][path]["hash"].removeprefix("md5:") for path in paths]
    return {f"{digest[:2]}/{digest[2:]}" for digest in hashes}


def test_a_remote_relative_to_the_settings_and_younger_than_the_run_gets_the_outputs(
    ran: tuple[Shop, Facts], sender: Shop
) -> None:
    sender.run("dvc", "remote", "add", "-d", "store", "../store")
    done = sender.tool("runs", "push", "--data", "--json")
    sent = objects_in(sender.root.parent / "store")
    assert outputs_of(ran[1]) <= sent
    assert json.loads(done.stdout)["files"] == len(sent)
    assert not Path("/store").exists()
    assert "0 file(s) sent to the DVC remote" in sender.tool("runs", "push", "--data").stdout


def test_outputs_go_where_the_remote_is_today_and_not_where_it_was_when_the_run_was_made(
    sender: Shop,
) -> None:
    sender.run("dvc", "remote", "add", "-d", "store", "../before")
    sender.commit()
    later = json.loads(sender.tool("run", "train.shrink=0.25", "--json").stdout)
    sender.run("dvc", "remote", "modify", "store", "url", "../today")
    sender.tool("runs", "push", "--data", later["id"])
    assert outputs_of(later) <= objects_in(sender.root.parent / "today")
    assert not Path("/before").exists() and not Path("/today").exists()
    assert not (sender.root.parent / "before").exists()


@pytest.mark.parametrize("has_one", [False, True])
def test_without_a_default_dvc_remote_nothing_is_sent_and_that_is_said(
    sender: Shop, has_one: bool
) -> None:
    if has_one:
        sender.run("dvc", "remote", "add", "store", "../store")
    done = sender.tool("runs", "push", "--data", code=2)
    (line,) = done.stderr.strip().splitlines()
    assert "nothing was sent" in line and "`dvc remote default NAME`" in line
    assert line.startswith(
        "error: none of the DVC remotes (store)" if has_one else "error: there is no DVC remote"
    )
    assert sender.run("git", "ls-remote", "origin").stdout == ""


def test_what_was_added_and_belongs_to_no_run_stays_here(shop: Shop, tmp_path: Path) -> None:
    shop.run("git", "init", "--quiet", "--bare", str(tmp_path / "git"))
    shop.run("git", "remote", "add", "origin", str(tmp_path / "git"))
    shop.run("dvc", "remote", "add", "-d", "store", str(tmp_path / "store"))
    shop.path("secret.txt").write_text("mine")
    shop.run("dvc", "add", "--quiet", "secret.txt")
    done = shop.tool("runs", "push", "--data", "--json")
    assert json.loads(done.stdout)["files"] == 0
    assert objects_in(tmp_path / "store") == set()
