"""Sweeps of the small project: what is computed once, and what failures and Ctrl-C leave."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any

import pytest

from mlops_nb.runs.run import Run
from mlops_nb.runs.store import Store
from tests.terminal import Terminal

from .conftest import Shop, environment
from .test_run import state_of

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm")]


def sweep(shop: Shop, *arguments: str, code: int = 0) -> dict[str, Any]:
    """Run a sweep, and return its summary."""
    done = shop.tool("sweep", *arguments, "-j", "2", "--json", code=code)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def runs_of(shop: Shop) -> list[Run]:
    """Return all records."""
    store = Store(shop.path(".mlops_nb/runs"))
    found = [store.read(run) for run in store.ids()]
    runs = [run for run in found if isinstance(run, Run)]
    assert len(runs) == len(found)
    return runs


def how(shop: Shop, stage: str) -> list[str]:
    """Return what became of a stage in each run, in alphabetical order."""
    return sorted(run.stages[stage]["how"] for run in runs_of(shop))


def test_what_trials_have_in_common_is_computed_once(shop: Shop) -> None:
    before = state_of(shop.root)
    found = sweep(shop, "train=mean,median", "prepare.rows=30,40", "--name", "grid", "--tag", "t")
    assert [trial["state"] for trial in found["trials"]] == ["ok"] * 4
    assert how(shop, "prepare") == ["ran", "ran", "restored", "restored"]
    assert how(shop, "train") == ["ran"] * 4
    assert state_of(shop.root) == before
    assert shop.run("git", "worktree", "list").stdout.count("\n") == 1
    origins = [(run.origin["sweep"], run.origin["trial"]) for run in runs_of(shop)]
    assert sorted(origins) == [(found["sweep"], number) for number in (1, 2, 3, 4)]
    store = Store(shop.path(".mlops_nb/runs"))
    assert {store.annotations(run.id).name for run in runs_of(shop)} == {"grid"}
    assert shop.run("git", "for-each-ref", "refs/mlops_nb/sweeps").stdout == ""


def test_a_trial_leaves_what_a_plain_run_leaves_byte_for_byte(shop: Shop) -> None:
    sweep(shop, "train=mean,median", "train.shrink=0.5")
    shop.run("dvc", "gc", "--workspace", "--force")
    shop.run("rm", "-rf", ".dvc/cache/runs")
    shop.tool("run", "train=median", "train.shrink=0.5")
    (plain,) = [run for run in runs_of(shop) if run.origin["kind"] == "run"]
    (trial,) = [run for run in runs_of(shop) if run.origin.get("trial") == 2]
    assert plain.stages["train"]["how"] == trial.stages["train"]["how"] == "ran"
    files = ("dvc.lock", "params.yaml", "plan.json", "metrics/train.json", "metrics/evaluate.json")
    for name in files:
        of_both = [
            shop.run("git", "show", f"{run.more['experiment']['commit']}:{name}").stdout
            for run in (plain, trial)
        ]
        assert of_both[0] == of_both[1], name
    assert plain.metrics == trial.metrics and plain.artifacts == trial.artifacts
    assert list(plain.overrides) == list(trial.overrides)


def test_a_trial_that_fails_stops_nothing(shop: Shop) -> None:
    shop.replace(
        "shop/score.py", "    return sum", "    assert fitted < 9, 'too much'\n    return sum"
    )
    found = sweep(shop, "train.shrink=100,0.5,0.25", "--name", "steep", code=1)
    assert [trial["state"] for trial in found["trials"]] == ["error", "ok", "ok"]
    again = sweep(shop, "--resume", "steep", code=1)
    assert [trial["state"] for trial in again["trials"]] == ["error", "ok", "ok"]
    assert len(runs_of(shop)) == 4

    done = shop.tool("sweep", "train.shrink=0.5,0.25", "--name", "steep")
    assert f"1 other sweep(s) called `steep`, such as {found['sweep'][-8:]}" in done.stderr
    done = shop.tool("run", "train.shrink=0.5", "--name", "steep")
    assert "other run(s) called `steep`" in done.stderr
    several = shop.tool("sweep", "--resume", "steep", code=2).stderr
    assert "is the name of several sweeps" in several


def test_a_trial_that_fails_names_cell_and_exception_wherever_it_is_shown(shop: Shop) -> None:
    shop.replace(
        "shop/score.py", "    return sum", "    assert fitted < 9, 'too much'\n    return sum"
    )
    words = ["sweep", "train.shrink=100,0.5", "-j", "1"]
    done = shop.tool(*words, code=1)
    (run,) = [run.id for run in runs_of(shop) if run.state == "error"]
    (line,) = [line for line in done.stderr.splitlines() if "AssertionError" in line]
    cell = line.partition("cell ")[2].partition(":")[0]
    failure = f"evaluate, cell {cell}: AssertionError: too much"
    assert line == f"trial 1 failed in {failure}; `mlops-nb open {run[-8:]}`"
    assert failure in done.stdout
    assert f"`mlops-nb open RUN` shows why one failed, such as {run[-8:]}" in done.stdout

    command = [sys.executable, "-m", "mlops_nb", *words]
    environ = {**environment(), "TERM": "xterm", "COLUMNS": "160", "LINES": "30"}
    terminal = Terminal(command, shop.root, environ)
    assert terminal.end(120.0) == 1
    live = terminal.text.rpartition("trials are over")[0]
    assert f"trial 1 failed in {failure}; " in live
    assert "exited with" not in terminal.text


def test_a_wrong_value_of_one_trial_is_named_and_nothing_is_begun(shop: Shop) -> None:
    done = shop.tool("sweep", "train.shrink=0.5,big", code=2)
    (line,) = [line for line in done.stderr.splitlines() if "error" in line]
    assert "trial 2" in line and "train.shrink=big" in line
    assert not shop.path(".mlops_nb/runs").exists() and not shop.path(".mlops_nb/sweeps").exists()


def test_a_sweep_that_is_interrupted_can_be_resumed(shop: Shop) -> None:
    shop.replace("shop/score.py", "    return sum", "    wait(fitted)\n    return sum")
    shop.path("shop/score.py").write_text(
        shop.text("shop/score.py") + "\n\ndef wait(fitted):\n    import os, time\n"
        "    if fitted < 0.2 and not os.path.exists(os.environ['GO']):\n        time.sleep(300)\n"
    )
    environ = {**environment(), "GO": str(shop.path("go.txt"))}
    shop.path(".gitignore").write_text(shop.text(".gitignore") + "go.txt\n")
    command = [sys.executable, "-m", "mlops_nb", "sweep", "train.shrink=1.0,0.9,0.1,0.11,0.12"]
    running = subprocess.Popen(
        [*command, "-j", "2"], cwd=shop.root, env=environ, stderr=subprocess.PIPE, text=True
    )
    assert running.stderr
    said = []
    for line in running.stderr:
        said.append(line)
        if line.startswith(("trial 3 train: ran", "trial 4 train: ran")):
            running.send_signal(signal.SIGINT)
    assert running.wait(120) == 130, said
    assert "mlops-nb sweep --resume" in said[-1]
    states = sorted(run.state for run in runs_of(shop))
    assert "ok" in states and "cancelled" in states
    assert shop.run("git", "worktree", "list").stdout.count("\n") == 1
    shop.path("go.txt").write_text("")
    name = said[-1].split("--resume ")[1].strip("`\n")
    words = (sys.executable, "-m", "mlops_nb", "sweep", "--resume", name, "--json")
    done = subprocess.run(words, cwd=shop.root, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [trial["state"] for trial in json.loads(done.stdout)["trials"]] == ["ok"] * 5


def test_two_sweeps_go_on_at_once(shop: Shop) -> None:
    command = [sys.executable, "-m", "mlops_nb", "sweep"]
    both = [
        subprocess.Popen([*command, line, "-j", "1"], cwd=shop.root, env=environment())
        for line in ("train.shrink=0.1,0.2", "train.shrink=0.3,0.4")
    ]
    assert [one.wait(300) for one in both] == [0, 0]
    shrinks = {run.params["train"]["shrink"] for run in runs_of(shop)}
    assert shrinks == {0.1, 0.2, 0.3, 0.4}


def test_a_sweep_that_is_resumed_shows_the_metric_that_it_was_given(shop: Shop) -> None:
    found = sweep(shop, "prepare.seed=1,2", "--metric", "fitted")
    assert found["metric"] == "train.fitted"
    resumed = ("sweep", "--resume", found["sweep"])
    assert json.loads(shop.tool(*resumed, "--json").stdout) == found
    assert "Seeds: train.fitted" in shop.tool(*resumed).stdout
    another = json.loads(shop.tool(*resumed, "--metric", "error", "--json").stdout)
    assert another["metric"] == "evaluate.error"


def test_seeds_are_summed_up(shop: Shop) -> None:
    found = sweep(shop, "prepare.seed=range(1,4)", "--metric", "error")
    (group,) = found["groups"]
    assert group["trials"] == [1, 2, 3] and found["metric"] == "evaluate.error"
    errors = [trial["metric"] for trial in found["trials"]]
    spread = group["spreads"]["evaluate.error"]
    assert spread["n"] == 3 and spread["mean"] == pytest.approx(sum(errors) / 3)
    assert spread["deviation"] > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--resume", "nothing"], "no sweeps yet"),
        (["--resume", "x", "train.seed=1,2"], "leave the rest out"),
        (["train.shrink=interval(0,1)"], "which values to try"),
        (["train.shrink=1,2", "-j", "0"], "0 is not in the range"),
        (["train.shrink=1,2", "--metric", "evaluate.eror"], "did you mean `evaluate.error`?"),
        (["train.shrink=1,2", "--metric", "eval.error"], "did you mean `evaluate`?"),
    ],
)
def test_mistakes_are_refused_in_one_line(shop: Shop, arguments: list[str], said: str) -> None:
    done = shop.tool("sweep", *arguments, code=2)
    assert said in done.stderr and "Traceback" not in done.stderr


def test_on_a_terminal_there_is_a_table_that_lives(shop: Shop) -> None:
    words = [sys.executable, "-m", "mlops_nb", "sweep", "train.shrink=0.5,0.25", "-j", "2"]
    terminal = Terminal(words, shop.root, {**environment(), "TERM": "xterm", "LINES": "30"})
    terminal.wait_for("0 of 2 trials are over")
    terminal.wait_for("running")
    assert terminal.end(120.0) == 0
    text = terminal.text
    live, _, last = text.rpartition("trials are over")
    for word in ("trial", "overrides", "state", "stage", "seconds", "metric", "shrink=0.25"):
        assert word in live and (word in last or word in ("stage", "metric"))
    assert live.count("trials are over") > 2  # it was drawn again and again
    assert "evaluate.error" in last and "Traceback" not in text and "trial 1:" not in text
