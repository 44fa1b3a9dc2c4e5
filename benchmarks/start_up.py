"""How long one waits for a command that answers from the sources alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from .comparison import SCRIPTS, Command, Comparison, Goal

ROOT = Path(__file__).parents[1]
GOAL = Goal(3, allowance=0.2)
COMMANDS = {
    "mlops-nb --help": "Usage",
    "mlops-nb params nbs/pipeline/30_train.ipynb": "Ports",
    "mlops-nb check": "fits together",
}


def comparisons(_folder: Path) -> Iterator[Comparison]:
    """Yield the comparisons, on the reference project."""
    bare = Command("python -c pass", (sys.executable, "-c", "pass"), ROOT)
    for line, says in COMMANDS.items():
        script, *arguments = line.split()
        ours = Command(line, (str(SCRIPTS / script), *arguments), ROOT, says=says)
        yield Comparison(ours, bare, {"wall": GOAL, "cpu": None}, rounds=15)
