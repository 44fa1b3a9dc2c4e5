"""How long a table of 10,000 runs of 40 columns takes to open, to filter and to load.

`python -m benchmarks.runs_index [COUNT]` prints the figures.
"""

from __future__ import annotations

import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mlops_nb.core.moments import timestamp
from mlops_nb.runs.folder import RECORD
from mlops_nb.runs.index import Index
from mlops_nb.runs.run import Run, new_id
from mlops_nb.runs.seal import seal
from mlops_nb.runs.store import Store

COUNT = 10_000
FAMILIES = ("logistic", "forest", "boosting", "mlp")
FILTER = 'auc > 0.7 and (family == "mlp" or "baseline" in tags) and not state == "error"'
ROUNDS = 7


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


def seconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Return the median time that `work` takes."""
    took = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        took.append(time.perf_counter() - start)
    return statistics.median(took)


def main(count: int) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = write_store(folder / "runs", count)

        def from_nothing() -> None:
            shutil.rmtree(folder / "index", ignore_errors=True)
            Index(store, folder / "index").rows(filter=FILTER, sort="-auc", limit=100)

        print(f"first page from a deleted index: {seconds(from_nothing, 3):.2f} s")

        def opened() -> None:
            Index(store, folder / "index").rows(filter=FILTER, sort="-auc", limit=100)

        print(f"first page, index opened anew: {seconds(opened) * 1000:.0f} ms")
        index = Index(store, folder / "index")
        index.frame()
        rows, total = index.rows()
        print(f"{len(rows)} of {total} runs, {len(index.frame().columns)} columns")

        def page() -> None:
            index.rows(filter=FILTER, sort="-auc", limit=100)

        print(f"first page, warm: {seconds(page) * 1000:.1f} ms")
        run = store.ids()[0]

        def annotated() -> None:
            store.annotate(run, lambda said: replace(said, starred=not said.starred))
            page()

        print(f"annotate a run and see the page: {seconds(annotated) * 1000:.1f} ms")
        print(f"columns with distinct values: {seconds(index.columns) * 1000:.0f} ms")
        print(f"all as a data frame: {seconds(index.frame):.2f} s")
        print(f"all as rows: {seconds(index.rows):.2f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT)
