"""The parts of the warm server that need no server."""

import asyncio
import importlib
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import types
from pathlib import Path
from unittest import mock

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.errors import UsageError
from mlops_nb.warm.base import Base
from mlops_nb.warm.client import IDLE, ColdStart, idle_seconds, run_warm, start_server
from mlops_nb.warm.command import LAUNCHER, is_ipykernel, not_ours
from mlops_nb.warm.demand import MOST_SPARE, Demand
from mlops_nb.warm.forking import forked
from mlops_nb.warm.lifeline import Lifeline
from mlops_nb.warm.likeness import are_alike, put_on
from mlops_nb.warm.loop import Loop
from mlops_nb.warm.needs import Needs
from mlops_nb.warm.place import (
    LONGEST_SOCKET_PATH,
    SOCKET,
    make_private,
    server_folder,
    sockets_fit,
    why_off,
)
from mlops_nb.warm.preload import Loaded, objection
from mlops_nb.warm.process import UNKNOWN_STATUS, AdoptedProcess
from mlops_nb.warm.provisioner import _aside
from mlops_nb.warm.server import run_command
from mlops_nb.warm.shelf import Shelf, _Loader
from mlops_nb.warm.snapshot import Snapshot
from mlops_nb.warm.state import own_state
from mlops_nb.warm.variables import differing
from mlops_nb.warm.wanted import LONGEST_LIST, extend_list, read_list
from mlops_nb.warm.wire import Message, ask, receive, send
from mlops_nb.warm.zygote import Zygote, load_listed

USUAL = [sys.executable, "-m", LAUNCHER, "-f", "kernel.json"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a private runtime folder of the test's own."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr("mlops_nb.warm.place.LONGEST_SOCKET_PATH", 1000)
    tmp_path.chmod(0o700)
    return tmp_path


@given(st.dictionaries(st.text(), json_values))
def test_what_is_sent_is_received(message: dict[str, object]) -> None:
    left, right = socket.socketpair()
    with left, right:
        sender = threading.Thread(target=send, args=(left, message))
        sender.start()
        assert receive(right) == (message, [])
        sender.join()


@given(st.binary(max_size=60))
def test_no_bytes_at_a_socket_are_worse_than_a_lost_connection(data: bytes) -> None:
    left, right = socket.socketpair()
    with right:
        with left:
            left.sendall(data)
        try:
            message, files = receive(right)
        except ConnectionError:
            return
        assert isinstance(message, dict) and not files


def test_open_files_travel_with_a_message_and_are_closed_with_a_broken_one(tmp_path: Path) -> None:
    left, right = socket.socketpair()
    with left, right, (tmp_path / "sent").open("w+") as file:
        send(left, {}, [file.fileno()])
        (number,) = receive(right)[1]
        os.write(number, b"through the copy")
        os.close(number)
        assert (tmp_path / "sent").read_text() == "through the copy"
        socket.send_fds(left, [b"\0\0\0\2[]"], [file.fileno()])
        before = os.listdir("/proc/self/fd")
        with pytest.raises(ConnectionError):
            receive(right)
        assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (USUAL, ""),
        ([*USUAL, "--HistoryManager.enabled=False"], ""),
        ([*USUAL, "--debug"], "other arguments"),
        (["/usr/bin/env", *USUAL[1:]], "another interpreter"),
        (["/is/not/there", *USUAL[1:]], "another interpreter"),
        ([sys.executable, "-c", "1"], "other arguments"),
    ],
)
def test_only_the_usual_command_line_is_served_warm(command: list[str], reason: str) -> None:
    assert not_ours(command).startswith(reason) and bool(not_ours(command)) == bool(reason)


def test_the_kernel_of_ipython_is_known_by_its_command() -> None:
    assert is_ipykernel(USUAL) and is_ipykernel(["python", "-m", "ipykernel"])
    assert not is_ipykernel(["R", "--slave", "-e", "IRkernel::main()"])


@pytest.mark.parametrize(
    ("name", "matters"),
    [
        ("OMP_NUM_THREADS", True),
        ("PYTHONPATH", True),
        ("READ_BY_A_LIBRARY", True),
        ("ANYTHING", False),
        ("PATH", False),
        ("TZ", False),
        ("PYTHONDONTWRITEBYTECODE", False),
        ("PYDEVD_USE_FRAME_EVAL", False),
    ],
)
def test_variables_that_decide_what_an_import_gives_must_agree(name: str, matters: bool) -> None:
    noted = {"READ_BY_A_LIBRARY", "PATH"}
    found = differing({"A": "1", name: "1"}, {"A": "1", name: "2"}, noted)
    assert found == (name if matters else None)
    assert differing({name: "1"}, {name: "1"}, noted) is None
    assert differing({}, {name: "1"}, noted) == (name if matters else None)


@given(st.text(alphabet="aé/", max_size=150))
def test_an_address_fits_exactly_if_a_socket_can_be_bound_there(name: str) -> None:
    assert sockets_fit(name) == (len(f"{name}-5".encode()) <= LONGEST_SOCKET_PATH)


def test_a_runtime_folder_too_deep_for_sockets_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("d" * 66)
    deep.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(deep))
    assert server_folder().startswith(f"/tmp/mlops-nb-{os.getuid()}/")


def test_warm_is_off_where_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_NB_WARM", "0")
    assert why_off() == "MLOPS_NB_WARM=0"
    monkeypatch.setenv("MLOPS_NB_WARM", "1")
    assert why_off() == ""


@pytest.mark.parametrize("text", ["15m", "nan", "inf", "-1", "0", "1e999"])
def test_an_idle_time_that_is_no_number_is_a_usage_error(
    runtime: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv(IDLE, text)
    with pytest.raises(UsageError, match=f"{IDLE}={text} is no number of seconds"):
        start_server("nothing:here")


def test_an_idle_time_is_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(IDLE, "1.5")
    assert idle_seconds() == 1.5
    monkeypatch.setenv(IDLE, "")
    assert idle_seconds() == 900


def test_a_folder_that_is_not_private_is_a_usage_error(runtime: Path) -> None:
    folder = Path(server_folder())
    make_private(str(folder))
    folder.chmod(0o755)
    with pytest.raises(UsageError, match="is not private"):
        start_server("nothing:here")


def test_a_server_that_does_not_answer_means_a_cold_start_before_long(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlops_nb.warm.client.ANSWER_SECONDS", 0.05)
    make_private(server_folder())
    with socket.socket(socket.AF_UNIX) as stopped:
        stopped.bind(os.path.join(server_folder(), SOCKET))
        stopped.listen()
        with pytest.raises(ColdStart, match="does not answer") as cold:
            run_warm(["--version"], time.monotonic())
    assert not cold.value.replace


def adopted(status: int | None) -> AdoptedProcess:
    """Return a process whose zygote says `status` of its end, or says nothing."""
    child = subprocess.Popen(["true"], start_new_session=True)
    descriptor = os.pidfd_open(child.pid)
    child.wait()
    news, zygote = socket.socketpair()
    if status is not None:
        send(zygote, {"status": status})
    zygote.close()
    return AdoptedProcess(child.pid, descriptor, news, Lifeline())


@pytest.mark.parametrize("status", [0, 7, -signal.SIGKILL])
def test_an_adopted_process_ends_as_its_zygote_says(status: int) -> None:
    process = adopted(status)
    assert process.wait(20) == status == process.poll() == process.returncode
    process.kill()  # changes nothing


def test_how_a_process_ended_is_not_invented() -> None:
    status = adopted(None).wait(20)
    assert status == UNKNOWN_STATUS
    assert not 0 <= status <= 255 and -status not in signal.valid_signals()


def test_waiting_for_an_adopted_process_ends_in_time() -> None:
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    news, zygote = socket.socketpair()
    process = AdoptedProcess(child.pid, os.pidfd_open(child.pid), news, Lifeline())
    with zygote, pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.terminate()
    assert child.wait(20) == -signal.SIGTERM and process.wait(20) == UNKNOWN_STATUS


def in_a_fork(work: object) -> str:
    """Return what `work` returns in a forked process."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, str(work()).encode())  # type: ignore[operator]
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    return text


def test_a_state_that_is_put_on_is_the_own_one(tmp_path: Path) -> None:
    state = own_state({"MARK": "1", "TZ": "Asia/Tokyo"}, str(tmp_path))
    state |= {"umask": 0o027, "oom_score_adj": state["oom_score_adj"] + 7}
    given_limits = {**state["limits"], "RLIMIT_CORE": (0, 0)}
    state |= {"limits": given_limits}

    def work() -> bool:
        assert put_on(state) == ""
        return own_state() == {**state, "limits": own_state()["limits"]} and os.umask(0) == 0o027

    assert in_a_fork(work) == "True"


def test_asking_for_the_state_does_not_touch_the_umask(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = os.umask(0o031)
    try:
        with mock.patch("os.umask", side_effect=AssertionError):
            assert own_state()["umask"] == 0o031
    finally:
        os.umask(mask)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"group": -5}, "another group"),
        ({"groups": [*os.getgroups(), 4242]}, "another group"),
        ({"control_groups": "0::/is/not/there\n"}, "another control group"),
        ({"cwd": "/is/not/there"}, "/is/not/there"),
    ],
)
def test_a_state_that_cannot_be_put_on_is_a_reason(change: dict[str, object], reason: str) -> None:
    assert reason in in_a_fork(lambda: put_on({**own_state(), **change}))


def group(mounted: Path, path: str, **settings: str) -> str:
    """Make a control group of version 2; return what is said of a process in it."""
    folder = mounted / path
    folder.mkdir(parents=True, exist_ok=True)
    (mounted / "cgroup.controllers").touch()
    for name, value in settings.items():
        (folder / name.replace("_", ".")).write_text(f"{value}\n")
    return f"0::/{path}\n"


def test_groups_that_have_no_limits_of_their_own_are_as_good_as_one(tmp_path: Path) -> None:
    usual = {"memory_max": "max", "cpu_weight": "100", "cpuset_cpus": ""}
    one, two = (group(tmp_path, f"user.slice/session-{n}.scope", **usual) for n in (1, 2))
    assert are_alike(one, two, tmp_path) and are_alike(one, "0::/user.slice\n", tmp_path)
    assert not are_alike(one, "0::/user.slice/session-3.scope\n", tmp_path)  # is not there
    assert not are_alike(one, "0::/user.slice/../user.slice\n", tmp_path)
    group(tmp_path, "user.slice", pids_max="500")
    assert are_alike(one, two, tmp_path)  # a limit that both are within
    assert not are_alike(one, "0::/\n", tmp_path)


def test_equal_limits_of_two_groups_are_two_budgets(tmp_path: Path) -> None:
    one, two = (group(tmp_path, f"run-{n}.scope", memory_max="2147483648") for n in (1, 2))
    free, heavy = group(tmp_path, "free.scope"), group(tmp_path, "heavy.scope", cpu_weight="900")
    assert are_alike(one, one, tmp_path)
    pairs = [(one, two), (one, free), (free, two), (free, heavy), (one, group(tmp_path, "a/b"))]
    assert [are_alike(*pair, tmp_path) for pair in pairs] == [False] * 5


def test_groups_of_version_1_have_to_be_the_same_but_for_names(tmp_path: Path) -> None:
    old = "4:memory:/a\n1:name=systemd:/b\n"
    assert are_alike(old, old.replace("/b", "/c"), tmp_path)
    assert not are_alike(old, old.replace("/a", "/c"), tmp_path)
    assert not are_alike(old, "1:name=systemd:/b\n", tmp_path)


def test_the_control_groups_of_the_asker_are_joined_or_refused(tmp_path: Path) -> None:
    line = next(line for line in own_state()["control_groups"].splitlines())
    _, controllers, path = line.split(":", 2)
    hierarchy = controllers.removeprefix("name=")
    group = Path(f"/sys/fs/cgroup/{hierarchy}{path}", f"mlops-nb-test-{os.getpid()}")
    try:
        group.mkdir()
    except OSError:  # not ours to make; then nobody can be moved there either
        pass
    try:
        theirs = line.rstrip("/") + f"/{group.name}"
        state = own_state()
        state["control_groups"] = state["control_groups"].replace(f"{line}\n", f"{theirs}\n", 1)

        def work() -> str:
            reason = put_on(state)
            joined = own_state()["control_groups"] == state["control_groups"]
            return f"{reason}, {joined}"

        assert in_a_fork(work) in {", True", "another control group, False"}
        if group.exists() and (group / "cgroup.procs").exists() and os.access(group, os.W_OK):
            assert in_a_fork(work) == ", True"
    finally:
        if group.exists():
            group.rmdir()


def test_a_snapshot_notices_what_changes_appears_and_goes(tmp_path: Path) -> None:
    there, missing = tmp_path / "there.py", tmp_path / "missing.py"
    there.write_text("1")
    paths = [str(there), str(missing)]
    assert Snapshot(paths).changed() is None
    snapshot = Snapshot(paths)
    missing.write_text("")
    os.utime(missing, ns=(1, 1))
    assert snapshot.changed() == str(missing)
    snapshot = Snapshot(paths)
    there.unlink()
    assert snapshot.changed() == str(there)


def test_the_list_of_wanted_modules_grows_to_its_bound(tmp_path: Path) -> None:
    names = [f"module{number}" for number in range(LONGEST_LIST + 5)]
    assert extend_list(str(tmp_path), names) and not extend_list(str(tmp_path), ["late"])
    assert read_list(str(tmp_path)) == tuple(names[:LONGEST_LIST])
    (tmp_path / "preload.json").write_text("[1, ")
    assert read_list(str(tmp_path)) == ()


def run_in_a_fork(command: object, capfile: Path) -> tuple[dict[str, object], str]:
    """Run a command as the server does; return the word to the asker, and what it wrote."""
    left, right = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        left.close()
        files = [os.open(os.devnull, os.O_RDONLY)]
        files += [os.open(capfile, os.O_WRONLY | os.O_CREAT | os.O_APPEND)] * 2
        run_command(right, {"argv": []}, files, command)  # type: ignore[arg-type]
    right.close()
    with left:
        message, _ = receive(left)
    os.waitpid(pid, 0)
    return message, capfile.read_text()


def leave(code: object) -> object:
    """Return a command that calls `sys.exit` with `code`."""

    def command(_: object) -> int:
        raise SystemExit(code)

    return command


@pytest.mark.parametrize(
    ("code", "exit", "said"), [(None, 0, ""), (3, 3, ""), ("no such thing", 1, "no such thing\n")]
)
def test_a_command_leaves_as_an_interpreter_would(
    tmp_path: Path, code: object, exit: int, said: str
) -> None:
    assert run_in_a_fork(leave(code), tmp_path / "said") == ({"exit": exit}, said)


def test_a_command_that_breaks_in_the_server_says_where(tmp_path: Path) -> None:
    def command(_: object) -> int:
        raise LookupError("nobody foresaw this")

    message, said = run_in_a_fork(command, tmp_path / "said")
    assert message == {"exit": 1}
    assert said.startswith("Traceback") and said.endswith("LookupError: nobody foresaw this\n")


def is_caught(pid: int, number: signal.Signals) -> bool:
    """Return whether a process has a handler for a signal."""
    caught = re.search(r"^SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return bool(caught and int(caught[1], 16) >> (number - 1) & 1)


def test_a_command_that_ended_well_stays_so_when_ctrl_c_comes_too_late(runtime: Path) -> None:
    make_private(server_folder())
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.join(server_folder(), SOCKET))
        server.listen()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                receive(connection)
                send(connection, {"pid": os.getpid()})
                for file in receive(connection)[1]:
                    os.close(file)
                while not is_caught(asker, signal.SIGTERM):
                    os.sched_yield()
                os.kill(asker, signal.SIGSTOP)
                send(connection, {"exit": 0})
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
                os.kill(asker, number)

        asker = os.fork()
        if asker == 0:
            code = 99
            try:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                code = run_warm(["--version"], time.monotonic())
                signal.raise_signal(signal.SIGINT)
            finally:
                os._exit(code)
        serve()
        assert os.waitstatus_to_exitcode(os.waitpid(asker, 0)[1]) == 0


def test_an_import_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    site = tmp_path / "site-packages"
    site.mkdir()
    (site / "probe_hangs.py").write_text(
        f"import os, pathlib, time\npathlib.Path({str(tmp_path / 'pid')!r}).write_text("
        "str(os.getpid()))\ntime.sleep(600)"
    )
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr("mlops_nb.warm.forking.TRIAL_SECONDS", 3.0)
    assert objection("probe_hangs") == "takes too long to import"
    extend_list(str(tmp_path), ["json", "probe_hangs"])
    load_listed(Loaded(Base()), read_list(str(tmp_path)), str(tmp_path))
    assert read_list(str(tmp_path)) == ("json",)  # the next zygote does not try it again
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert forked(lambda: "x" * 2**20) == "x" * 2**20  # more than a pipe holds


class Echo(Loop):
    """Answers once."""

    def answer(self, connection: socket.socket, request: Message, files: list[int]) -> None:
        send(connection, request)
        connection.close()
        self.stop()

    def ended(self, pid: int, status: int) -> None:
        """Have no children."""


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_an_asker_is_answered_although_no_more_files_could_be_opened(tmp_path: Path) -> None:
    def work() -> Message:
        loop = Echo(str(tmp_path / "socket"))
        with socket.socket(socket.AF_UNIX) as asker:
            asker.connect(str(tmp_path / "socket"))
            send(asker, {"word": "hello"})
            usual = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, usual[1]))
            signal.signal(
                signal.SIGALRM, lambda *_: resource.setrlimit(resource.RLIMIT_NOFILE, usual)
            )
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            loop.serve()
            return receive(asker)[0]

    assert in_a_fork(work) == "{'word': 'hello'}"


def test_to_ask_without_files_to_spare_is_to_hear_nothing(tmp_path: Path) -> None:
    def work() -> Message:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
        return ask(str(tmp_path / "socket"), {})

    assert in_a_fork(work) == "{}"


def test_a_fork_that_fails_leaves_no_folder_and_no_file_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlops_nb.warm.zygote.unsafe_to_fork", lambda: "")

    def work() -> tuple[int, list[str]]:
        zygote = Zygote(str(tmp_path), Loaded(Base()))
        before = open_files()
        with mock.patch.object(zygote, "fork", side_effect=BlockingIOError):
            for _ in range(3):
                zygote.rest()
        return open_files() - before, [path.name for path in tmp_path.glob("kernel-*")]

    assert in_a_fork(work) == "(0, [])"


def test_as_many_kernels_as_were_waited_for_are_kept_for_a_minute() -> None:
    demand = Demand(now=0.0)
    assert demand.spare(5.0) == 1
    for number in range(12):
        demand.asked(10.0, waited=number > 0)
    assert not demand.is_calm(10.9) and demand.is_calm(11.1)
    assert demand.spare(11.1) == 12
    for _ in range(30):
        demand.asked(12.0, waited=True)
    assert demand.spare(60.0) == MOST_SPARE
    assert demand.spare(73.0) == 1


def test_a_zygote_makes_spare_what_is_wanted_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlops_nb.warm.zygote.unsafe_to_fork", lambda: "")
    monkeypatch.setattr("mlops_nb.warm.demand.CALM_SECONDS", 0.0)

    def work() -> list[int]:
        zygote, seen = Zygote(str(tmp_path), Loaded(Base())), []
        for wanted in (1, 3, 2):
            with mock.patch.object(zygote._demand, "spare", return_value=wanted):
                while zygote.rest():
                    pass
            seen.append(len(zygote._kernels.spare()))
        zygote.end()
        return seen

    assert in_a_fork(work) == "[1, 3, 2]"


def test_libraries_stay_unseen_in_kernels_also_if_others_could_not_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlops_nb.warm.zygote.unsafe_to_fork", lambda: "")
    monkeypatch.setattr("mlops_nb.warm.demand.CALM_SECONDS", 0.0)

    def work() -> tuple[bool, bool]:
        loaded = Loaded(Base())
        loaded.load(["tabnanny"])
        zygote = Zygote(str(tmp_path), loaded)
        while zygote.rest():
            pass
        extend_list(str(tmp_path), ["colorsys"])
        zygote._list_has_grown = True
        with mock.patch.object(loaded, "load", side_effect=OSError("no process left")):
            zygote.rest()
        seen = "tabnanny" in sys.modules, importlib.import_module("tabnanny").__name__ == "tabnanny"
        zygote.end()
        return seen

    assert in_a_fork(work) == "(False, True)"


ELSEWHERE = """
import asyncio, multiprocessing, signal, socketserver, subprocess, sys
import aiohttp, click, jupyter_client.manager, nbclient, nbformat, psutil, requests, rich, tqdm
for name in ("fcntl", "resource", "termios", "pwd", "grp"):
    sys.modules[name] = None
for name in ("SIGHUP", "SIGKILL", "SIGCHLD", "SIGSTOP"):
    if hasattr(signal, name):
        delattr(signal, name)
assert not [name for name in sys.modules if name.startswith("mlops_nb.")]
import mlops_nb.notebook.execute, mlops_nb.notebook.kernel, mlops_nb.notebook.supervise
import mlops_nb.notebook.replay, mlops_nb.cli.app, mlops_nb.cli.provisioner, mlops_nb.warm.install
"""


def test_the_cold_path_imports_where_there_is_no_unix() -> None:
    command = [sys.executable, "-c", ELSEWHERE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_work_aside_is_noticed_also_where_a_forked_loop_gets_no_word_of_threads() -> None:
    loop = asyncio.new_event_loop()
    loop._write_to_self = lambda: None  # type: ignore[attr-defined]  # a sibling has read it
    loop.call_later(10, loop.stop)  # or it would wait for ever
    try:
        done = loop.run_until_complete(_aside(lambda: time.sleep(0.1) or 5))
    finally:
        loop.close()
    assert done == 5


def test_what_a_leader_has_left_dies_with_a_process_that_is_killed() -> None:
    """Nobody else has an end of the lifeline then, and the ends are closed in any order."""
    script = (
        "import os, signal, subprocess\n"
        "from mlops_nb.warm.lifeline import Lifeline\n"
        "line = Lifeline()\n"
        "left = f'sleep 600 {line.theirs}>&- & echo $!'\n"
        "leader = subprocess.Popen(['bash', '-c', left], pass_fds=[line.theirs],\n"
        "                          start_new_session=True, stdout=subprocess.PIPE)\n"
        "line.tie(leader.pid)\n"
        "print(int(leader.stdout.readline()), leader.wait(), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    pid, code = map(int, done.stdout.split())
    assert (code, done.returncode) == (0, -signal.SIGKILL)
    deadline = time.monotonic() + 20
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie":
        assert time.monotonic() < deadline, "the child is still alive"
        time.sleep(0.01)


def test_a_file_that_is_replaced_while_it_is_loaded_counts_as_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "import pathlib\npathlib.Path(__file__).write_text('NEW = True')"
    (tmp_path / "probe_replaced.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    needs = Needs()
    with needs.noted():
        module = importlib.import_module("probe_replaced")
    try:
        snapshot = Snapshot.of_modules({"probe_replaced": module}, needs.marks)
        assert snapshot.changed() == str(tmp_path / "probe_replaced.py")
    finally:
        del sys.modules["probe_replaced"]


def test_no_name_is_lost_when_several_add_to_the_list_of_wanted_modules(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom mlops_nb.warm.wanted import extend_list\n"
        "for i in range(30): extend_list(sys.argv[1], [f'{sys.argv[2]}.m{i}'])"
    )
    adders = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path), who]) for who in "abcd"
    ]
    assert [adder.wait(60) for adder in adders] == [0] * 4
    assert set(read_list(str(tmp_path))) == {f"{who}.m{i}" for who in "abcd" for i in range(30)}


def test_modules_that_are_there_in_another_guise_stay_where_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Such as what Cython's modules share, which they look for past all finders."""
    plain, lazy = types.ModuleType("probe_plain"), _Lazy("probe_lazy")
    monkeypatch.setitem(sys.modules, "probe_plain", plain)
    monkeypatch.setitem(sys.modules, "probe_lazy", lazy)
    shelf = Shelf()
    shelf.put_away(["probe_plain", "probe_lazy"])
    try:
        assert sys.modules["probe_plain"] is plain and sys.modules["probe_lazy"] is lazy
    finally:
        shelf.clear()


@pytest.mark.parametrize("first", [False, True])
def test_a_module_that_another_thread_takes_meanwhile_is_not_loaded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    (tmp_path / "probe_once.py").write_text("LOADED = object()")
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module("probe_once")
    shelf = _Hasty(first=first)
    shelf.put_away(["probe_once"])
    try:
        assert importlib.import_module("probe_once") is module
        assert not isinstance(module.__spec__.loader, _Loader)
    finally:
        shelf.clear()
        del sys.modules["probe_once"]


class _Hasty(Shelf):
    """One from which another thread takes what is asked for, before or after it is found."""

    def __init__(self, *, first: bool) -> None:
        super().__init__()
        self._first = first

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:
        if self._first:
            self.give(name)
        found = super().find_spec(name, path, target)
        self.give(name)
        return found


class _Lazy(types.ModuleType):
    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"was asked for {name}")
