"""Places, findings, uses and the filter, without a kernel."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.errors import UsageError
from mlops_nb.notebook.capture import _reserve_descriptors, wanted
from mlops_nb.notebook.files import FileUse, Mode, Places, environment_places
from mlops_nb.notebook.findings import Declared, Finding, judge, port_name, shown
from mlops_nb.notebook.ledger import NO_FILE, Ledger, Open, state_of
from mlops_nb.notebook.syscalls import MACHINES, NOTE, Note, full_path, program
from mlops_nb.notebook.tracer import LOG
from mlops_nb.notebook.traces import read_log
from mlops_nb.warm.client import start_server
from mlops_nb.warm.standing import start_and_wait

CREATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC

# Places


@pytest.mark.parametrize(
    "path",
    [
        "/usr/share/fonts/a.ttf", "/etc/hosts", "/dev/null", "/proc/self/maps", "/opt/data/a.csv",
        "/home/ada/.cache/huggingface/model.bin", "/home/ada/.gitconfig", "/scratch/tmp/part.csv",
        "/home/ada/shop/.git/HEAD", "/home/ada/shop/.dvc/cache/files/md5/ab/cd",
        "/home/ada/shop/.mlops_nb/runs/1", "/home/ada/shop/shop/__pycache__/a.data",
        "/home/ada/shop/params.yaml", "/home/ada/shop/data/table.csv.dvc",
        "/home/ada/shop/.env", "/home/ada/shop/shop/table.py", "/home/ada/other/module.so",
    ],
)  # fmt: skip
def test_what_is_of_the_machine_is_noise(path: str) -> None:
    assert Places("/home/ada/shop", ["/scratch/tmp"], "/home/ada").is_noise(path, "read")


@pytest.mark.parametrize(
    "path", ["/home/ada/shop/data/a.csv", "/home/ada/a.csv", "/data/a.csv", "/home/ada/shopping"]
)
def test_data_is_no_noise(path: str) -> None:
    assert not Places("/home/ada/shop", ["/scratch/tmp"], "/home/ada").is_noise(path, "read")


def test_code_that_is_written_is_an_output() -> None:
    assert not Places("/home/ada/shop").is_noise("/home/ada/shop/made.py", "write")


def test_a_home_that_is_the_root_hides_nothing() -> None:
    assert not Places("/shop", [""], "/").is_noise("/shop/.../a.csv", "read")


NAMES = st.text("ab.", min_size=1, max_size=4).filter(lambda name: name not in (".", ".."))
PATHS = st.lists(NAMES, min_size=1, max_size=5).map(lambda parts: "/" + "/".join(parts))


@given(PATHS, PATHS)
def test_a_path_is_inside_exactly_if_its_name_says_so(root: str, path: str) -> None:
    inside = Places(root).relative(path)
    assert (inside is not None) == path.startswith(root + "/")
    assert inside is None or os.path.join(root, inside) == path


@given(st.lists(PATHS), PATHS, PATHS)
def test_noise_around_a_project_is_no_noise_inside(noise: list[str], root: str, path: str) -> None:
    around = [one for one in noise if root.startswith(one)]
    places = Places(root, around)
    if places.relative(path) is not None:
        assert places.is_noise(path, "write") == Places(root).is_noise(path, "write")


def test_the_import_path_is_noise_but_for_the_project() -> None:
    path = ["", "/home/ada", "/home/ada/shop", "/home/ada/shop/src", "/l"]
    facts = {"prefixes": ["/p"], "path": path, "home": "/home/ada", "environ": {}}
    places = environment_places(facts, "/home/ada/shop")
    assert {"/l", "/p", "/home/ada/.cache"} <= set(places)
    assert not {"/home/ada", "/home/ada/shop", "/home/ada/shop/src"} & set(places)


# Findings


@given(st.text())
def test_a_port_can_have_the_name_that_is_proposed(path: str) -> None:
    name = port_name(path)
    exec(f"{name}: str = ''", {})
    assert name.isascii()


@given(st.lists(PATHS), PATHS)
def test_what_lies_under_a_port_is_declared(ports: list[str], path: str) -> None:
    declared = Declared("/", ports, [])
    under = any(f"{path}/".startswith(port.rstrip("/") + "/") for port in ports)
    assert (declared.kind(path, "read", Places("/none")) is None) == under


def test_a_finding_survives_json() -> None:
    finding = Finding("outside", "/a", "write", None)
    assert Finding.from_json(finding.to_json()) == finding
    assert finding.message.startswith("before the first cell: writes /a, outside the project;")


@pytest.mark.parametrize(
    ("path", "mode", "kind"),
    [
        ("/shop/in.csv", "read", None), ("/shop/in.csv", "write", "output"),
        ("/shop/out/a", "read", None), ("/shop/out/a", "write", None),
        ("/shop/nb.ipynb", "read", None), ("/shop/nb.ipynb", "write", "output"),
        ("/shop/inn.csv", "read", "input"), ("/data/a", "write", "outside"),
    ],
)  # fmt: skip
def test_reading_and_writing_are_declared_apart(path: str, mode: Mode, kind: str | None) -> None:
    declared, places = Declared("/shop", ["in.csv"], ["out"], ["nb.ipynb"]), Places("/shop")
    finding = judge(FileUse(shown(path, places), mode, 1), path, declared, places)
    assert (finding and finding.kind) == kind


# The ledger


def ledger(root: Path) -> Ledger:
    return Ledger(str(root), Declared(str(root), ["in.csv"], ["out.csv"]))


def note(one: Ledger, path: Path, flags: int, line: int = 1) -> None:
    one.note(Open(str(path), flags, line, state_of(str(path))))


def test_opens_outside_of_cells_are_nobodys(tmp_path: Path) -> None:
    one = ledger(tmp_path)
    note(one, tmp_path / "a", CREATE)
    one.begin(1)
    assert one.end() == ()
    assert not one.wants(str(tmp_path / "a"), CREATE)


def test_the_first_line_of_a_use_is_kept(tmp_path: Path) -> None:
    one = ledger(tmp_path)
    one.begin(2, shift=3)
    note(one, tmp_path / "a", CREATE, 4)
    note(one, tmp_path / "a", CREATE, 9)
    assert [(use.cell, use.line) for use in one.end()] == [(2, 7)]


def test_lines_that_the_author_has_not_written_are_not_told(tmp_path: Path) -> None:
    one = ledger(tmp_path)
    one.begin(3, shift=None)
    note(one, tmp_path / "a", CREATE, 4)
    (use,) = one.end()
    assert (use.cell, use.line) == (3, None)


def test_a_file_read_and_then_written_is_one_finding(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1")
    one = ledger(tmp_path)
    one.begin(1)
    note(one, tmp_path / "a.csv", os.O_RDONLY)
    note(one, tmp_path / "a.csv", CREATE)
    assert [use.mode for use in one.end()] == ["read", "write"]
    assert [finding.kind for finding in one.findings()] == ["output"]


def test_many_declared_files_hide_no_undeclared_one(tmp_path: Path) -> None:
    one = Ledger(str(tmp_path), Declared(str(tmp_path), [], ["out"]))
    one.begin(1)
    for number in range(1500):
        note(one, tmp_path / "out" / str(number), CREATE)
    (tmp_path / "other").write_text("")
    note(one, tmp_path / "other", CREATE)
    assert len(one.end()) == 1001 and one.left_out == 500
    assert [finding.path for finding in one.findings()] == ["other"]


def test_a_pipe_and_a_directory_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert state_of(str(tmp_path / "pipe")) == NO_FILE == state_of(str(tmp_path))
    assert Open(str(tmp_path), CREATE, 1, NO_FILE).modes == ()


# The filter


@pytest.mark.parametrize("name", MACHINES)
def test_no_filter_jumps_beyond_its_end(name: str) -> None:
    import struct

    code = [struct.unpack("=HBBI", part) for part in _chunks(program(MACHINES[name]), 8)]
    for place, (kind, then, otherwise, _) in enumerate(code):
        assert kind == 0x06 or place + max(then, otherwise) + 1 < len(code)
    assert code[-1] == (0x06, 0, 0, 0x7FFF0000)


def _chunks(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def test_a_note_is_read_as_the_system_writes_it() -> None:
    data = NOTE.pack(7, 42, 0, 257, 0xC000003E, 0, *range(6))
    assert Note.parse(data) == Note(7, 42, 257, (0, 1, 2, 3, 4, 5)) and len(data) == 80


def test_a_path_counts_from_an_open_directory(tmp_path: Path) -> None:
    at = os.open(tmp_path, os.O_RDONLY)
    call = MACHINES["x86_64"].calls[257]
    note = Note(1, os.getpid(), 257, (at, 0, 0, 0, 0, 0))
    assert full_path(b"a/../b", call, note) == str(tmp_path / "b")
    os.close(at)
    with pytest.raises(OSError):
        full_path(b"a", call, note)


WITHOUT_PRIVILEGES = """
import ctypes, os, socket, sys, threading
from mlops_nb.notebook.listener import Listener
from mlops_nb.notebook.syscalls import program, this_machine
from mlops_nb.notebook.seccomp import allow_reader, install_filter
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE, as after a fresh start
machine = this_machine()
code, ours_theirs = program(machine), socket.socketpair()
ours, theirs = ours_theirs
import array
pid = os.fork()
if not pid:
    allow_reader(os.getppid())
    rights = array.array("i", [install_filter(code, machine.seccomp)])
    theirs.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    os.close(rights[0])
    open("/etc/hostname").close()
    try:
        open("/nowhere")
    except FileNotFoundError:
        os._exit(0)
_, (listener, ), _, _ = socket.recv_fds(ours, 1, 1)
heard = []
one = Listener(listener, machine, pid, heard.append)
print(os.waitpid(pid, 0)[1], sorted(h.path for h in heard))
one.close()
"""


def test_it_works_without_privileges() -> None:
    command = [sys.executable, "-c", WITHOUT_PRIVILEGES]
    root = str(Path(__file__).parents[2])
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, timeout=60)
    assert done.stdout == "0 ['/etc/hostname', '/nowhere']\n", done.stderr


OUTLIVING = """
import array, os, socket, sys
from mlops_nb.notebook.listener import Listener
from mlops_nb.notebook.syscalls import program, this_machine
from mlops_nb.notebook.seccomp import install_filter
machine = this_machine()
code, (ours, theirs), (told, tell) = program(machine), socket.socketpair(), os.pipe()
pid = os.fork()
if not pid:
    rights = array.array("i", [install_filter(code, machine.seccomp)])
    theirs.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    os.close(rights[0])
    os.read(told, 1)
    for _ in range(100):
        open("/etc/hostname").close()
    os._exit(0)
_, (listener, ), _, _ = socket.recv_fds(ours, 1, 1)
one = Listener(listener, machine, pid, lambda heard: print("heard"))
before = len(os.listdir("/proc/self/fd"))
one.close(0.05)
os.write(tell, b"x")
print(os.waitpid(pid, 0)[1], before - len(os.listdir("/proc/self/fd")))
"""


def test_a_process_that_outlives_its_listener_goes_on_opening_files() -> None:
    command = [sys.executable, "-c", OUTLIVING]
    root = str(Path(__file__).parents[2])
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, timeout=60)
    assert done.stdout == "0 3\n", done.stderr  # the listener, and both ends of its pipe


# The switch and the log


@pytest.mark.parametrize(
    ("value", "level"), [("0", "off"), ("python", "python only"), ("", "full"), ("1", "full")]
)
def test_the_switch(value: str, level: str) -> None:
    assert wanted({"MLOPS_NB_CAPTURE": value})[0] == level


def test_what_listening_takes_is_there_or_its_lack_is_said_and_nothing_kept() -> None:
    with contextlib.ExitStack() as reserve:
        assert _reserve_descriptors(reserve) == ""
    limits, used = resource.getrlimit(resource.RLIMIT_NOFILE), len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, limits[1]))
    try:
        with contextlib.ExitStack() as reserve:
            assert "Too many open files" in _reserve_descriptors(reserve)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len(os.listdir("/proc/self/fd")) == used


def test_another_machine_is_seen_through_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert wanted({}) == ("python only", "needs Linux on x86-64 or ARM")


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_a_log_with_garbage_gives_what_can_be_read(lines: list[bytes]) -> None:
    import tempfile

    whole = b'["/a", 0, 3, [1, 2]]'
    text = b"\n".join([*lines, whole, b""])
    with tempfile.NamedTemporaryFile() as file:
        file.write(LOG.pack(len(text), 0) + text + b"beyond")
        file.flush()
        opens, used, _ = read_log(Path(file.name), 0)
    assert Open("/a", 0, 3, (1, 2)) in opens and used == len(text)


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    nothing: tuple[list[Any], int, int] = ([], 5, 0)
    assert read_log(tmp_path / "none", 5) == nothing


def test_a_notebook_that_is_executed_starts_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_NB_NOTEBOOK", "/nb.ipynb")
    monkeypatch.delenv("MLOPS_NB_WARM", raising=False)
    with pytest.raises(UsageError, match="starts no warm server"):
        start_server("mlops_nb.cli.prepared:prepare")
    with pytest.raises(UsageError, match="no warm server: within a notebook"):
        start_and_wait("mlops_nb.cli.prepared:prepare", [])
