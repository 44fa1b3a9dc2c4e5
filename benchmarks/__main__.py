"""Run the comparisons, print them as a table and write `RESULTS.md`."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from . import cold_execute, no_op, record_step, start_up
from .comparison import Comparison, Finding, compare
from .results import machine, markdown, print_table

QUESTIONS: dict[str, Callable[[Path], Iterator[Comparison]]] = {
    "cold_execute": cold_execute.comparisons,
    "start_up": start_up.comparisons,
    "no_op": no_op.comparisons,
    "record_step": record_step.comparisons,
}
LEFT_OUT = (
    "`record.step` against DVCLive: it is no dependency of this project, so it is not installed.",
)
RESULTS = Path(__file__).with_name("RESULTS.md")


def main(arguments: list[str]) -> None:
    """Answer the questions named in `arguments`, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=", ".join(QUESTIONS))
    parser.add_argument("--rounds", type=int, help="measure so many pairs instead of the default")
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.questions if name not in QUESTIONS]:
        parser.error(f"no question {unknown[0]!r}; there are {', '.join(QUESTIONS)}")
    facts = machine()
    findings: list[Finding] = []
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        for name in given.questions or QUESTIONS:
            place = Path(folder) / name
            place.mkdir()
            for comparison in QUESTIONS[name](place):
                print(f"... {comparison.ours.name}", file=sys.stderr, flush=True)
                if given.rounds:
                    comparison = dataclasses.replace(comparison, rounds=given.rounds)
                findings.extend(compare(comparison))
    print_table(findings)
    if given.questions or given.rounds:
        print("a part of the whole: RESULTS.md is left as it is")
    else:
        RESULTS.write_text(markdown(findings, facts, LEFT_OUT), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
