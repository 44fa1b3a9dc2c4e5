"""Searches of the small project: what is found, what is pruned while it runs, how one goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from mlops_nb.core.project import Project
from mlops_nb.runs.store import Store
from mlops_nb.sweep.record import read_sweep

from .conftest import Shop, environment
from .test_run import state_of
from .test_sweep import runs_of

pytestmark = pytest.mark.slow

SMALL = ("--metric", "evaluate.error", "--direction", "minimize")
WORDS = ("train.shrink=interval(0.5,1.5)", "train=mean,median", *SMALL, "--seed", "3")
LOSS = """

def loss(step, shrink):
    if shrink > 1 and step == 2:
        import time

        time.sleep(300)
    return shrink / (step + 1)
"""


def search(shop: Shop, *arguments: str, code: int = 0) -> dict[str, Any]:
    """Run a search, and return its summary."""
    done = shop.tool("sweep", "--search", *arguments, "--json", code=code)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_a_search_finds_the_best_trial_and_says_how_it_was_asked(shop: Shop) -> None:
    before = state_of(shop.root)
    found = search(shop, *WORDS, "--trials", "4", "-j", "2", "--name", "hunt")
    assert [trial["state"] for trial in found["trials"]] == ["ok"] * 4
    best = min(found["trials"], key=lambda trial: trial["metric"])
    assert found["best"] == {
        "trial": best["number"],
        "value": best["metric"],
        "overrides": best["overrides"],
        "run": best["run"],
    }
    assert state_of(shop.root) == before
    assert shop.run("git", "worktree", "list").stdout.count("\n") == 1
    assert shop.run("git", "for-each-ref", "refs/mlops_nb/sweeps").stdout == ""
    asked = read_sweep(Project(shop.root), found["sweep"]).search
    facts = ("metric", "direction", "sampler", "seed", "pruner", "trials")
    assert [asked[fact] for fact in facts] == ["evaluate.error", "minimize", "tpe", 3, "none", 4]
    assert {run.origin["sweep"] for run in runs_of(shop)} == {found["sweep"]}


@pytest.mark.parametrize("warm", ["0", "1"])
def test_a_trial_that_is_not_worth_going_on_is_ended_while_its_notebook_runs(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, warm: str
) -> None:
    monkeypatch.setenv("MLOPS_NB_WARM", warm)
    shop.path("shop/score.py").write_text(shop.text("shop/score.py") + LOSS)
    notebook = "nbs/pipeline/20_train.ipynb"
    shop.replace(
        notebook,
        '    "from shop.table',
        '    "from shop.score import loss\\n",\n    "from shop.table',
    )
    shop.replace(notebook, "loss=1 / (step + 1)", "loss=loss(step, shrink)")
    words = ("train.shrink=choice(0.8,0.6,5.0)", *SMALL, "--sampler", "grid", "-j", "1")
    found = search(shop, *words, "--pruner", "halving", "--series", "train.loss")
    assert [trial["state"] for trial in found["trials"]] == ["ok", "ok", "pruned"]
    assert found["best"]["trial"] in (1, 2)
    (run,) = [run for run in runs_of(shop) if run.state == "cancelled"]
    assert run.stages["train"]["state"] == "cancelled" and "train" not in run.metrics
    said = Store(shop.path(".mlops_nb/runs")).annotations(run.id)
    assert said.tags == {"pruned"} and said.note == "pruned: train.loss was 2.5 at step 1"
    assert shop.run("git", "worktree", "list").stdout.count("\n") == 1
    again = shop.tool("sweep", "--resume", found["sweep"], "--trials", "9", "--json")
    assert json.loads(again.stdout)["trials"] == found["trials"]


def test_a_search_that_is_interrupted_goes_on_with_the_code_of_its_beginning(shop: Shop) -> None:
    whole = search(shop, *WORDS, "--trials", "3", "-j", "1")
    command = [sys.executable, "-m", "mlops_nb", "sweep", "--search", *WORDS]
    running = subprocess.Popen(
        [*command, "--trials", "3", "-j", "1"],
        cwd=shop.root, env=environment(), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert running.stderr
    said = []
    for line in running.stderr:
        said.append(line)
        if line.startswith("trial 2: running"):
            os.kill(running.pid, signal.SIGINT)
    assert running.wait(120) == 130, said
    assert "1 of 3 trials are over" in said[-1]
    name = said[-1].split("--resume ")[1].strip("`\n")
    shop.path("conf/train/mean.yaml").write_text("family: median\n")
    shop.path("nbs/pipeline/20_train.ipynb").write_text("broken")
    done = json.loads(shop.tool("sweep", "--resume", name, "--json").stdout)
    assert [trial["state"] for trial in done["trials"]] == ["ok"] * 3
    for now, then in zip(done["trials"], whole["trials"], strict=True):
        assert now["overrides"] == then["overrides"] and now["metrics"] == then["metrics"]


def test_a_trial_that_fails_does_not_end_a_search(shop: Shop) -> None:
    shop.replace("shop/score.py", "    return sum", "    assert fitted < 9, 'much'\n    return sum")
    done = shop.tool(
        "sweep", "--search", "train.shrink=choice(100,0.9)", *SMALL, "--sampler", "grid"
    )
    assert "1 of 2 trials failed" in done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("best: ")]
    assert "trial 2" in line and "train.shrink=0.9" in line and "evaluate.error 0." in line


SPACE = "train.shrink=interval(0.1,1)"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--search", SPACE], "needs `--metric"),
        (["--search", "train.shrink=0.5", *SMALL], "nothing to search"),
        (["--search", "train.shrnk=interval(0,1)", *SMALL], "did you mean `shrink`?"),
        (["--search", "train.family=choice(mean,mode)", *SMALL], "train.family=mode"),
        (["--search", SPACE, "--metric", "error"], "--direction minimize"),
        (["--search", SPACE, "--metric", "evaluate.eror"], "did you mean `evaluate.error`?"),
        (["--search", SPACE, *SMALL, "--sampler", "grid"], "no end of values"),
        (["--search", SPACE, *SMALL, "--pruner", "median"], "`--series`, of: train.loss"),
        (["--search", SPACE, "--metric", "error", "--direction", "up"], "'up' is not one of"),
        (["--search", SPACE, *SMALL, "--trials", "0"], "0 is not in the range"),
        (["train.shrink=0.1,0.2", "--trials", "3"], "needs `--search`"),
        (["--resume", "x", "--search"], "leave `--search` out"),
        (["--resume", "x", "--pruner", "median"], "stands in the record"),
    ],
)
def test_mistakes_are_refused_in_one_line_before_anything_begins(
    shop: Shop, arguments: list[str], said: str
) -> None:
    done = shop.tool("sweep", *arguments, code=2)
    assert said in done.stderr and "Traceback" not in done.stderr
    assert not shop.path(".mlops_nb/runs").exists() and not shop.path(".mlops_nb/sweeps").exists()


def test_without_optuna_the_extra_is_named(shop: Shop) -> None:
    program = (
        "import sys; sys.modules['optuna'] = None; sys.argv[0] = 'mlops-nb'\n"
        "from mlops_nb.__main__ import main; main()"
    )
    done = shop.run(sys.executable, "-c", program, "sweep", "--search", SPACE, *SMALL, code=2)
    assert "mlops_nb[search]" in done.stderr and "Traceback" not in done.stderr
