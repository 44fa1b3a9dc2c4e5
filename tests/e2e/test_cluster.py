"""A sweep on two Ray nodes that share nothing with each other or with the driver."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from mlops_nb.core.locks import is_locked
from mlops_nb.runs.run import Run
from mlops_nb.sweep.job import ORDERS
from tests.ray_nodes import Nodes, two_nodes

from .conftest import Shop, environment
from .test_run import repository_inside, state_of
from .test_sweep import how, runs_of

pytestmark = pytest.mark.slow

SEEN = """
def seen():
    import os, time
    home = os.environ["HOME"]
    with open(os.path.join(home, "seen"), "a") as file:
        print(os.getcwd(), file=file, flush=True)
    while os.path.exists(os.path.join(home, "hang")):
        time.sleep(0.1)
"""


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Give a Ray cluster of two nodes."""
    with two_nodes(tmp_path_factory.mktemp("nodes")) as found:
        yield found


@pytest.fixture
def wary(shop: Shop) -> Shop:
    """Return the project with an `evaluate` that notes where it is, and hangs if it is told to."""
    shop.path("shop/score.py").write_text(
        shop.text("shop/score.py").replace("    return sum", "    seen()\n    return sum") + SEEN
    )
    return shop


def sweep(shop: Shop, place: str, *overrides: str) -> subprocess.Popen[str]:
    """Begin a sweep of the project."""
    command = [sys.executable, "-m", "mlops_nb", "sweep", *overrides, "--json", "--on", place]
    return subprocess.Popen(
        command, cwd=shop.root, env=environment(), text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip


def ended(running: subprocess.Popen[str], code: int = 0) -> tuple[dict[str, Any], str]:
    """Wait for the end of a sweep; return its summary and what it said."""
    told, said = running.communicate(timeout=400)
    assert running.returncode == code, said
    return json.loads(told), said


def seen(folder: Path) -> list[str]:
    """Return where trials were on a node."""
    file = folder / "home" / "seen"
    return file.read_text().splitlines() if file.exists() else []


def test_a_sweep_on_two_nodes_leaves_what_one_here_leaves(wary: Shop, nodes: Nodes) -> None:
    before, executions = state_of(wary.root), list(wary.path(".mlops_nb/executions").iterdir())
    found, said = ended(
        sweep(wary, nodes.client, "train=mean,median", "train.shrink=0.5,0.25", "--name", "far")
    )
    assert [trial["state"] for trial in found["trials"]] == ["ok"] * 4, said
    assert f"connecting to the Ray cluster at {nodes.client}" in said
    assert state_of(wary.root) == before
    assert how(wary, "prepare") == ["unchanged"] * 4 or set(how(wary, "prepare")) == {"restored"}
    assert how(wary, "train") == ["ran"] * 4
    for folder in nodes.folders:
        places = seen(folder)
        assert places and all(Path(place).is_relative_to(folder) for place in places)
        (private,) = (folder / "cache" / "mlops_nb" / "nodes").iterdir()
        assert private.stat().st_mode & 0o777 == 0o700
        assert not list((private / "clone" / ".mlops_nb" / "runs").glob("2*"))
    assert list(wary.path(".mlops_nb/executions").iterdir()) == executions
    for run in runs_of(wary):
        folder = wary.path(f".mlops_nb/runs/{run.id}")
        assert (folder / "reports" / "train.ipynb").exists()
        assert (folder / "plots" / "train" / "loss.csv").exists()
        assert (folder / "executions" / "train" / "journal.jsonl").exists()
    names = sorted(run.more["experiment"]["name"] for run in runs_of(wary))
    assert names == ["far", "far-2", "far-3", "far-4"]


def test_an_experiment_that_came_home_can_be_applied(wary: Shop, nodes: Nodes) -> None:
    ended(sweep(wary, nodes.client, "train=median", "train.shrink=0.5,0.125"))
    (run,) = [run for run in runs_of(wary) if "train.shrink=0.125" in run.overrides]
    wary.run("dvc", "exp", "apply", run.more["experiment"]["name"])
    assert json.loads(wary.text("models/model.json"))["family"] == "median"
    assert "shrink: 0.125" in wary.text("params.yaml")
    wary.run("dvc", "status")
    assert wary.repro() == set()


def test_a_node_that_is_killed_costs_its_trial_another_attempt(
    wary: Shop, nodes: Nodes, tmp_path: Path
) -> None:
    before = len(seen(nodes.folders[1]))
    (nodes.folders[1] / "home" / "hang").touch()
    running = sweep(wary, nodes.client, "train.shrink=0.5,0.25,0.75,0.625")
    while len(seen(nodes.folders[1])) == before:
        assert running.poll() is None, running.communicate()
        time.sleep(0.1)
    nodes.kill(1)
    found, said = ended(running)
    nodes.add(tmp_path / "three")
    assert [trial["state"] for trial in found["trials"]] == ["ok"] * 4, said
    states = sorted(run.state for run in runs_of(wary))
    assert states == ["killed:signal", "ok", "ok", "ok", "ok"]
    (lost,) = [run for run in runs_of(wary) if run.state != "ok"]
    assert "nothing more was heard" in lost.more["failure"]["message"]


def test_a_ray_of_our_own_is_bound_to_loopback_and_ends_with_the_sweep(wary: Shop) -> None:
    running = sweep(wary, "ray", "train.shrink=0.5,0.25", "-j", "1")
    there, listening = set(), set()
    while running.poll() is None:
        for process in psutil.Process(running.pid).children(recursive=True):
            try:
                there.add(process)
                ports = process.net_connections("inet")
            except psutil.Error:
                continue
            listening |= {port.laddr.ip for port in ports if port.status == psutil.CONN_LISTEN}
        time.sleep(1)
    found, said = ended(running)
    assert "starting a Ray on this machine" in said
    assert [trial["state"] for trial in found["trials"]] == ["ok"] * 2
    assert listening and listening <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    _, alive = psutil.wait_procs(there, timeout=60)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def test_nobody_at_the_address_is_said_in_one_line(shop: Shop) -> None:
    done = shop.tool("sweep", "train.shrink=0.5,0.25", "--on", "ray:127.0.0.1:9", code=2)
    (line,) = [line for line in done.stderr.splitlines() if "error" in line]
    assert "no Ray answers at 127.0.0.1:9" in line and "Traceback" not in done.stderr


def test_overrides_are_checked_before_ray_is_started(shop: Shop) -> None:
    done = shop.tool("sweep", "train.shrnk=0.5", "--on", "ray", code=2)
    assert "shrnk" in done.stderr and "starting a Ray" not in done.stderr
    assert not shop.path(".mlops_nb/sweeps").exists()


def test_a_sweep_that_finds_no_ray_is_not_kept(shop: Shop) -> None:
    shop.tool("sweep", "train.shrink=0.5", "--on", "ray:127.0.0.1:9", code=2)
    assert not list(shop.path(".mlops_nb/sweeps").glob("*.json"))
    assert shop.run("git", "for-each-ref", "refs/mlops_nb/sweeps").stdout == ""


def test_submodules_are_refused_before_ray_is_started(shop: Shop, tmp_path: Path) -> None:
    repository_inside(shop, tmp_path)
    done = shop.tool("sweep", "train.shrink=0.5", "--on", "ray", code=2)
    (line,) = [line for line in done.stderr.splitlines() if "error" in line]
    assert "submodules, and there is shop/parts" in line and "without `--on ray`" in line
    assert "starting a Ray" not in done.stderr


def test_jobs_of_slurm_leave_what_a_sweep_here_leaves(shop: Shop) -> None:
    running = sweep(shop, "slurm:local,cpus=1", "train=median", "train.shrink=0.5,0.25", "-j", "2")
    found, said = ended(running)
    assert [trial["state"] for trial in found["trials"]] == ["ok"] * 2, said
    assert how(shop, "train") == ["ran"] * 2
    assert all(isinstance(run, Run) and run.more["experiment"] for run in runs_of(shop))
    assert not list(shop.path(".mlops_nb/slurm").iterdir())


JOB = """
import sys, time
from pathlib import Path
from mlops_nb.core.project import Project
from mlops_nb.sweep.conduct import conduct
from mlops_nb.sweep.plan import plan_sweep
from mlops_nb.sweep.slurm import Slurm

project = Project(Path.cwd())
conduct(project, plan_sweep(project, ["train.shrink=0.5,0.25"], jobs=1),
        Slurm(project, local=True, patience=float(sys.argv[1])))
"""


def driven(shop: Shop, patience: int) -> subprocess.Popen[bytes]:
    """Begin a sweep as jobs that wait in `evaluate` for ever; return the driver when one does."""
    hang = "\n\ndef hang():\n    import pathlib, time\n    pathlib.Path(HERE).touch()\n"
    hang += "    time.sleep(600) if pathlib.Path(STAY).exists() else None\n"
    for word, name in (("HERE", "here"), ("STAY", "stay")):
        hang = hang.replace(word, repr(str(shop.path(name))))
    score = shop.text("shop/score.py").replace("    return sum", "    hang()\n    return sum")
    shop.path("shop/score.py").write_text(score + hang)
    shop.path(".git/info/exclude").write_text("/here\n/stay\n")
    shop.path("stay").touch()
    words = [sys.executable, "-c", JOB, str(patience)]
    driver = subprocess.Popen(words, cwd=shop.root, env=environment())
    while not shop.path("here").exists():
        assert driver.poll() is None
        time.sleep(0.1)
    return driver


def locked_runs(shop: Shop) -> list[Path]:
    """Return the folders of the runs that go on."""
    return [lock.parent for lock in shop.path(".mlops_nb/runs").glob("*/lock") if is_locked(lock)]


def test_jobs_end_whose_driver_was_killed_and_what_they_did_is_on_record(shop: Shop) -> None:
    driver = driven(shop, patience=8)
    driver.kill()
    driver.wait()
    while locked_runs(shop):
        time.sleep(0.2)
    (run,) = runs_of(shop)
    assert run.state == "cancelled"
    shop.path("stay").unlink()
    found, said = ended(sweep_again(shop, run.origin["sweep"], "slurm:local"))
    assert [trial["state"] for trial in found["trials"]] == ["ok"] * 2, said
    assert len(runs_of(shop)) == 3


def test_a_trial_that_goes_on_is_left_out_when_its_sweep_is_resumed(shop: Shop) -> None:
    driver = driven(shop, patience=3600)
    driver.kill()
    driver.wait()
    (folder,) = locked_runs(shop)
    (run,) = runs_of(shop)
    try:
        shop.path("stay").unlink()  # for the other one
        found, said = ended(sweep_again(shop, run.origin["sweep"], "pool"), code=1)
        assert "1 trial(s) still go on from before, and are left out" in said
        assert [trial["state"] for trial in found["trials"]] == ["running", "ok"], said
        assert locked_runs(shop) == [folder]
    finally:
        (news,) = shop.path(".mlops_nb/slurm").glob("*/*/news.jsonl")
        news.with_name(ORDERS).write_text("!")
        while locked_runs(shop):
            time.sleep(0.2)


def sweep_again(shop: Shop, id: str, place: str) -> subprocess.Popen[str]:
    """Resume a sweep."""
    return sweep(shop, place, "--resume", id)


@pytest.mark.parametrize(
    ("place", "words"),
    [("slurm", "no command `sbatch`"), ("rey", "there is pool, ray"), ("ray,cpus=0", "from 1")],
)
def test_a_place_that_is_not_there_is_said_in_one_line(shop: Shop, place: str, words: str) -> None:
    done = shop.tool("sweep", "train.shrink=0.5,0.25", "--on", place, code=2)
    (line,) = done.stderr.strip().splitlines()
    assert words in line
    assert not shop.path(".mlops_nb/runs").exists() and not shop.path(".mlops_nb/sweeps").exists()
