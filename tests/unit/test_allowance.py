"""A checkpoint costs a tenth of the time worked at most."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.notebook.allowance import Allowance

steps = st.lists(st.tuples(st.floats(0, 100), st.booleans(), st.floats(0, 1)), max_size=40)


@given(steps)
def test_saving_takes_a_tenth_of_the_time_worked_at_most(
    steps: list[tuple[float, bool, float]],
) -> None:
    allowance, worked, spent = Allowance(5.0), 0.0, 0.0
    for seconds, saved, share in steps:
        allowance.work(seconds)
        worked += seconds
        if allowance.seconds:
            cost = allowance.seconds * (share if saved else 1.0)
            allowance.spend(cost, saved=saved)
            spent += cost
    assert spent <= worked / 10 + 1e-6


def test_short_cells_never_pay() -> None:
    allowance = Allowance(5.0)
    allowance.work(4.9)
    assert not allowance.seconds
