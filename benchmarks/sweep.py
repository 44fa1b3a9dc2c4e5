"""Trials of the last two stages of a small project, against DVC's experiments."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.conftest import environment, make_shop
from tests.warm import warm_server

from .comparison import Command, Comparison, Goal

TRIALS = 20
IN_A_ROW = 8

# Each round takes values that nobody has tried yet: the run-cache would have the others.
VALUES = """
import subprocess, sys, time
from pathlib import Path
number = Path("round.txt")
start = 1 + int(number.read_text() if number.exists() else 0)
number.write_text(str(start))
values = ",".join(f"{start}.{100 + trial}" for trial in range(int(sys.argv[1])))
def run(*words):
    done = subprocess.run([sys.executable, "-m", *words], stdout=subprocess.PIPE, text=True)
    print(done.stdout, file=sys.stderr)
    done.check_returncode()
    return done.stdout
"""
OURS = (
    VALUES
    + """
run("mlops_nb", "sweep", f"train.shrink={values}", "-j", "2")
"""
)
PEER = (
    VALUES
    + """
run("dvc", "exp", "run", "--queue", "-S", f"train.shrink={values}")
run("dvc", "queue", "start", "-j", "2")
while True:
    status = run("dvc", "queue", "status")
    assert "Failed" not in status
    if "Queued" not in status and "Running" not in status:
        break
    time.sleep(0.5)
run("dvc", "queue", "remove", "--success")
"""
)
# What an experiment takes, less what its notebooks take; the last number is their median.
BESIDE = (
    VALUES
    + """
import json, statistics
def seconds_beside(trial):
    known = set(Path(".mlops_nb/executions").glob("*/outcome.json"))
    began = time.perf_counter()
    run("dvc", "exp", "run", "-S", f"train.shrink={trial}")
    seconds = time.perf_counter() - began
    new = set(Path(".mlops_nb/executions").glob("*/outcome.json")) - known
    assert len(new) == 2, new
    return seconds - sum(json.loads(path.read_text())["wall_seconds"] for path in new)
print(statistics.median(seconds_beside(trial) for trial in values.split(",")))
"""
)
# From the beginning of one trial to that of the next: with all that follows a trial as well.
OURS_BESIDE = (
    VALUES
    + """
import json, statistics
from datetime import datetime
known = set(Path(".mlops_nb/runs").glob("*/run.json"))
run("mlops_nb", "sweep", f"train.shrink={values}", "-j", "1")
new = set(Path(".mlops_nb/runs").glob("*/run.json")) - known
runs = sorted((json.loads(path.read_text())["run"] for path in new), key=lambda r: r["started"])
assert len(runs) == len(values.split(","))
began = [datetime.fromisoformat(r["started"]).timestamp() for r in runs]
own = [r["resources"]["notebook_seconds"] for r in runs]
print(statistics.median(b - a - n for a, b, n in zip(began, began[1:], own)))
"""
)


def comparisons(folder: Path) -> Iterator[Comparison]:
    """Yield the comparison, on two copies of a project in `folder`; both have a warm server."""
    projects = {name: folder / name for name in ("ours", "peer")}
    for place in projects.values():
        shop = make_shop(place)
        shop.path(".gitignore").write_text(".mlops_nb/\n__pycache__/\nround.txt\n")
        shop.repro()
        shop.commit()
    with warm_server() as warm:
        environ = {name: environment()[name] for name in ("PATH", "DVC_NO_ANALYTICS")}
        environ |= warm.own | {
            name: value for name, value in environment().items() if name.startswith("GIT_")
        }
        yield Comparison(
            _command(f"sweep of {TRIALS} trials, 2 at a time", OURS, projects["ours"], environ),
            _command("dvc exp run --queue, queue start -j 2", PEER, projects["peer"], environ),
            {"wall": Goal(1 / 6), "cpu": None},
            rounds=3,
        )
        yield Comparison(
            _command(
                "a trial, less its notebooks", OURS_BESIDE, projects["ours"], environ, IN_A_ROW
            ),
            _command(
                "dvc exp run, less its notebooks", BESIDE, projects["peer"], environ, IN_A_ROW
            ),
            {"own": Goal(0, allowance=0.5)},
            rounds=3,
        )


def _command(
    name: str, script: str, place: Path, environ: dict[str, str], trials: int = TRIALS
) -> Command:
    """Return the command that runs `script` for so many trials in the project at `place`."""
    return Command(name, (sys.executable, "-P", "-c", script, str(trials)), place, environ)
