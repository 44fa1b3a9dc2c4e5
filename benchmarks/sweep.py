"""Twenty trials of the last two stages of a small project, against DVC's experiment queue."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.conftest import environment, make_shop
from tests.warm import warm_server

from .comparison import Command, Comparison, Goal

TRIALS = 20

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
    print(done.stdout)
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


def _command(name: str, script: str, place: Path, environ: dict[str, str]) -> Command:
    """Return the command that runs `script` in the project at `place`."""
    return Command(name, (sys.executable, "-P", "-c", script, str(TRIALS)), place, environ)
