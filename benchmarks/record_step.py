"""What one `record.step` costs, against rows written with the csv module."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from .comparison import Command, Comparison

ROOT = Path(__file__).parents[1]
CALLS = 10_000


def comparisons(folder: Path) -> Iterator[Comparison]:
    """Yield the comparison; each command times its own loop and prints the seconds."""
    script = (sys.executable, "-m", "benchmarks.record_step")
    environ = {"PYTHONPATH": str(ROOT)}
    yield Comparison(
        Command("record.step, one series", (*script, "record"), folder, environ),
        Command("csv: open, write a row, close", (*script, "csv"), folder, environ),
        {"own": None},
        calls=CALLS,
    )


def with_record() -> Callable[[int], None]:
    """Return a step that the recorder writes."""
    from mlops_nb import record

    recorder = record.to(plots="plots")
    return lambda step: recorder.step(step, loss=1 / (step + 1))


def with_csv() -> Callable[[int], None]:
    """Return a step that is in the file when the call returns, as a reader of plots expects."""
    path = Path("by-hand.csv")
    path.write_text("step,loss\n")

    def write(step: int) -> None:
        with path.open("a", newline="") as file:
            csv.writer(file).writerow([step, 1 / (step + 1)])

    return write


if __name__ == "__main__":
    write_step = {"record": with_record, "csv": with_csv}[sys.argv[1]]()
    write_step(0)
    start = time.perf_counter()
    for number in range(1, CALLS + 1):
        write_step(number)
    print(time.perf_counter() - start)
