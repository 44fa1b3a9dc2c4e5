"""Two commands measured in turn, and what their ratio is."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Quantity = Literal["cpu", "wall", "own"]
"""CPU seconds of the process tree, seconds by the clock, or what the command itself reports."""

METER = Path(__file__).with_name("meter.py")
SCRIPTS = Path(sys.executable).parent
"""Where the commands of this environment lie."""


class CommandFailed(RuntimeError):
    """A command under measurement did not do what it was to do."""


@dataclass(frozen=True)
class Command:
    """A command line, where it runs, and what its environment has beside ours."""

    name: str
    words: tuple[str, ...]
    folder: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    says: str = ""
    """A text that its output must hold; so a command that failed politely is not measured."""
    tries: int = 1
    """How often it is tried; that a peer fails by itself now and then must not end everything."""
    before: tuple[str, ...] = ()
    """A command line that is run first, in the same folder, and not measured."""


@dataclass(frozen=True)
class Sample:
    """What one run of a command cost, in seconds; `own` is its last line, if a number."""

    wall: float
    cpu: float
    own: float | None = None

    def __getitem__(self, quantity: Quantity) -> float:
        value: float | None = getattr(self, quantity)
        if value is None:
            raise CommandFailed("the command printed no number")
        return value


@dataclass(frozen=True)
class Goal:
    """At most `factor` times the peer plus `allowance` seconds; `factor` may be nothing."""

    factor: float
    allowance: float = 0.0

    def is_met(self, ours: float, peer: float) -> bool:
        """Return whether `ours` keeps to the goal, given the `peer`."""
        return ours <= self.factor * peer + self.allowance

    def __str__(self) -> str:
        if not self.factor:
            return f"≤ {self.allowance:g} s"
        extra = f" + {self.allowance:g} s" if self.allowance else ""
        return f"≤ {self.factor:g} peer{extra}"


@dataclass(frozen=True)
class Comparison:
    """Our command against a peer's; each quantity has a goal, or `None` to be reported only."""

    ours: Command
    peer: Command
    goals: Mapping[Quantity, Goal | None]
    rounds: int = 7
    calls: int = 1
    """How many calls one command makes; figures are per call."""


@dataclass(frozen=True)
class Finding:
    """One quantity of one comparison: the medians, and how far the ratio of a pair strays."""

    comparison: Comparison
    quantity: Quantity
    ours: float
    peer: float
    lowest: float
    highest: float

    @property
    def ratio(self) -> float:
        """The ratio of the medians."""
        return self.ours / self.peer

    @property
    def goal(self) -> Goal | None:
        """What was aimed at."""
        return self.comparison.goals[self.quantity]

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; `None` where there is none."""
        return self.goal.is_met(self.ours, self.peer) if self.goal else None


@dataclass(frozen=True)
class Reading:
    """A figure that stands for itself, with its unit."""

    name: str
    value: str


def run_until_it_works(command: Command) -> Sample:
    """Run `command` under the meter; leave out the runs that failed, of which there may be some.

    Raises
    ------
    CommandFailed
        If all of them did.
    """
    for left in reversed(range(command.tries)):
        try:
            return run_once(command)
        except CommandFailed as failure:
            if not left:
                raise
            print(f"... tried again, it failed: {failure}", file=sys.stderr, flush=True)
    raise CommandFailed(f"{command.name} was not tried")


def run_once(command: Command) -> Sample:
    """Run `command` under the meter.

    Raises
    ------
    CommandFailed
        If it exits with anything but 0, or does not say what it should.
    """
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    inherited["MLOPS_NB_WARM"] = "0"  # a server that it started would be measured, and waited for
    if command.before:
        subprocess.run(command.before, cwd=command.folder, check=True, capture_output=True)
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        done = subprocess.run(
            [sys.executable, "-S", "-E", str(METER), str(result), *command.words],
            cwd=command.folder,
            env={**inherited, **command.environ},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        measured: dict[str, float] = json.loads(result.read_text()) if result.exists() else {}
    if measured.get("status") != 0 or command.says not in done.stdout:
        raise CommandFailed(f"{' '.join(command.words)}\n{done.stdout}")
    return Sample(measured["wall"], measured["cpu"], _number(done.stdout))


def _number(output: str) -> float | None:
    """Return the number that is the last line of `output`, if it is one."""
    try:
        return float(output.rstrip().rpartition("\n")[2])
    except ValueError:
        return None


def compare(
    comparison: Comparison, run: Callable[[Command], Sample] = run_until_it_works
) -> tuple[Finding, ...]:
    """Run both commands in turn after a warm-up; return one finding for each quantity."""
    ours, peer = comparison.ours, comparison.peer
    run(ours), run(peer)
    pairs = [(run(ours), run(peer)) for _ in range(comparison.rounds)]
    return tuple(_finding(comparison, quantity, pairs) for quantity in comparison.goals)


def _finding(
    comparison: Comparison, quantity: Quantity, pairs: Sequence[tuple[Sample, Sample]]
) -> Finding:
    """Return what `pairs` of samples, ours and the peer's, say about one quantity."""
    values = [(a[quantity] / comparison.calls, b[quantity] / comparison.calls) for a, b in pairs]
    ratios = [ours / peer for ours, peer in values]
    return Finding(
        comparison,
        quantity,
        ours=statistics.median(ours for ours, _ in values),
        peer=statistics.median(peer for _, peer in values),
        lowest=min(ratios),
        highest=max(ratios),
    )
