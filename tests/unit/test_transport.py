"""What travels between a driver and its nodes: names, pieces, hashes; and what a trial needs."""

from __future__ import annotations

import hashlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_nb.core.project import Project
from mlops_nb.core.yaml import load_yaml
from mlops_nb.errors import RecordError, UsageError
from mlops_nb.sweep.clone import FOLDER, node_folder
from mlops_nb.sweep.homecoming import bring_objects
from mlops_nb.sweep.needs import usable
from mlops_nb.sweep.node import Node
from mlops_nb.sweep.results import Results
from mlops_nb.sweep.run_cache import entry_name, object_name, outs_of
from mlops_nb.sweep.transport import Depot, pieces, write_piece

in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def name_of(content: bytes) -> str:
    """Return the name of an object with this content."""
    name = object_name(hashlib.md5(content).hexdigest())
    assert name
    return name


@in_one_folder
@given(content=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=5))
def test_an_object_arrives_whole_however_it_is_cut(
    tmp_path: Path, content: bytes, cuts: list[int]
) -> None:
    depot, name = Depot(tmp_path), name_of(content)
    edges = sorted({0, len(content), *(cut for cut in cuts if cut < len(content))})
    parts = list(pairwise(edges)) or [(0, 0)]
    for start, end in parts:
        depot.receive(name, start, content[start:end], end == len(content))
    assert depot.has(name) and depot.path(name).read_bytes() == content
    assert b"".join(piece for _, piece, _ in pieces(depot.path(name))) == content


def test_two_trials_may_bring_the_same_object_at_once(tmp_path: Path) -> None:
    depot, content = Depot(tmp_path), b"the same output" * 100
    name = name_of(content)

    class Worker:
        host = "node"

        def ask(self, verb: str, *values: Any) -> Any:
            if verb == "members":
                return []
            start = values[1]
            return content[start : start + 100], start + 100 >= len(content)

    def bring(_: int) -> None:
        meet.wait()
        bring_objects(Worker(), depot, [name])

    for _ in range(50):
        depot.path(name).unlink(missing_ok=True)
        meet = threading.Barrier(2)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(bring, range(2)))
        assert depot.path(name).read_bytes() == content
    assert [path.name for path in depot.path(name).parent.iterdir()] == [depot.path(name).name]


@in_one_folder
@given(content=st.binary(max_size=50), other=st.binary(max_size=50))
def test_content_that_is_not_that_of_its_hash_is_never_kept(
    tmp_path: Path, content: bytes, other: bytes
) -> None:
    depot = Depot(tmp_path / hashlib.md5(content + b"/" + other).hexdigest())
    if content == other:
        return
    with pytest.raises(RecordError, match="not that of its hash"):
        depot.receive(name_of(content), 0, other, True)
    assert not depot.has(name_of(content))
    assert not [path for path in depot.folder.rglob("*") if path.is_file()]


@in_one_folder
@given(st.text(max_size=80) | st.from_regex(r"[0-9a-f./]{1,70}(\.dir)?", fullmatch=True))
def test_no_name_leads_out_of_the_cache(tmp_path: Path, name: str) -> None:
    depot = Depot(tmp_path / "cache")
    try:
        path = depot.path(name)
    except RecordError as error:
        assert "no object" in str(error)
        return
    assert path.is_relative_to(tmp_path / "cache" / "files" / "md5")
    assert ".." not in path.parts


@pytest.mark.parametrize(
    "name",
    ["", "../../../etc/passwd", "/etc/passwd", "00/..", f"00/{'0' * 30}.dir/..", f"00/{'0' * 29}g",
     f"00/{'0' * 30}\n", f"0{'0' * 31}", f"00/{'0' * 30}.DIR", None, 7],
)  # fmt: skip
def test_what_is_no_name_of_an_object_is_refused(tmp_path: Path, name: Any) -> None:
    with pytest.raises(RecordError, match="no object of DVC's"):
        Depot(tmp_path).receive(name, 0, b"evil", True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name", ["", "../x", "00/11/22", f"00/{'1' * 64}/{'0' * 64}", f"00/{'0' * 64}/../x"]
)
def test_what_is_no_name_of_an_entry_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RecordError, match="no entry of DVC's"):
        Depot(tmp_path).take_entry(name, b"cmd: x\n")
    assert not list(tmp_path.iterdir())


def test_a_piece_that_is_not_the_next_one_is_refused(tmp_path: Path) -> None:
    write_piece(tmp_path / "draft", 0, b"abc")
    for start in (1, 2, 4, 99):
        with pytest.raises(RecordError, match="a piece is missing"):
            write_piece(tmp_path / "draft", start, b"x")
    write_piece(tmp_path / "draft", 0, b"anew")
    assert (tmp_path / "draft").read_bytes() == b"anew"


def test_a_directory_counts_when_all_of_its_files_are_there(tmp_path: Path) -> None:
    depot, inner = Depot(tmp_path), name_of(b"inner")
    listed = json.dumps([{"md5": inner.replace("/", ""), "relpath": "a"}]).encode()
    whole = name_of(listed) + ".dir"
    depot.receive(whole, 0, listed, True)
    assert depot.whole(whole) == [] and depot.members(whole) == [inner]
    depot.receive(inner, 0, b"inner", True)
    assert depot.whole(whole) == [inner, whole]


@pytest.mark.parametrize("listed", [b"", b"[1]", b'[{"md5": "../../x"}]', b'[{"relpath": 1}]'])
def test_a_list_of_a_directory_that_is_none_is_refused(tmp_path: Path, listed: bytes) -> None:
    depot, name = Depot(tmp_path), name_of(listed) + ".dir"
    depot.receive(name, 0, listed, True)
    with pytest.raises(RecordError, match="no list of a directory"):
        depot.members(name)


def test_an_entry_is_kept_when_its_outputs_are_there(tmp_path: Path) -> None:
    depot = Depot(tmp_path)
    content = b"cmd: train\nouts:\n- path: model\n  hash: md5\n  md5: %s\n"
    content %= name_of(b"model").replace("/", "").encode()
    name = entry_name(load_yaml(content.decode(), "here"))
    with pytest.raises(RecordError, match="outputs are not here"):
        depot.take_entry(name, content)
    depot.receive(name_of(b"model"), 0, b"model", True)
    assert outs_of(depot.take_entry(name, content)) == [name_of(b"model")]
    assert list(depot.entries()) == [name] and depot.entry(name) == content


def test_an_entry_that_is_not_the_one_of_its_name_is_not_kept(tmp_path: Path) -> None:
    depot = Depot(tmp_path)
    name = entry_name({"cmd": "train", "outs": [{"path": "model", "md5": "0" * 32}]})
    with pytest.raises(RecordError, match="not the one of that name"):
        depot.take_entry(name, b"cmd: train\nouts: []\n")
    assert list(depot.entries()) == []


def entry(cmd: str, deps: dict[str, str], outs: dict[str, str], **params: Any) -> dict[str, Any]:
    """Return what is known of a stage."""
    document: dict[str, Any] = {"cmd": cmd, "params": {"params.yaml": params}}
    for key, files in (("deps", deps), ("outs", outs)):
        document[key] = [{"path": path, "md5": digest} for path, digest in files.items()]
    return document


def test_what_was_made_of_other_data_or_other_parameters_is_not_needed() -> None:
    ours = entry("prepare", {"raw": "1"}, {"table": "2"}, rows=20)
    other_data = entry("prepare", {"raw": "0"}, {"table": "3"}, rows=20)
    other_rows = entry("prepare", {"raw": "1"}, {"table": "4"}, rows=30)
    next_one = entry("train", {"table": "2"}, {"model": "5"})
    of_others = entry("train", {"table": "4"}, {"model": "6"})
    everything = [of_others, next_one, other_rows, other_data, ours]
    assert usable(everything, {"rows": 20}, {"raw": "1"}) == [ours, next_one]


def test_the_folder_of_a_node_is_private_and_nobody_elses(tmp_path: Path) -> None:
    folder = node_folder("abc", {FOLDER: str(tmp_path)})
    folder.chmod(0o755)
    assert node_folder("abc", {FOLDER: str(tmp_path)}).stat().st_mode & 0o777 == 0o700
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="somebody else's"):
        node_folder("link", {FOLDER: str(tmp_path)})
    for key in ("", "..", "a/b", "a.b"):
        with pytest.raises(UsageError, match="no key"):
            node_folder(key, {FOLDER: str(tmp_path)})


@pytest.mark.parametrize("verb", ["", "answer", "__init__", "_listen", "verbs"])
def test_a_node_does_only_what_it_can_be_asked(verb: str) -> None:
    assert "cannot" in Node().answer(verb)["what"]


def test_a_file_that_a_run_does_not_have_is_said_in_one_line(tmp_path: Path) -> None:
    results = Results(Project(tmp_path), tmp_path)
    for name in ("reports/train.ipynb", "../../outside", ""):
        with pytest.raises(RecordError, match="has no file") as raised:
            results.file("20130101T051500.000-00000001", name)
        assert "\n" not in str(raised.value)
