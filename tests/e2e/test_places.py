"""What one does with single runs: record the workspace's own, run again, restore, open."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_nb.runs.run import Run
from mlops_nb.runs.store import Store

from .conftest import Shop, environment, write_stage

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm")]

TRAIN = "nbs/pipeline/20_train.ipynb"


def records(shop: Shop) -> list[Run]:
    """Return the records of the project, oldest first; all can be read."""
    store = Store(shop.path(".mlops_nb/runs"))
    found = [store.read(run) for run in store.ids()]
    assert all(isinstance(run, Run) for run in found), found
    return [run for run in found if isinstance(run, Run)]


def kept_refs(shop: Shop, below: str = "refs/mlops_nb") -> list[str]:
    listed = shop.run("git", "for-each-ref", "--format=%(refname)", below).stdout
    return listed.splitlines()


def shrink(shop: Shop, value: float) -> None:
    shop.path("conf/train/mean.yaml").write_text(f"family: mean\nshrink: {value}\n")


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that a command fails with."""
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return line


# the workspace's own reproduction


def test_a_reproduction_of_the_workspace_is_on_record(shop: Shop) -> None:
    shrink(shop, 0.5)
    done = shop.tool("repro")
    (run,) = records(shop)
    assert f"run {run.id} is kept" in done.stderr.splitlines()
    assert run.state == "ok" and run.origin == {"kind": "repro"}
    assert run.params["train"]["shrink"] == 0.5 and run.stages["train"]["how"] == "ran"
    assert run.stages["train"]["cpu_seconds"] > 0
    assert run.command == ("mlops-nb", "repro")
    lock = shop.run("git", "show", f"{run.more['left']}:dvc.lock").stdout
    assert lock == shop.text("dvc.lock")
    assert shop.run("git", "merge-base", run.code["commit"], run.more["left"]).stdout.strip()


def test_a_reproduction_in_which_nothing_ran_leaves_no_record(shop: Shop) -> None:
    before = shop.run("git", "status", "--porcelain").stdout
    assert "nothing has changed" in shop.tool("repro").stdout
    shrink(shop, 0.5)
    shop.tool("repro", "--dry")
    shop.tool("repro", "no-such-stage", code=2)
    assert records(shop) == [] and kept_refs(shop) == []
    shop.run("git", "checkout", "--", "conf")
    assert shop.run("git", "status", "--porcelain").stdout == before


def test_a_reproduction_that_fails_is_on_record_as_failed(shop: Shop) -> None:
    shop.replace("shop/score.py", "return sum", "raise ValueError('no score')\n    return sum")
    done = shop.tool("repro", code=1)
    (run,) = records(shop)
    assert run.state == "error" and run.stages["evaluate"]["error"]["message"] == "no score"
    assert f"run {run.id} is kept" in done.stderr


def begun(shop: Shop) -> subprocess.Popen[str]:
    """Return a reproduction that is at work in `train`, which takes long."""
    slow = "def read(path):\n    import time; time.sleep(60)"
    shop.replace("shop/table.py", "def read(path):", slow)
    command = [sys.executable, "-m", "mlops_nb", "repro"]
    running = subprocess.Popen(
        command, cwd=shop.root, env=environment(), stderr=subprocess.PIPE, text=True
    )
    assert running.stderr
    for line in running.stderr:
        if line.startswith("train: running"):
            break
    return running


def test_an_interrupted_reproduction_is_on_record_as_cancelled(shop: Shop) -> None:
    running = begun(shop)
    running.send_signal(signal.SIGINT)
    running.communicate()
    assert running.returncode == 130
    (run,) = records(shop)
    assert run.state == "cancelled" and run.finished


def test_a_killed_reproduction_is_on_record_as_killed(shop: Shop) -> None:
    running = begun(shop)
    running.kill()
    running.communicate()
    (run,) = records(shop)
    assert run.state == "killed:signal"


def test_a_reproduction_whose_worker_is_killed_is_on_record_as_killed(shop: Shop) -> None:
    running = begun(shop)
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    workers = [
        int(child)
        for child in children
        if b"mlops_nb.pipeline.worker" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    os.kill(workers[0], signal.SIGKILL)
    running.communicate()
    assert running.returncode == 3
    (run,) = records(shop)
    assert run.state == "killed:signal" and run.finished
    assert run.more["failure"]["error"] == "PipelineKilled"


def test_a_reproduction_before_the_first_commit_is_on_record(shop: Shop) -> None:
    shop.run("git", "update-ref", "-d", "HEAD")
    shrink(shop, 0.5)
    shop.tool("repro")
    (run,) = records(shop)
    assert run.state == "ok" and run.code["base"] is None


def test_a_reproduction_goes_on_where_no_record_can_be_made(shop: Shop) -> None:
    shop.path(".mlops_nb/runs").write_text("in the way")
    shrink(shop, 0.5)
    done = shop.tool("repro")
    (line,) = [line for line in done.stderr.splitlines() if "not on record" in line]
    assert ".mlops_nb/runs" in line and "Traceback" not in done.stderr
    assert "0.5" in shop.text("params.yaml") and kept_refs(shop) == []


def test_a_reproduction_succeeds_although_its_record_cannot_be_completed(shop: Shop) -> None:
    lines = "import shutil\nshutil.rmtree('.mlops_nb/runs')\nopen('.mlops_nb/runs', 'w').close()"
    shop.replace("shop/score.py", '"""Score a model."""', f'"""Score a model."""\n{lines}')
    done = shop.tool("repro")
    (line,) = [line for line in done.stderr.splitlines() if "is not complete" in line]
    assert line.startswith("the record of run ") and "Traceback" not in done.stderr


def test_a_reproduction_goes_on_where_git_cannot_read_a_file(shop: Shop) -> None:
    shop.path(".git/index").write_bytes(b"torn")
    shrink(shop, 0.5)
    done = shop.tool("repro", code=None)
    assert "is not on record: " in done.stderr and "Traceback" not in done.stderr


def test_no_secret_gets_on_record(shop: Shop) -> None:
    secret = "hunter2-is-no-longer-secret"
    parameters = """
from mlops_nb import In, Metrics, Secret

table: In = "data/table.csv"
metrics: Metrics = "metrics/publish.json"
token: Secret = "env:SHOP_TOKEN"
"""
    code = "import warnings\nfrom mlops_nb import record\nrecord(size=len(token))\n"
    failing = code + "raise ValueError(f'not welcome: {token}')"
    write_stage(shop.path("nbs/pipeline/40_publish.ipynb"), "Publish", parameters, failing)
    shop.tool("compose", "--write")
    shop.tool("pipeline", "sync")
    command = [sys.executable, "-m", "mlops_nb"]
    given = {**environment(), "SHOP_TOKEN": secret}
    for words, exit_code in (("repro",), 1), (("run", "train.shrink=0.5"), 1), (
        ("run", f"publish.token={secret}"), 2,
    ):  # fmt: skip
        done = subprocess.run(
            [*command, *words], cwd=shop.root, env=given, capture_output=True, text=True
        )
        assert done.returncode == exit_code, done.stderr
        assert secret not in done.stdout + done.stderr
    assert [run.state for run in records(shop)] == ["error", "error"]
    assert records(shop)[0].params["publish"]["token"] == "env:SHOP_TOKEN"
    for path in shop.path(".mlops_nb").rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path
    assert json.loads(json.dumps(records(shop)[0].to_json()))


# a run once more


def test_a_rerun_has_the_code_and_the_config_of_the_run(shop: Shop) -> None:
    shop.tool("run", "train=median", "train.shrink=0.5", "--name", "first")
    (first,) = records(shop)
    shop.replace("conf/train/median.yaml", "max_depth: 4", "max_depth: 9")
    shop.replace("conf/config.yaml", "rows: 20", "rows: 30")
    shop.replace("shop/score.py", "/ len(values)", "+ 1")
    shop.commit()
    shop.tool("rerun", "first")
    _, again = records(shop)
    assert again.origin == {"kind": "rerun", "of": first.id} and again.state == "ok"
    assert again.params == first.params and again.metrics == first.metrics
    assert again.artifacts == first.artifacts and again.code["commit"] == first.code["commit"]
    assert {stage["how"] for stage in again.stages.values()} <= {"restored", "unchanged", "ran"}
    assert again.stages["train"]["how"] == "restored"
    shown = shop.run("git", "show", f"{again.more['experiment']['commit']}:params.yaml").stdout
    assert (
        shown == shop.run("git", "show", f"{first.more['experiment']['commit']}:params.yaml").stdout
    )


def test_overrides_come_on_top_of_what_the_run_had(shop: Shop) -> None:
    shop.tool("run", "train.shrink=0.5", "prepare.rows=25")
    first = records(shop)[-1]
    shop.tool("rerun", first.id, "train=median")
    second = records(shop)[-1]
    assert second.params["train"] == {"family": "median", "max_depth": 4, "shrink": 0.5}
    assert second.params["prepare"]["rows"] == 25
    shop.tool("rerun", second.id[-8:], "train.max_depth=6", "train.shrink=1.0", "--force")
    third = records(shop)[-1]
    assert third.params["train"] == {"family": "median", "max_depth": 6, "shrink": 1.0}
    assert third.stages["train"]["how"] == "ran"


def test_a_rerun_keeps_values_that_no_override_made(shop: Shop) -> None:
    shop.replace("params.yaml", "shrink: 1.0", "shrink: 0.25")
    shop.tool("repro")
    first = records(shop)[-1]
    assert first.params["train"]["shrink"] == 0.25
    shop.tool("rerun", first.id, "prepare.rows=22")
    second = records(shop)[-1]
    assert second.params["train"]["shrink"] == 0.25 and second.params["prepare"]["rows"] == 22
    shop.tool("rerun", first.id, "train.shrink=1.0")
    assert records(shop)[-1].params["train"]["shrink"] == 1.0


def test_a_rerun_that_cannot_be_is_refused_in_one_line_and_not_begun(shop: Shop) -> None:
    line = one_line(shop.tool("rerun", "nothing", code=2))
    assert "no run `nothing`" in line
    shop.path("notes.txt").write_text("so that the run has a commit of its own")
    shop.tool("run", "train.shrink=0.5", "--name", "half")
    assert "no key `train.shirnk`" in one_line(shop.tool("rerun", "half", "train.shirnk=1", code=2))
    (run,) = records(shop)
    assert shop.run("git", "worktree", "list").stdout.count("\n") == 1
    shop.run("git", "update-ref", "-d", f"refs/mlops_nb/runs/{run.id}")
    shop.run("git", "update-ref", "-d", kept_refs(shop, "refs/exps")[0])
    shop.run("git", "gc", "--quiet", "--prune=now")
    line = one_line(shop.tool("rerun", "half", code=2))
    assert f"the code of run {run.id} is gone: git has no commit {run.code['commit'][:8]}" in line
    assert len(records(shop)) == 1


# what a run was, beside the workspace


def outside(shop: Shop, *command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command, cwd=folder, env=environment(), text=True, capture_output=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_a_run_is_restored_into_a_folder_that_works(shop: Shop, tmp_path: Path) -> None:
    shop.tool("run", "train=median", "train.shrink=0.5", "--name", "half")
    (run,) = records(shop)
    status = shop.run("git", "status", "--porcelain").stdout
    done = shop.tool("restore", "half", "--to", "../beside it")
    place = tmp_path / "beside it"
    assert str(place) in done.stdout and "git worktree remove" in done.stdout
    assert json.loads((place / "models/model.json").read_text())["family"] == "median"
    assert "shrink: 0.5" in (place / "params.yaml").read_text()
    assert json.loads((place / "metrics/train.json").read_text()) == run.metrics["train"]
    assert "up to date" in outside(shop, "dvc", "status", folder=place).stdout
    assert "up to date" in outside(shop, "dvc", "repro", folder=place).stdout
    assert shop.run("git", "status", "--porcelain").stdout == status
    shop.run("git", "worktree", "remove", "../beside it")
    assert not place.exists()


def test_a_reproduction_that_failed_is_restored_as_it_was_left(shop: Shop, tmp_path: Path) -> None:
    shrink(shop, 0.5)
    shop.replace("shop/score.py", "return sum", "raise ValueError('no score')\n    return sum")
    shop.tool("repro", code=1)
    model, lock = shop.text("models/model.json"), shop.text("dvc.lock")
    shop.run("git", "checkout", "--", ".")
    shop.tool("restore", records(shop)[0].id, "--to", str(tmp_path / "new" / "place"))
    place = tmp_path / "new" / "place"
    assert (place / "models/model.json").read_text() == model
    assert (place / "dvc.lock").read_text() == lock
    assert "no score" in (place / "shop/score.py").read_text()


def test_a_run_without_its_experiment_is_restored_with_its_parameters(
    shop: Shop, tmp_path: Path
) -> None:
    shop.tool("run", "train.shrink=0.5", "--name", "half")
    shop.run("git", "update-ref", "-d", kept_refs(shop, "refs/exps")[0])
    shop.run("git", "gc", "--quiet", "--prune=now")
    shop.tool("restore", "half", "--to", str(tmp_path / "place"))
    assert "shrink: 0.5" in (tmp_path / "place/params.yaml").read_text()
    assert (tmp_path / "place/data/table.csv").is_file()


def test_outputs_that_the_cache_lacks_are_named(shop: Shop, tmp_path: Path) -> None:
    shop.tool("run", "train.shrink=0.5", "--name", "half")
    digest = records(shop)[0].artifacts["models/model.json"]["hash"].partition(":")[2]
    shop.path(f".dvc/cache/files/md5/{digest[:2]}/{digest[2:]}").unlink()
    done = shop.tool("restore", "half", "--to", str(tmp_path / "place"), code=1)
    assert "the cache lacks 1 output(s): models/model.json; " in one_line(done)
    assert (tmp_path / "place/data/table.csv").is_file()


def test_a_restore_that_cannot_be_is_refused_in_one_line(shop: Shop, tmp_path: Path) -> None:
    shop.path("notes.txt").write_text("so that the run has a commit of its own")
    shop.tool("run", "train.shrink=0.5", "--name", "half")
    (run,) = records(shop)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    for words, said in {
        ("nothing", "--here"): "no run `nothing`",
        ("half", "--to", str(tmp_path / "full")): "is not empty",
        ("half", "--to", str(tmp_path / "full" / "file")): "is not a folder",
        ("half", "--to", "inside"): "is inside the workspace",
        ("half", "--to", "not/made/inside"): "is inside the workspace",
        ("--undo",): "there is no restore to be undone",
        ("--undo", "nothing"): "no restore `nothing`",
    }.items():
        assert said in one_line(shop.tool("restore", *words, code=2))
    assert not shop.path("not").exists()
    for words in (("half", "--here", "--to", "x"), ("half",), ("--here",), ("half", "--undo=x")):
        done = shop.tool("restore", *words, code=2)
        assert "Error: " in done.stderr and "Traceback" not in done.stderr
    shop.run("git", "update-ref", "-d", f"refs/mlops_nb/runs/{run.id}")
    shop.run("git", "update-ref", "-d", kept_refs(shop, "refs/exps")[0])
    shop.run("git", "gc", "--quiet", "--prune=now")
    for words in (("half", "--to", str(tmp_path / "new")), ("half", "--here", "--yes")):
        assert "the code of run" in one_line(shop.tool("restore", *words, code=2))
    assert not (tmp_path / "new").exists()
    assert shop.run("git", "worktree", "list").stdout.count("\n") == 1


def test_where_git_cannot_note_a_worktree_a_restore_says_so_and_makes_nothing(
    shop: Shop, tmp_path: Path
) -> None:
    shop.tool("run", "train.shrink=0.5", "--name", "half")
    shop.path(".git/worktrees").write_text("in the way")
    line = one_line(shop.tool("restore", "half", "--to", str(tmp_path / "new" / "place"), code=2))
    assert f"{shop.path('.git/worktrees')} cannot be written (" in line and "worktree" in line
    assert not (tmp_path / "new").exists()


def test_a_folder_of_which_the_cache_lacks_a_file_is_named(shop: Shop, tmp_path: Path) -> None:
    shop.tool("run", "train.shrink=0.5", "--name", "half")
    shop.path("raw").mkdir()
    for name in ("a", "b"):
        shop.path(f"raw/{name}").write_text(name)
    shop.run("dvc", "add", "--quiet", "raw")
    shrink(shop, 0.25)
    shop.tool("repro")
    digest = hashlib.md5(b"a", usedforsecurity=False).hexdigest()
    shop.path(f".dvc/cache/files/md5/{digest[:2]}/{digest[2:]}").unlink()
    run = records(shop)[-1].id
    done = shop.tool("restore", run, "--to", str(tmp_path / "place"), "--json", code=1)
    assert json.loads(done.stdout)["missing"] == ["raw"]
    assert (tmp_path / "place/models/model.json").is_file()


# what a run was, in the workspace


def everything(shop: Shop) -> dict[str, tuple[bytes, int]]:
    """Return the bytes and the mode of every file but what git, DVC and we keep for ourselves."""
    own = (".mlops_nb", ".git", "__pycache__", "cache", "tmp")
    return {
        str(path.relative_to(shop.root)): (path.read_bytes(), path.stat().st_mode)
        for path in sorted(shop.root.rglob("*"))
        if path.is_file() and not set(own) & set(path.relative_to(shop.root).parts)
    }


def git_state(shop: Shop) -> list[str]:
    words = (("status", "--porcelain"), ("diff", "--cached"), ("ls-files", "--stage"))
    return [shop.run("git", *some).stdout for some in words]


def edited_workspace(shop: Shop) -> None:
    """Leave a workspace in which much differs from what the run called `half` has."""
    shop.path("notes.txt").write_text("as in the run")
    shop.path("gone.py").write_text("WAS = 1\n")
    shop.tool("run", "train=median", "train.shrink=0.5", "--name", "half")
    shop.path("gone.py").unlink()
    shop.path("notes.txt").write_text("edited, and not tracked")
    shop.path("late file\n.txt").write_text("not tracked, not in the run")
    shop.path("new/part.py").parent.mkdir()
    shop.path("new/part.py").write_text("tracked, not in the run")
    shop.run("git", "add", "new/part.py")
    shop.path("new/part.py").write_text("and edited")
    shop.replace("shop/score.py", "Score a model.", "Score a model, edited.")
    shop.run("git", "add", "shop/score.py")
    shop.replace("shop/score.py", "edited.", "edited twice.")
    shop.path("shop/table.py").chmod(0o755)
    shop.path("models/model.json").write_text("an output edited by hand, in no cache")
    shop.path("data/table.csv").unlink()
    shop.path("reports/evaluate.ipynb").write_text("an output edited by hand that the run shares")


def test_what_a_restore_replaces_comes_back_to_the_byte(shop: Shop) -> None:
    edited_workspace(shop)
    before, state = everything(shop), git_state(shop)
    done = shop.tool("restore", "half", "--here", "--yes")
    assert "models/model.json" in done.stdout and "outputs: 3 changed, 1 added" in done.stdout
    assert json.loads(shop.text("models/model.json"))["family"] == "median"
    assert shop.path("data/table.csv").is_file() and shop.path("gone.py").is_file()
    assert "shrink: 0.5" in shop.text("params.yaml")
    assert shop.text("notes.txt") == "as in the run" and not shop.path("new").exists()
    assert shop.text("late file\n.txt") == "not tracked, not in the run"
    assert "edited" not in shop.text("shop/score.py")
    assert shop.path("shop/table.py").stat().st_mode & 0o111 == 0
    assert "up to date" in shop.run("dvc", "status").stdout
    assert len(kept_refs(shop, "refs/mlops_nb/undo")) == 1
    restored = everything(shop)
    shop.path("notes.txt").write_text("edited after the restore")
    later = everything(shop)
    undone = shop.tool("restore", "--undo")
    assert everything(shop) == before and git_state(shop) == state
    shop.tool("restore", "--undo", undone.stdout.split()[-1])
    assert everything(shop) == later != restored
    assert "there is no restore" in one_line(shop.tool("restore", "--undo", code=2))


def test_a_restore_asks_and_changes_nothing_without_a_yes(shop: Shop) -> None:
    edited_workspace(shop)
    before, state = everything(shop), git_state(shop)
    command = [sys.executable, "-m", "mlops_nb", "restore", "half", "--here"]
    for answer, code, said in (("n\n", 0, "nothing was changed"), ("", 2, "nothing was restored")):
        done = subprocess.run(
            command, cwd=shop.root, env=environment(), input=answer, text=True, capture_output=True
        )
        assert done.returncode == code and said in done.stdout + done.stderr
        assert "not committed: " in done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {shop.root}: ") and "say --yes" in line
    assert everything(shop) == before and git_state(shop) == state
    assert kept_refs(shop, "refs/mlops_nb/undo") == []


def test_a_restore_that_dvc_cannot_finish_puts_everything_back(shop: Shop) -> None:
    edited_workspace(shop)
    seen = json.loads(shop.tool("restore", "half", "--here", "--yes", "--json").stdout)
    assert {change["path"] for change in seen["changes"]} >= {"notes.txt", "models/model.json"}
    shop.tool("restore", "--undo")
    before, state = everything(shop), git_state(shop)
    holding = "import sys, time; from dvc.repo import Repo\nwith Repo('.').lock: print(flush=True)"
    holder = subprocess.Popen(
        [sys.executable, "-c", f"{holding}; time.sleep(300)"],
        cwd=shop.root, env=environment(), stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert holder.stdout and holder.stdout.readline()
        assert "lock" in one_line(shop.tool("restore", "half", "--here", "--yes", code=2))
    finally:
        holder.kill()
        holder.wait()
    assert everything(shop) == before and git_state(shop) == state


def test_a_file_that_is_in_the_way_is_named_and_nothing_changes(shop: Shop) -> None:
    shop.path("extra.py").write_text("CODE = 1\n")
    shop.tool("run", "train.shrink=0.5", "--name", "half")
    shop.path("extra.py").unlink()
    shop.path("extra.py").mkdir()
    shop.path("extra.py/precious").write_text("not tracked")
    before = everything(shop)
    line = one_line(shop.tool("restore", "half", "--here", "--yes", code=2))
    assert "extra.py/precious is in the way of extra.py of the run" in line
    assert everything(shop) == before


# the reports of a run


def test_the_reports_of_a_run_are_pages(shop: Shop, tmp_path: Path) -> None:
    shop.tool("run", "train.shrink=0.5", "--name", "half")
    (run,) = records(shop)
    kept = {path: path.read_bytes() for path in shop.path(".mlops_nb/runs").rglob("*.ipynb")}
    page = Path(shop.tool("open", "half", "--print").stdout.strip())
    assert 'href="train.html"' in page.read_text() and run.id in page.read_text()
    assert "fitted" in (page.parent / "train.html").read_text()
    assert page.parent.stat().st_mode & 0o077 == 0
    assert page.is_relative_to(shop.path(".mlops_nb")) and run.id in str(page)
    (page.parent / "train.html").unlink()
    browser = tmp_path / "browser"
    browser.write_text(f"#!/bin/sh\necho \"$1\" > '{tmp_path}/opened'\n")
    browser.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-m", "mlops_nb", "open", "half", "train"],
        cwd=shop.root, env={**environment(), "BROWSER": str(browser)}, text=True,
        capture_output=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == str(page.parent / "train.html")
    assert (tmp_path / "opened").read_text().strip() == (page.parent / "train.html").as_uri()
    assert all(path.read_bytes() == content for path, content in kept.items())


def test_a_stage_that_failed_opens_with_what_ran_of_it(shop: Shop) -> None:
    failing = "raise ValueError('<script>no score')\n    return sum"
    shop.replace("shop/score.py", "return sum", failing)
    shop.tool("run", code=1)
    (run,) = records(shop)
    index = Path(shop.tool("open", run.id, "--print").stdout.strip()).read_text()
    assert "&lt;script&gt;no score" in index and "<script>" not in index
    page = Path(shop.tool("open", run.id, "evaluate", "--print").stdout.strip())
    assert "ValueError" in page.read_text()


def test_what_cannot_be_opened_is_said_in_one_line(shop: Shop) -> None:
    assert "no run `nothing`" in one_line(shop.tool("open", "nothing", code=2))
    shop.tool("run", "train.shrink=0.5", "--name", "half")
    line = one_line(shop.tool("open", "half", "trian", code=2))
    assert "no report of `trian`; did you mean `train`?" in line
