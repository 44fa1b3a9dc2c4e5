"""Which columns of a table of runs there is room for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.cli.runtable import fitting_columns

NAMES = ["id", "state", "params.a", "params.b", "params.c", "metrics.x", "metrics.y"]


def test_a_figure_has_room_before_the_last_parameters() -> None:
    def shown(room: int) -> list[str]:
        return [NAMES[at] for at in fitting_columns(NAMES, [8] * len(NAMES), room)]

    assert shown(200) == NAMES
    assert shown(32) == ["id", "state", "metrics.x"]
    assert shown(42) == ["id", "state", "params.a", "metrics.x"]
    assert shown(52) == ["id", "state", "params.a", "metrics.x", "metrics.y"]


@given(st.lists(st.integers(1, 40), min_size=7, max_size=7), st.integers(0, 300))
def test_columns_keep_their_order_and_fit_unless_there_are_two(
    widths: list[int], room: int
) -> None:
    kept = fitting_columns(NAMES, widths, room)
    assert kept == sorted(set(kept)) and len(kept) >= 2
    assert len(kept) == 2 or 2 + sum(widths[at] + 2 for at in kept) <= room
