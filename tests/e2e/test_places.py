"""What one does with single runs: record the workspace's own, run again, restore, open."""

from __future__ import annotations

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

pytestmark = pytest.mark.slow

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
