"""The index says what the folders say, whatever was done to them, to it, and by how many."""

from __future__ import annotations

import itertools
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_nb.errors import UsageError
from mlops_nb.runs import changes
from mlops_nb.runs.changes import Position, read_changes
from mlops_nb.runs.expression import matches
from mlops_nb.runs.folder import ANNOTATIONS, RECORD
from mlops_nb.runs.following import entry_of
from mlops_nb.runs.index import Index
from mlops_nb.runs.order import parse_sort, sorted_rows
from mlops_nb.runs.query import parse
from mlops_nb.runs.row import from_cell, to_cell
from mlops_nb.runs.run import Run, new_id
from mlops_nb.runs.store import CHANGES, Store
from tests.at_once import at_once

TIME = "2013-01-01T05:15:00.000+00:00"


MOMENTS = itertools.count()


def run_of(state: str = "ok", **values: Any) -> Run:
    """Return a run that begins a second after the one before."""
    moment = datetime(2013, 1, 1, tzinfo=UTC) + timedelta(seconds=next(MOMENTS))
    return replace(Run(new_id(moment), TIME), state=state, **values)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


@pytest.fixture
def index(store: Store, tmp_path: Path) -> Index:
    return Index(store, tmp_path / "index")


def fresh(store: Store) -> list[dict[str, Any]]:
    """Return the rows of all runs, read from their folders."""
    entries = [entry_of(store, run) for run in reversed(store.ids())]
    rows = [dict(entry.row) for entry in entries if entry]
    return [{name: from_cell(to_cell(value)) for name, value in row.items()} for row in rows]


def everything(index: Index) -> list[Any]:
    """Return all rows of an index, with the config."""
    return index.rows(columns=["*", "config.*"], removed=True)[0]


def test_a_page_is_filtered_sorted_and_counted(store: Store, index: Index) -> None:
    for seed in range(10):
        auc = {"evaluate": {"auc": seed / 10}} if seed % 2 else {}
        store.add(run_of(params={"train": {"seed": seed}}, metrics=auc))
    rows, total = index.rows(filter="auc > 0.2", sort="-auc", limit=2, offset=1, columns=["seed"])
    assert (rows, total) == ([{"params.train.seed": 7}, {"params.train.seed": 5}], 4)
    rows, total = index.rows(sort="auc", columns=["seed"])
    order = [row["params.train.seed"] for row in rows]
    assert order == [1, 3, 5, 7, 9, 8, 6, 4, 2, 0] and total == 10
    with pytest.raises(UsageError, match="did you mean"):
        index.rows(filter="acu > 0.2")
    with pytest.raises(UsageError, match="did you mean"):
        index.rows(sort="sed")


def test_a_store_that_has_no_runs_has_no_rows(index: Index) -> None:
    assert index.rows() == ([], 0)
    assert index.rows(filter='state == "ok"', sort="-started", columns=["id"]) == ([], 0)
    assert index.columns() == [] and index.frame().empty


def test_removed_runs_are_hidden_until_asked_for(store: Store, index: Index) -> None:
    for _ in range(2):
        store.add(run_of())
    store.remove(store.ids()[0])
    assert [row["id"] for row in index.rows()[0]] == store.ids()[1:]
    assert index.rows(removed=True, filter="removed is not None")[1] == 1
    store.restore(store.ids()[0])
    assert index.rows()[1] == 2


def test_a_broken_run_is_a_row_that_names_its_file(store: Store, index: Index) -> None:
    for _ in range(3):
        store.add(run_of())
    first, second, third = store.ids()
    assert index.rows()[1] == 3
    (store.folder_of(first) / RECORD).unlink()
    store.annotate(second, lambda said: replace(said, name="b"))
    (store.folder_of(second) / ANNOTATIONS).write_bytes(b"{}")
    index = Index(store, store.folder.parent / "index")
    rows, _ = index.rows(columns=["id", "state", "reason"])
    assert [row["state"] for row in rows] == ["ok", "ok", "broken"]
    assert str(store.folder_of(first) / RECORD) in str(rows[2]["reason"])
    assert str(store.folder_of(second) / ANNOTATIONS) in str(rows[1]["reason"])
    assert "reason" not in rows[0] and rows[0]["id"] == third


def test_a_run_goes_from_running_to_its_end_or_is_killed(store: Store, index: Index) -> None:
    def states() -> list[object]:
        return [row["state"] for row in index.rows(columns=["state"])[0]]

    first, second = run_of("running"), run_of("running")
    attempt, lost = store.begin(first), store.begin(second)
    assert states() == ["running", "running"]
    attempt.finish(replace(first, state="error"))
    (store.folder / CHANGES).write_bytes(b"")
    del lost
    assert states() == ["killed:signal", "error"]
    assert states() == ["killed:signal", "error"]


def test_what_differs_is_known_by_column(store: Store, index: Index) -> None:
    for seed in range(3):
        config = {"train": {"seed": seed}}
        store.add(run_of(host="here", params={"train": {"seed": seed, "rate": 0.1}}, config=config))
    store.add(run_of("error", host="here", params={"train": {"seed": 0, "rate": 0.1}}))
    facts = {column.name: column for column in index.columns()}
    assert (facts["params.train.seed"].distinct, facts["params.train.seed"].total) == (3, 4)
    assert facts["params.train.rate"].kinds == {"number"} and not facts["host"].differs
    differing = [column.name for column in index.columns() if column.differs]
    assert differing == ["id", "state", "params.train.seed", "config.train.seed"]
    same = index.columns(filter='state == "error"')
    assert [column.name for column in same if column.differs] == []


def test_thousands_of_columns_are_columns(store: Store, index: Index) -> None:
    for begin in range(0, 3000, 1000):
        figures = {f"m{number}": number for number in range(begin, begin + 1500)}
        store.add(run_of(metrics={"train": figures}))
    assert index.rows(filter="m1400 == 1400 and m2600 is None", sort="-m3", columns=["m0"])[1] == 2
    rows, _ = index.rows(sort="m2999", columns=["m2999", "m1", "id"])
    assert rows[0] == {"metrics.train.m2999": 2999, "id": store.ids()[2]}
    figures = [column for column in index.columns() if column.name.startswith("metrics.")]
    assert len(figures) == 3500 and {column.total for column in figures} == {3}
    assert len(index.frame(columns=["metrics.*"]).columns) == 3500


def test_a_frame_has_numbers_times_and_texts(store: Store, index: Index) -> None:
    loss = {"train": {"loss": float("nan"), "n": 3}}
    store.add(run_of(params={"train": {"family": "mlp", "flag": True}}, metrics=loss))
    store.add(run_of(finished=TIME, params={"train": {"flag": False}}, metrics={"train": {"n": 2}}))
    store.annotate(store.ids()[0], lambda said: replace(said, tags=frozenset("ba")))
    frame = index.frame(sort="started,n")
    assert frame["metrics.train.n"].tolist() == [2, 3]
    assert frame["metrics.train.n"].dtype == "int64" and frame["params.train.flag"].dtype == "bool"
    assert frame["metrics.train.loss"].isna().all() and frame["tags"].tolist() == [[], ["a", "b"]]
    assert str(frame["started"].dt.tz) == "UTC" and frame["finished"].isna().tolist() == [
        False,
        True,
    ]
    assert frame["params.train.family"].isna().tolist() == [True, False]
    assert list(index.frame(columns=["n", "id"]).columns) == ["metrics.train.n", "id"]


def files(folder: Path) -> list[Path]:
    """Return the files of a database but the one that processes share as memory."""
    return [path for path in folder.glob("*.sqlite*") if not path.name.endswith("-shm")]


DAMAGES: list[Callable[[Path], object]] = [
    shutil.rmtree,
    lambda folder: (folder / "current").unlink(),
    lambda folder: (folder / "current").write_bytes(b"\xff../x\n"),
    lambda folder: [path.unlink() for path in folder.glob("*.sqlite*")],
    lambda folder: [path.write_bytes(b"no database") for path in files(folder)],
    lambda folder: [path.write_bytes(b"") for path in files(folder)],
    lambda folder: [os.truncate(path, 5000) for path in files(folder)],
]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("is_open", [True, False])
def test_a_damaged_index_is_made_again(
    store: Store, tmp_path: Path, damage: Callable[[Path], object], is_open: bool
) -> None:
    index = Index(store, tmp_path / "index")
    for _ in range(3):
        store.add(run_of())
        assert everything(index) == fresh(store)
    if not is_open:
        index.close()
        index = Index(store, tmp_path / "index")
        index.close()
    damage(tmp_path / "index")
    if not is_open:
        index = Index(store, tmp_path / "index")
    store.add(run_of())
    assert everything(index) == fresh(store)
    assert everything(Index(store, tmp_path / "index")) == fresh(store)


def test_an_index_of_another_place_is_not_used(store: Store, tmp_path: Path) -> None:
    store.add(run_of())
    Index(store, tmp_path / "index").rows()
    moved = tmp_path / "moved"
    shutil.copytree(store.folder, moved / "runs")
    shutil.copytree(tmp_path / "index", moved / "index")
    (moved / "runs" / store.ids()[0] / RECORD).unlink()
    (row,) = everything(Index(Store(moved / "runs"), moved / "index"))
    assert str(moved) in str(row["reason"])


def test_where_nothing_can_be_written_there_is_still_a_table(store: Store) -> None:
    store.add(run_of())
    index = Index(store, Path("/proc/none/index"))
    assert everything(index) == fresh(store)
    store.add(run_of())
    assert everything(index) == fresh(store)


PREPARE = """
from pathlib import Path
from mlops_nb.runs.index import Index
from mlops_nb.runs.run import Run, new_id
from mlops_nb.runs.store import Store
store, folder = Store(Path(arguments[0])), Path(arguments[1])
"""
ANSWER = """
index = Index(store, folder)
for _ in range(3):
    run = Run(new_id(), "2013-01-01T05:15:00.000+00:00", "ok", host=str(number))
    store.add(run)
    rows, total = index.rows(filter=f'id == "{run.id}"', columns=["host"])
    assert (rows, total) == ([{"host": str(number)}], 1), (rows, total)
"""


def test_sixteen_processes_write_and_ask_at_once(store: Store, tmp_path: Path) -> None:
    at_once(16, PREPARE, ANSWER, store.folder, tmp_path / "index")
    index = Index(store, tmp_path / "index")
    assert index.rows()[1] == 48 and everything(index) == fresh(store)
    assert len(list((tmp_path / "index").glob("*.sqlite"))) == 1


def test_several_threads_may_ask(store: Store, index: Index) -> None:
    for _ in range(20):
        store.add(run_of())
    totals: list[int] = []
    threads = [threading.Thread(target=lambda: totals.append(index.rows()[1])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert totals == [20] * 8


FIGURES = st.sampled_from([0, 1, 0.5, float("inf"), True, "a", None, [1, "a"]])
VALUES = st.dictionaries(st.sampled_from("abc"), FIGURES, max_size=3)
ACTIONS = st.sampled_from(
    "add begin finish update name remove restore purge empty delete break repair lose index".split()
)


@given(st.lists(st.tuples(ACTIONS, st.integers(0, 5), st.integers(0, 1), VALUES), max_size=14))
@settings(max_examples=40)
def test_an_index_is_a_fresh_look_after_anything(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, int, int, dict[str, Any]]]
) -> None:
    place = tmp_path_factory.mktemp("random")
    store = Store(place / "runs")
    indexes = [Index(store, place / "index") for _ in range(2)]
    attempts: dict[str, Any] = {}
    for action, number, which, values in actions:
        do(action, number, values, store, attempts)
        if action in ("break", "repair", "index"):  # by hand, so nobody said so
            indexes[which].close()
            indexes = [Index(store, place / "index") for _ in range(2)]
        index = indexes[which]
        expected = fresh(store)
        assert everything(index) == expected
        agrees_with_python(index, expected)
    assert everything(indexes[1]) == everything(indexes[0]) == fresh(store)
    for index in indexes:
        index.close()
    shutil.rmtree(place)


def do(
    action: str, number: int, values: dict[str, Any], store: Store, attempts: dict[str, Any]
) -> None:
    """Do something to a store, as somebody might."""
    ids = store.ids()
    some = ids[number % len(ids)] if ids else ""
    state = "running" if action in ("begin", "update") else "ok"
    run = run_of(state, metrics={"train": values}, config=values)
    if action == "add":
        store.add(run)
    elif action == "begin":
        attempts[run.id] = store.begin(run)
    elif action in ("finish", "update") and attempts:
        known = sorted(attempts)[number % len(attempts)]
        getattr(attempts[known], action)(replace(run, id=known))
        if action == "finish":
            del attempts[known]
    elif action == "lose" and attempts:
        del attempts[sorted(attempts)[number % len(attempts)]]
    elif action == "empty":
        (store.folder / CHANGES).unlink(missing_ok=True)
    elif some and action == "delete":
        shutil.rmtree(store.folder / some)
        attempts.pop(some, None)
    elif some and action == "purge":
        store.purge([some])
    elif some and action in ("break", "repair"):
        path = store.folder / some / RECORD
        path.chmod(0o600)
        path.write_bytes(path.read_bytes().swapcase())
    elif some and action in ("name", "remove", "restore"):
        verb: Any = getattr(store, action, None)
        name = f"n{number}"
        verb(some) if verb else store.annotate(some, lambda said: replace(said, name=name))


def agrees_with_python(index: Index, rows: list[dict[str, Any]]) -> None:
    """Assert that filters and orders give what they give of rows in memory."""
    kinds = {column.name: column.kinds for column in index.columns(removed=True)}
    live = [row for row in rows if "removed" not in row]
    for filter, sort in (("train.a is not None", "-train.a"), ('state != "ok"', "train.b,-id")):
        try:
            expected = sorted_rows(
                [row for row in live if matches(parse(filter, kinds), row)], parse_sort(sort, kinds)
            )
            keys = [row["id"] for row in expected]
        except UsageError:
            continue
        assert [row["id"] for row in index.rows(filter=filter, sort=sort)[0]] == keys


RUNS = st.lists(st.sampled_from([f"20130101T051500.000-0000000{n}" for n in range(3)]), max_size=4)


@given(st.lists(st.tuples(st.sampled_from(["append", "empty", "delete", "junk"]), RUNS)))
def test_changes_are_all_told_or_not_known(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, list[str]]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "changes-of-this-test"
    path.unlink(missing_ok=True)
    position, number = Position(), itertools.count()
    for step, runs in steps:
        lines = "".join(f"{run} {next(number):08x}\n" for run in runs).encode()
        if step in ("empty", "delete"):
            path.unlink(missing_ok=True)
        if step == "empty":
            path.write_bytes(b"")
        if step != "delete":
            with path.open("ab") as file:
                file.write(b"\xffjunk\n" if step == "junk" else lines)
        changed, position = read_changes(path, position)
        written = set(runs) if step in ("append", "empty") else set()
        assert changed is None or changed >= written
        again, position = read_changes(path, position)
        assert again == set()


def test_a_signature_is_of_both_files(tmp_path: Path) -> None:
    (tmp_path / RECORD).write_text("{}")
    before = changes.signature(str(tmp_path))
    (tmp_path / ANNOTATIONS).write_text("{}")
    assert before != changes.signature(str(tmp_path)) != ""
