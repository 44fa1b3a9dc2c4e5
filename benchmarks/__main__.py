"""Run the comparisons, print them as a table and write `RESULTS.md`."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from . import (
    at_rest,
    cold_execute,
    experiments,
    lab_kernel,
    mlflow_runs,
    much_output,
    no_op,
    record_step,
    runs_index,
    start_up,
    sweep,
    warm_execute,
    whole_pipeline,
)
from .comparison import Comparison, Finding, compare
from .results import machine, markdown, print_table

QUESTIONS: dict[str, Callable[[Path], Iterator[Comparison]]] = {
    "cold_execute": cold_execute.comparisons,
    "warm_execute": warm_execute.comparisons,
    "much_output": much_output.comparisons,
    "lab_kernel": lab_kernel.comparisons,
    "whole_pipeline": whole_pipeline.comparisons,
    "start_up": start_up.comparisons,
    "no_op": no_op.comparisons,
    "record_step": record_step.comparisons,
    "sweep": sweep.comparisons,
    "runs_index": runs_index.comparisons,
    "mlflow_runs": mlflow_runs.comparisons,
    "experiments": experiments.comparisons,
}
AT_REST = "at_rest"
LEFT_OUT = (
    "`record.step` against DVCLive: it is no dependency of this project, so it is not installed.",
)
RESULTS = Path(__file__).with_name("RESULTS.md")


def main(arguments: list[str]) -> None:
    """Answer the questions named in `arguments`, or all of them."""
    known = [*QUESTIONS, AT_REST]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=", ".join(known))
    parser.add_argument("--rounds", type=int, help="measure so many pairs instead of the default")
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.questions if name not in known]:
        parser.error(f"no question {unknown[0]!r}; there are {', '.join(known)}")
    asked = given.questions or known
    facts = machine()
    findings: list[Finding] = []
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        for name in filter(QUESTIONS.__contains__, asked):
            place = Path(folder) / name
            place.mkdir()
            for comparison in QUESTIONS[name](place):
                print(f"... {comparison.ours.name}", file=sys.stderr, flush=True)
                if given.rounds:
                    comparison = dataclasses.replace(comparison, rounds=given.rounds)
                findings.extend(compare(comparison))
    readings = list(at_rest.readings()) if AT_REST in asked else []
    print_table(findings, readings)
    if given.questions or given.rounds:
        print("a part of the whole: RESULTS.md is left as it is")
    else:
        RESULTS.write_text(markdown(findings, facts, LEFT_OUT, readings), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
