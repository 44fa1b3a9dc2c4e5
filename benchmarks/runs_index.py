"""How long the first page of a table of 10,000 runs of 40 columns takes, warm and from nothing."""

from __future__ import annotations

import json
import random
import shutil
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mlops_nb.core.moments import timestamp
from mlops_nb.runs.folder import RECORD
from mlops_nb.runs.index import Index
from mlops_nb.runs.run import Run, new_id
from mlops_nb.runs.seal import seal
from mlops_nb.runs.store import Store

from .comparison import Command, Comparison, Goal

COUNT = 10_000
FAMILIES = ("logistic", "forest", "boosting", "mlp")
FILTER = 'auc > 0.7 and (family == "mlp" or "baseline" in tags) and not state == "error"'


def synthetic_runs(count: int) -> Iterator[Run]:
    """Yield runs with 14 parameters and 14 metrics, as a sweep would leave them."""
    chance, begin = random.Random(0), datetime(2013, 1, 1, tzinfo=UTC)
    for number in range(count):
        moment = begin + timedelta(minutes=number)
        train = {f"option_{n}": chance.randrange(5) for n in range(11)}
        train |= {"family": chance.choice(FAMILIES), "seed": number, "rate": chance.random()}
        figures = {f"figure_{n}": chance.random() for n in range(13)} | {"auc": chance.random()}
        yield Run(
            id=new_id(moment),
            started=timestamp(moment),
            state="error" if chance.random() < 0.1 else "ok",
            finished=timestamp(moment + timedelta(seconds=40)),
            wall_seconds=40.0,
            origin={"kind": "sweep", "sweep": f"s{number // 20}", "trial": number % 20},
            who={"name": "A B", "email": "a@example.org"},
            host="here",
            overrides=(f"train.seed={number}",),
            config={"train": train},
            params={"train": train},
            metrics={"evaluate": figures},
            code={"commit": f"{number:040x}", "branch": "main", "dirty": False},
        )


def write_store(folder: Path, count: int) -> Store:
    """Return a store of synthetic runs; they are written without waiting for the disk."""
    store = Store(folder)
    for run in synthetic_runs(count):
        place = store.folder_of(run.id)
        place.mkdir(parents=True)
        (place / RECORD).write_bytes(seal("run", run.to_json()))
    return store


def comparisons(folder: Path) -> Iterator[Comparison]:
    """Yield the comparisons, on one store in `folder`; each command times its own work."""
    write_store(folder / "runs", COUNT)
    for name, question, seconds in (
        ("warm", "first page of 10,000 runs, filtered and sorted", 0.1),
        ("deleted", "the same from a deleted index", 3.0),
    ):
        words = (sys.executable, "-m", "benchmarks.runs_index", str(folder))
        environ = {"PYTHONPATH": str(Path(__file__).parents[1])}
        yield Comparison(
            Command(question, (*words, name), folder, environ),
            Command("reading every record with json", (*words, "json"), folder, environ),
            {"own": Goal(0, allowance=seconds)},
            rounds=5,
        )


def page(index: Index) -> None:
    """Ask for the first page, filtered and sorted."""
    rows, total = index.rows(filter=FILTER, sort="-auc", limit=100)
    assert len(rows) == 100 < total


def main(folder: Path, name: str) -> None:
    """Print how many seconds one of the questions takes."""
    store = Store(folder / "runs")
    if name == "deleted":
        shutil.rmtree(folder / "index", ignore_errors=True)
    index = Index(store, folder / "index") if name == "warm" else None
    if index:
        page(index)
    start = time.perf_counter()
    if name == "json":
        for run in store.ids():
            json.loads((store.folder_of(run) / RECORD).read_bytes())
    else:
        page(index or Index(store, folder / "index"))
    print(time.perf_counter() - start)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
