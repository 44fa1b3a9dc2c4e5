"""Which steps start when, for any graph."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.pipeline.entries import misplaced
from mlops_nb.pipeline.schedule import Rehearsal, State, Step, walk, width
from mlops_nb.pipeline.worker import steps_of

NAMES = [f"s{n}" for n in range(8)]


@st.composite
def graphs(draw: st.DrawFn) -> list[Step]:
    """Return steps in an order that works."""
    steps = []
    for place, name in enumerate(NAMES[: draw(st.integers(0, len(NAMES)))]):
        earlier = st.sets(st.sampled_from(NAMES[:place])) if place else st.just(set[str]())
        steps.append(Step(name, frozenset(draw(earlier)), frozenset(draw(earlier))))
    return steps


class Strict(Rehearsal):
    """A rehearsal that notices a step that starts too early, or beside too many."""

    def __init__(self, steps: list[Step], jobs: int, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self._steps, self._jobs = {step.name: step for step in steps}, jobs
        self.over: dict[str, State] = {}

    def start(self, name: str) -> State | None:
        step = self._steps[name]
        assert all(self.over[need] not in ("failed", "not run") for need in step.needs)
        assert not step.waits & self._ends.keys()
        state = super().start(name)
        assert len(self._ends) <= self._jobs
        if state is not None:
            self.over[name] = state
        return state

    def wait(self) -> tuple[str, State]:
        name, state = super().wait()
        self.over[name] = state
        return name, state


seconds = st.dictionaries(st.sampled_from(NAMES), st.floats(0, 10))
failing = st.lists(st.sampled_from(NAMES))


@given(graphs(), st.integers(1, 9), seconds, failing)
def test_nothing_starts_too_early_and_all_ends_as_one_after_the_other(
    steps: list[Step], jobs: int, seconds: dict[str, float], failing: list[str]
) -> None:
    runner = Strict(steps, jobs, seconds, failing)
    states = walk(steps, runner, jobs=jobs, keep_going=True)

    assert states == walk(steps, Rehearsal(seconds, failing), jobs=1, keep_going=True)
    assert list(states) == [step.name for step in steps]


@given(graphs(), st.integers(1, 9), seconds)
def test_without_failures_every_step_is_looked_at(
    steps: list[Step], jobs: int, seconds: dict[str, float]
) -> None:
    runner = Strict(steps, jobs, seconds)
    states = walk(steps, runner, jobs=jobs)

    assert set(states.values()) <= {"ran", "unchanged"}
    assert runner.most <= width(steps)


@given(graphs(), seconds, failing)
def test_one_job_keeps_the_order_and_stops_at_the_first_failure(
    steps: list[Step], seconds: dict[str, float], failing: list[str]
) -> None:
    runner = Rehearsal(seconds, failing)
    states = walk(steps, runner, jobs=1)

    ran = [step.name for step in steps if step.name in seconds]
    failed = [n for n, name in enumerate(ran) if name in failing]
    assert runner.started == ran[: failed[0] + 1 if failed else None]
    assert list(states.values()).count("failed") == bool(failed)


@given(graphs(), st.integers(1, 9), seconds, failing)
def test_after_a_failure_nothing_starts_but_what_runs_is_waited_for(
    steps: list[Step], jobs: int, seconds: dict[str, float], failing: list[str]
) -> None:
    runner = Strict(steps, jobs, seconds, failing)
    states = walk(steps, runner, jobs=jobs)

    assert {name for name in runner.started} <= set(runner.over)
    assert {n: s for n, s in states.items() if s != "not run"} == runner.over


def test_an_interruption_starts_nothing_more() -> None:
    class Interrupted(Rehearsal):
        @property
        def stopped(self) -> bool:  # type: ignore[override]
            return bool(self.started)

    steps = [Step("a"), Step("b")]
    states = walk(steps, Interrupted({"a": 1, "b": 1}), jobs=2)
    assert states == {"a": "ran", "b": "not run"}


def test_width_of_a_wide_and_of_a_long_graph() -> None:
    assert width([Step(name) for name in NAMES]) == len(NAMES)
    pairs = zip(NAMES[1:], NAMES, strict=False)
    assert width([Step(NAMES[0]), *(Step(b, frozenset({a})) for b, a in pairs)]) == 1


@given(graphs(), st.integers(0, 7))
def test_a_step_that_works_alone_runs_beside_nobody(steps: list[Step], lonely: int) -> None:
    names = [step.name for step in steps]
    needs = {step.name: step.needs for step in steps}
    found = steps_of(names, needs, needs, alone=[NAMES[lonely]])

    others = [step for step in found if step.name != NAMES[lonely]]
    for step in others:
        earlier = names.index(step.name) < lonely
        alone = next((step for step in found if step.name == NAMES[lonely]), None)
        assert alone is None or (step.name in alone.waits if earlier else alone.name in step.waits)


def test_a_frozen_stage_keeps_its_order_but_needs_nobody() -> None:
    whole = {"make": ["frozen"], "frozen": ["make"]}
    steps = steps_of(["make", "frozen"], {"make": [], "frozen": []}, whole, alone=[])

    assert steps[1] == Step("frozen", frozenset(), frozenset({"make"}))


@given(st.permutations(NAMES), st.sets(st.sampled_from(NAMES)))
def test_new_entries_come_in_the_order_of_the_plan_and_old_ones_stay(
    order: list[str], new: set[str]
) -> None:
    old = [name for name in NAMES if name not in new]
    names = old + [name for name in order if name in new]
    placed = {name: NAMES.index(name) for name in new}
    for name in misplaced(names, placed):
        names.remove(name)
        names.append(name)

    assert names == old + sorted(new)
