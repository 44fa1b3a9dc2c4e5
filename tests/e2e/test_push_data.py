"""Outputs go to the DVC remote that the workspace has, from wherever its settings name it."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from .conftest import Shop

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm")]
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


# a colleague has them


@pytest.fixture
def receiver(sender: Shop) -> Shop:
    """Return a clone by a colleague who has the records, and no output."""
    sender.run("git", "push", "--quiet", "origin", "HEAD")
    sender.tool("runs", "push")
    place = sender.root.parent / "theirs"
    sender.run("git", "clone", "--quiet", "../remote", str(place))
    theirs = Shop(place)
    theirs.tool("runs", "pull")
    return theirs


def outputs_are_in(place: Path, record: Facts) -> None:
    """Check that the outputs of a run are in `place`."""
    digest = record["artifacts"]["models/model.json"]["hash"].removeprefix("md5:")
    model = (place / "models/model.json").read_bytes()
    assert hashlib.md5(model, usedforsecurity=False).hexdigest() == digest
    assert (place / "data/table.csv").is_file() and (place / "reports/train.ipynb").is_file()


@pytest.mark.parametrize("where", ["../store", "absolute"])
def test_a_restore_fetches_outputs_of_a_run_that_is_older_than_the_remote(
    ran: tuple[Shop, Facts], sender: Shop, receiver: Shop, where: str
) -> None:
    store = where if where[0] == "." else str(sender.root.parent / "store")
    for shop in (sender, receiver):
        shop.run("dvc", "remote", "add", "-d", "store", store)
    sender.tool("runs", "push", "--data")
    done = receiver.tool("restore", ran[1]["id"], "--to", "../beside", "--json")
    facts = json.loads(done.stdout)
    assert facts["missing"] == [] and facts["fetched"] > 0
    assert f"{facts['fetched']} file(s) came from the DVC remote" in done.stderr
    outputs_are_in(receiver.root.parent / "beside", ran[1])
    assert "came" not in receiver.tool("restore", ran[1]["id"], "--here", "--yes").stderr
    outputs_are_in(receiver.root, ran[1])
    assert not Path("/store").exists()


def test_a_restore_in_the_workspace_fetches_from_where_the_remote_is_today(
    sender: Shop, receiver: Shop
) -> None:
    sender.run("dvc", "remote", "add", "-d", "store", "../before")
    sender.commit()
    later = json.loads(sender.tool("run", "train.shrink=0.25", "--json").stdout)
    sender.run("dvc", "remote", "modify", "store", "url", "../today")
    sender.tool("runs", "push", "--data", later["id"])
    receiver.run("dvc", "remote", "add", "-d", "other", "../today")
    receiver.tool("runs", "pull")
    done = receiver.tool("restore", later["id"], "--here", "--yes")
    assert "file(s) came from the DVC remote" in done.stderr
    outputs_are_in(receiver.root, later)
    receiver.tool("restore", "--undo")
    assert not receiver.path("models/model.json").exists()


def test_what_the_remote_lacks_is_named_and_the_rest_restored_until_it_was_sent(
    ran: tuple[Shop, Facts], sender: Shop, receiver: Shop
) -> None:
    run = ran[1]["id"]
    for shop in (sender, receiver):
        shop.run("dvc", "remote", "add", "-d", "store", "../store")
    sender.tool("runs", "push", "--data")
    digest = ran[1]["artifacts"]["models/model.json"]["hash"].removeprefix("md5:")
    lost = sender.root.parent / "store" / "files" / "md5" / digest[:2] / digest[2:]
    lost.unlink()
    done = receiver.tool("restore", run, "--to", "../beside", "--json", code=1)
    assert json.loads(done.stdout)["missing"] == ["models/model.json"]
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "has all of 1 output(s): models/model.json; " in line
    assert f"`mlops-nb runs push --data {run}`" in line
    beside = receiver.root.parent / "beside"
    assert (beside / "data/table.csv").is_file() and not (beside / "models/model.json").exists()
    here = receiver.tool("restore", run, "--here", "--yes", code=1)
    assert "models/model.json" in here.stderr and receiver.path("data/table.csv").is_file()

    sender.tool("runs", "push", "--data", run)
    receiver.run(*shlex.split(line.split("`")[3]))
    assert "then `mlops-nb restore --undo` and restore once more" in here.stderr
    receiver.tool("restore", "--undo")  # the run has settings without a remote
    for words in (("--to", "../beside"), ("--here", "--yes")):
        receiver.tool("restore", run, *words)
    outputs_are_in(beside, ran[1])
    outputs_are_in(receiver.root, ran[1])


@pytest.mark.parametrize("has_one", [False, True])
def test_without_a_default_dvc_remote_a_restore_says_what_to_do(
    ran: tuple[Shop, Facts], sender: Shop, receiver: Shop, has_one: bool
) -> None:
    if has_one:
        receiver.run("dvc", "remote", "add", "store", "../store")
    run = ran[1]["id"]
    done = receiver.tool("restore", run, "--here", "--yes", code=1)
    (line,) = done.stderr.strip().splitlines()
    assert "models/model.json" in line and "`dvc remote default NAME`" in line
    assert f"`mlops-nb runs export --data {run} FILE`" in line
    sender.tool("runs", "export", "--data", run, "../run.zip")
    receiver.tool("runs", "import", "../run.zip")
    assert receiver.tool("restore", run, "--here", "--yes").stderr == ""
    outputs_are_in(receiver.root, ran[1])


def test_a_remote_that_cannot_be_read_costs_nothing_but_the_outputs(
    ran: tuple[Shop, Facts], receiver: Shop
) -> None:
    (receiver.root.parent / "store").write_text("no folder")
    receiver.run("dvc", "remote", "add", "-d", "store", "../store")
    done = receiver.tool("restore", ran[1]["id"], "--here", "--yes", code=1)
    assert "Traceback" not in done.stderr and "models/model.json" in done.stderr
    assert "shrink: 0.5" in receiver.text("params.yaml")
