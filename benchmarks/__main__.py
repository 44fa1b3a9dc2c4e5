"""Run the comparisons, print them as a table and bring `RESULTS.md` up to date."""

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
    finished_run,
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
from .results import (
    Answer,
    machine,
    markdown,
    print_table,
    read_answers,
    table,
    write_answers,
)

QUESTIONS: dict[str, Callable[[Path], Iterator[Comparison]]] = {
    "cold_execute": cold_execute.comparisons,
    "warm_execute": warm_execute.comparisons,
    "much_output": much_output.comparisons,
    "lab_kernel": lab_kernel.comparisons,
    "whole_pipeline": whole_pipeline.comparisons,
    "start_up": start_up.comparisons,
    "no_op": no_op.comparisons,
    "record_step": record_step.comparisons,
    "finished_run": finished_run.comparisons,
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
ANSWERS = Path(__file__).with_name("results.json")
"""What was measured last, by question."""


def main(arguments: list[str]) -> None:
    """Answer the questions named in `arguments`, or all of them."""
    known = [*QUESTIONS, AT_REST]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=", ".join(known))
    parser.add_argument("--rounds", type=int, help="measure so many pairs instead of the default")
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.questions if name not in known]:
        parser.error(f"no question {unknown[0]!r}; there are {', '.join(known)}")
    kept, now = read_answers(ANSWERS), {}
    for name in given.questions or known:
        now[name] = kept[name] = answer(name, given.rounds)
        if not given.rounds:
            write_answers(ANSWERS, {name: kept[name] for name in known if name in kept})
            page = markdown((kept[name] for name in known if name in kept), LEFT_OUT)
            RESULTS.write_text(page, encoding="utf-8")
    print_table(now.values())
    if given.rounds:
        print("not the usual number of pairs: RESULTS.md is left as it is")


def answer(name: str, rounds: int | None) -> Answer:
    """Return what the question `name` comes to, with so many pairs or the usual number."""
    facts = machine()
    if name == AT_REST:
        return Answer((), [(reading.name, reading.value) for reading in at_rest.readings()], facts)
    findings: list[Finding] = []
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        for comparison in QUESTIONS[name](Path(folder)):
            print(f"... {comparison.ours.name}", file=sys.stderr, flush=True)
            if rounds:
                comparison = dataclasses.replace(comparison, rounds=rounds)
            findings.extend(compare(comparison))
    return Answer(table(findings), (), facts)


if __name__ == "__main__":
    main(sys.argv[1:])
