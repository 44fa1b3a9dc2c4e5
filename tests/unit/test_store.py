"""One folder a run: whatever happens to one of them, the others are there and say what they are."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_nb.core.locks import is_locked
from mlops_nb.errors import RecordError, UnwritablePath, UsageError
from mlops_nb.runs.annotations import Annotations
from mlops_nb.runs.folder import ANNOTATIONS, LOCK, RECORD, Broken
from mlops_nb.runs.naming import meant_run
from mlops_nb.runs.run import Run, new_id, short_id
from mlops_nb.runs.store import CHANGES, Store
from tests.at_once import at_once

TIME = "2013-01-01T05:15:00.000+00:00"
PREPARE = """
from dataclasses import replace
from pathlib import Path
from mlops_nb.runs.run import Run, new_id
from mlops_nb.runs.store import Store
store = Store(Path(arguments[0]))
"""
BEGIN = """
run = Run(new_id(), "2013-01-01T05:15:00.000+00:00", "running", host=str(number))
attempt = store.begin(run)
attempt.update(run)
attempt.finish(replace(run, state="ok"))
"""
HOLD = """
import sys, time
from pathlib import Path
from mlops_nb.runs.run import Run, new_id
from mlops_nb.runs.store import Store
run = Run(new_id(), "2013-01-01T05:15:00.000+00:00", "running")
attempt = Store(Path(sys.argv[1])).begin(run)
print(run.id, flush=True)
time.sleep(600)
"""
TAG = """
(known,) = store.ids()
for count in range(10):
    tag = f"{number}-{count}"
    store.annotate(known, lambda said: replace(said, tags=said.tags | {tag}))
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "state" / "runs")


def run_of(state: str = "ok", **values: object) -> Run:
    """Return a run that begins now."""
    return replace(Run(new_id(), TIME), state=state, **values)  # type: ignore[arg-type]


def record_of(store: Store, run: str) -> Path:
    """Return the file of a record."""
    return store.folder_of(run) / RECORD


def test_a_run_is_read_as_it_was_begun_updated_and_finished(store: Store) -> None:
    run = run_of("running", overrides=("train.seed=1",))
    attempt = store.begin(run)
    assert store.read(run.id) == run
    attempt.update(replace(run, host="here"))
    assert store.read(run.id) == replace(run, host="here")
    attempt.finish(replace(run, state="error", metrics={"train": {"loss": 0.5}}))
    assert store.read(run.id) == replace(run, state="error", metrics={"train": {"loss": 0.5}})
    assert store.ids() == [run.id]


def test_what_is_finished_does_not_change_and_belongs_to_its_owner(store: Store) -> None:
    run = run_of("running")
    attempt = store.begin(run)
    attempt.finish(replace(run, state="ok"))
    for again in (attempt.update, attempt.finish):
        with pytest.raises(RecordError, match="is finished"):
            again(run)
    assert stat.S_IMODE(record_of(store, run.id).stat().st_mode) == 0o444
    assert stat.S_IMODE(store.folder_of(run.id).stat().st_mode) == 0o700
    assert not is_locked(store.folder_of(run.id) / LOCK)


def test_states_that_do_not_fit_are_refused(store: Store) -> None:
    run = run_of("running")
    attempt = store.begin(run)
    with pytest.raises(RecordError, match="finish it instead"):
        attempt.update(replace(run, state="ok"))
    with pytest.raises(RecordError, match="still `running`"):
        attempt.finish(run)
    with pytest.raises(RecordError, match="still `pending`"):
        store.add(run_of("pending"))
    with pytest.raises(RecordError, match=f"is not {run.id}"):
        attempt.update(run_of("running"))
    assert store.ids() == [run.id]


def test_an_id_is_taken_once(store: Store) -> None:
    run = run_of()
    store.add(run)
    for again in (store.add, store.begin):
        with pytest.raises(RecordError, match="there is such a run"):
            again(replace(run, host="elsewhere"))
    assert store.read(run.id) == run
    assert sorted(path.name for path in store.folder.iterdir()) == [run.id, CHANGES]


@pytest.mark.parametrize("text", ["..", "../x", "", "/etc/passwd", CHANGES, "a" * 5000])
def test_what_is_no_id_never_touches_the_disk(store: Store, text: str) -> None:
    for verb in (store.read, store.annotations, store.remove, store.folder_of):
        with pytest.raises(RecordError, match="is no id of a run"):
            verb(text)
    with pytest.raises(RecordError, match="is no id of a run"):
        store.purge([text])
    assert not store.folder.exists()


def test_a_place_that_cannot_be_written_is_one_line() -> None:
    with pytest.raises(UnwritablePath, match="/proc/none"):
        Store(Path("/proc/none/runs")).begin(run_of("running"))
    assert Store(Path("/proc/none/runs")).ids() == []


def test_a_record_that_is_refused_leaves_nothing(store: Store) -> None:
    with pytest.raises(RecordError, match="overrides"):
        store.begin(replace(run_of("running"), overrides="train.seed=1"))
    with pytest.raises(RecordError, match="is a PosixPath"):
        store.begin(run_of("running", environment={"prefix": Path("x")}))
    assert list(store.folder.iterdir()) == []


def test_names_of_files_that_are_no_text_are_kept(store: Store) -> None:
    run = run_of(artifacts={os.fsdecode(b"caf\xe9\n.csv"): {"size": 3}}, command=("a b", "\u2028"))
    store.add(run)
    assert store.read(run.id) == run


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, list[Run], bytes]:
    store = Store(tmp_path_factory.mktemp("three"))
    runs = [run_of(metrics={"train": {"loss": 0.25}}, host=f"{n}") for n in range(3)]
    for run in runs:
        store.add(run)
    path = record_of(store, runs[1].id)
    path.chmod(0o600)
    return store, runs, path.read_bytes()


def assert_only_the_second_is_broken(store: Store, runs: list[Run]) -> None:
    """Assert that of three runs one is marked, with its file, and the others are whole."""
    first, broken, third = (store.read(run.id) for run in runs)
    assert (first, third) == (runs[0], runs[2])
    assert isinstance(broken, Broken) and broken.id == runs[1].id
    assert broken.path == record_of(store, runs[1].id) and str(broken.path) in broken.reason
    assert "\n" not in broken.reason


def test_every_byte_that_changed_is_noticed(three: tuple[Store, list[Run], bytes]) -> None:
    store, runs, whole = three
    path = record_of(store, runs[1].id)
    for place in range(len(whole)):
        content = bytearray(whole)
        content[place] ^= 1 << place % 8
        path.write_bytes(content)
        assert isinstance(store.read(runs[1].id), Broken), place
    assert_only_the_second_is_broken(store, runs)


def test_a_record_that_was_cut_off_is_noticed(three: tuple[Store, list[Run], bytes]) -> None:
    store, runs, whole = three
    for length in range(0, len(whole), 3):
        record_of(store, runs[1].id).write_bytes(whole[:length])
        assert isinstance(store.read(runs[1].id), Broken), length
    assert_only_the_second_is_broken(store, runs)


@given(content=st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_one_marked_row(
    three: tuple[Store, list[Run], bytes], content: bytes
) -> None:
    store, runs, _ = three
    record_of(store, runs[1].id).write_bytes(content)
    assert_only_the_second_is_broken(store, runs)


def test_the_record_of_another_run_and_a_lost_one_are_marked(store: Store) -> None:
    first, second = run_of(), run_of()
    store.add(first)
    store.add(second)
    record_of(store, first.id).unlink()
    record_of(store, second.id).unlink()
    record_of(store, first.id).write_bytes(b"")
    assert isinstance(lost := store.read(second.id), Broken) and "No such file" in lost.reason
    third = run_of()
    store.add(third)
    record_of(store, third.id).rename(record_of(store, second.id))
    assert isinstance(other := store.read(second.id), Broken)
    assert f"is the record of {third.id}" in other.reason


def test_sixteen_processes_begin_at_once_on_a_fresh_store(store: Store) -> None:
    at_once(16, PREPARE, BEGIN, store.folder)
    found = [store.read(run) for run in store.ids()]
    assert sorted(int(run.host) for run in found if isinstance(run, Run)) == list(range(16))
    assert {run.state for run in found if isinstance(run, Run)} == {"ok"}
    assert len((store.folder / CHANGES).read_text().splitlines()) == 16 * 3
    assert [path for path in store.folder.iterdir() if path.name.startswith(".")] == []


def test_a_killed_process_leaves_a_killed_run_and_no_lock(store: Store) -> None:
    words = [sys.executable, "-c", HOLD, str(store.folder)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        run = process.stdout.readline().strip()
        assert isinstance(found := store.read(run), Run) and found.state == "running"
        assert store.purge([run]) == ()
        process.kill()
        process.wait()
        content = record_of(store, run).read_bytes()
        assert isinstance(found := store.read(run), Run) and found.state == "killed:signal"
        assert record_of(store, run).read_bytes() == content
        assert not is_locked(store.folder_of(run) / LOCK)
        assert store.purge([run]) == (run,)


def test_eight_processes_that_annotate_at_once_lose_nothing(store: Store) -> None:
    run = run_of()
    store.add(run)
    at_once(8, PREPARE, TAG, store.folder)
    expected = {f"{number}-{tag}" for number in range(8) for tag in range(10)}
    assert store.annotations(run.id).tags == expected


def test_what_is_removed_comes_back_until_it_is_purged(store: Store) -> None:
    run = run_of()
    store.add(run)
    store.annotate(run.id, lambda said: replace(said, name="baseline", starred=True))
    removed = store.remove(run.id).removed
    assert removed and store.remove(run.id).removed == removed
    assert store.restore(run.id) == Annotations(name="baseline", starred=True)
    assert store.purge([run.id, run.id]) == (run.id,)
    assert store.ids() == [] and isinstance(store.read(run.id), Broken)
    with pytest.raises(RecordError, match="no such run"):
        store.annotate(run.id, lambda said: said)


def test_damaged_annotations_are_named_and_harm_no_record(store: Store) -> None:
    run = run_of()
    store.add(run)
    store.annotate(run.id, lambda said: replace(said, name="baseline"))
    path = store.folder_of(run.id) / ANNOTATIONS
    path.write_bytes(path.read_bytes()[:-1])
    for verb in (store.annotations, store.remove):
        with pytest.raises(RecordError, match=ANNOTATIONS):
            verb(run.id)
    assert store.read(run.id) == run and store.find(short_id(run.id)) == run.id


def test_folders_that_were_left_half_made_are_cleared_up_when_they_are_old(store: Store) -> None:
    store.add(run_of())
    old, new = store.folder / ".old", store.folder / ".new"
    for path in (old, new):
        (path / "reports").mkdir(parents=True)
    os.utime(old, (time.time() - 7200,) * 2)
    store.purge([])
    assert not old.exists() and new.exists() and len(store.ids()) == 1


def test_every_change_is_announced_whatever_was_done_to_the_file(store: Store) -> None:
    run = run_of("running")
    attempt = store.begin(run)
    (store.folder / CHANGES).unlink()
    attempt.update(run)
    (store.folder / CHANGES).write_bytes(b"")
    attempt.finish(replace(run, state="ok"))
    store.remove(run.id)
    store.purge([run.id])
    lines = (store.folder / CHANGES).read_text().splitlines()
    assert [line.partition(" ")[0] for line in lines] == [run.id] * 3 and len(set(lines)) == 3


IDS = [
    "20130101T051500.000-3f9a2c1e",
    "20130101T051501.000-3f00aaaa",
    "20130102T000000.000-20130102",
]
NAMES = {IDS[0]: "baseline", IDS[1]: "3f9a"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (IDS[0], 0),
        ("baseline", 0),
        (" 3F00", 1),
        ("3f9a", 1),  # a name comes before the beginning of an id
        ("3f9a2", 0),
        ("20130101T051501", 1),
        ("20130102", 2),
    ],
)
def test_a_run_is_found_by_id_beginning_or_name(text: str, found: int) -> None:
    assert meant_run(text, IDS, NAMES) == IDS[found]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("3f", f"`3f` stands for several runs: {IDS[1]} (3f9a), {IDS[0]} (baseline); give the id"),
        ("basline", "no run `basline`; did you mean `baseline`?"),
        ("3f9a2c1f", "no run `3f9a2c1f`; did you mean `3f9a2c1e`?"),
        ("zzzzzz", "no run `zzzzzz`; see the list of runs"),
        ("", "no run ``; see the list of runs"),
    ],
)
def test_a_run_that_is_not_found_is_one_line(text: str, said: str) -> None:
    with pytest.raises(RecordError) as caught:
        meant_run(text, IDS, NAMES)
    assert str(caught.value) == said


def test_a_name_does_not_take_the_id_of_another_run() -> None:
    names = {IDS[0]: "3f00aaaa", IDS[2]: IDS[1]}
    assert meant_run("3f00aaaa", IDS, names) == meant_run(IDS[1], IDS, names) == IDS[1]


def test_many_that_could_be_meant_are_counted() -> None:
    ids = [f"20130101T05150{n}.000-{n:08x}" for n in range(9)]
    with pytest.raises(RecordError, match="and 6 more"):
        meant_run("0000", ids, {})


@given(st.text(max_size=40))
def test_whatever_is_typed_is_a_run_or_one_line(text: str) -> None:
    try:
        assert meant_run(text, IDS, NAMES) in IDS
    except UsageError as error:
        assert "\n" not in str(error)
