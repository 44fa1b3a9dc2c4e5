"""`mlops-nb repro` beside `dvc repro`, in two copies of one project: they must leave the same."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import pytest

from mlops_nb.core.project import Project
from mlops_nb.pipeline.dvc import PipelineStatus, status

from .conftest import Shop, environment, make_shop
from .test_repro import edit_cell, kernels_started

pytestmark = pytest.mark.slow

MANY = "stages:\n" + "".join(
    f"  s{n:02d}:\n"
    f"    cmd: sleep 0.0{n * 7 % 10}; mkdir -p out/{n % 3}; echo {n} > out/{n % 3}/{n}.txt\n"
    "    deps: [in.txt]\n"
    f"    outs: [out/{n % 3}/{n}.txt]\n"
    for n in range(20)
)
VARIED = """\
stages:
  zeta:
    cmd:
      - mkdir -p out
      - sleep 0.3; cat in.txt raw.csv > out/zeta.txt
    deps: [in.txt, raw.csv]
    params: [rate, name, deep]
    outs: [out/zeta.txt]
  each:
    foreach: [b, a, ü]
    do:
      cmd: |
        mkdir -p out
        echo ${item} ${rate} > "out/each-${item}.txt"
      params: [rate]
      deps: [in.txt]
      outs: ["out/each-${item}.txt"]
  grid:
    matrix:
      x: [1, 2]
      y: [p]
    cmd: mkdir -p grid && cat out/zeta.txt > grid/${item.x}-${item.y}.txt
    deps: [out/zeta.txt]
    outs: ["grid/${item.x}-${item.y}.txt"]
  measure:
    cmd: mkdir -p plots && echo '{"n":1}' > m.json && echo step > plots/a.csv
    deps: [grid]
    metrics: [m.json: {cache: false}]
    plots: [plots]
  kept:
    cmd: echo more >> kept.txt
    deps: [in.txt]
    outs: [kept.txt: {persist: true}]
  always:
    cmd: echo always
  again:
    cmd: cat out/each-a.txt > again.txt
    deps: [out/each-a.txt]
    outs: [again.txt]
    always_changed: true
  frozen:
    cmd: cat out/each-b.txt > frozen.txt
    deps: [out/each-b.txt]
    outs: [frozen.txt]
    frozen: true
"""
INNER = """\
stages:
  last:
    cmd: cp ../out/zeta.txt ../in.txt .; mv zeta.txt z.txt; mv in.txt i.txt
    deps: [../out/zeta.txt]
    outs: [z.txt, i.txt]
"""

# One process: a shell between two commands may let an interruption pass.
SLEEPER = """\
import sys, time
open(sys.argv[1], "w").close()
time.sleep(300)
"""


class Folder(Shop):
    """A project without notebooks."""

    def write(self, texts: Mapping[str, str]) -> None:
        """Write files."""
        for name, text in texts.items():
            path = self.path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `mlops-nb repro`, the leader of a process group."""
        return subprocess.Popen(
            [sys.executable, "-m", "mlops_nb", "repro", *arguments],
            cwd=self.root,
            env=environment(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def left(self) -> dict[str, object]:
        """Return all that a reproduction leaves: the workspace, git's index, the cache."""
        found: dict[str, object] = {"git status": self.run("git", "status", "--porcelain").stdout}
        found["git index"] = self.run("git", "ls-files", "--stage").stdout
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root)
            own = name.parts[0] in (".git", ".mlops_nb") or name.parts[:2] == (".dvc", "tmp")
            if path.is_file() and not own:
                found[str(name)] = path.read_bytes()
        return found

    def processes(self) -> list[psutil.Process]:
        """Return the processes that work in the project."""
        found = []
        for process in psutil.process_iter():
            try:
                if Path(process.cwd()).is_relative_to(self.root):
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found


Make = Callable[..., Folder]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return a function that makes a project from the text of its `dvc.yaml`."""

    def made(text: str, files: Mapping[str, str] | None = None) -> Folder:
        folder = Folder(tmp_path / "one")
        folder.path(".").mkdir()
        folder.write({"dvc.yaml": text, "in.txt": "in\n", **(files or {})})
        folder.run("git", "init", "--quiet")
        folder.run("dvc", "init", "--quiet")
        folder.run("dvc", "config", "core.autostage", "true")
        folder.commit()
        return folder

    return made


def copy_of(folder: Shop, name: str = "two") -> Folder:
    path = folder.root.parent / name
    shutil.copytree(folder.root, path, symlinks=True)
    return Folder(path)


def until(true: Callable[[], object], seconds: float = 120) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def states(folder: Folder, *arguments: str, code: int = 0) -> dict[str, str]:
    done = folder.tool("repro", "--json", *arguments, code=code)
    return {one["stage"]: one["state"] for one in json.loads(done.stdout)["stages"]}


def waiting_for(mine: str, other: str) -> str:
    """Return a command that ends well only if the command that touches `other` runs beside it."""
    return f"touch {mine}; for i in $(seq 600); do test -e {other} && exit; sleep 0.1; done; exit 9"


def test_many_short_stages_leave_what_dvc_leaves_every_time(make: Make) -> None:
    expected = make(MANY)
    copies = [copy_of(expected, f"copy-{n}") for n in range(5)]
    expected.repro()
    left = expected.left()

    for copy in copies:
        assert set(states(copy, "-j", "8").values()) == {"ran"}
        assert copy.left() == left


@pytest.fixture
def varied(make: Make) -> Folder:
    """Return a project with every kind of stage, and entries that are there before."""
    params = "rate: 1.0e-05\nname: 'on'\ndeep: {long: " + "word " * 40 + ", list: [1, null]}\n"
    folder = make(VARIED, {"params.yaml": params, "inner/dvc.yaml": INNER})
    folder.write({"raw.csv": "1\n"})
    folder.run("dvc", "add", "--quiet", "raw.csv")
    folder.write({"out/.gitignore": "/before\n/each-ü.txt"})
    folder.run("git", "add", "--force", "out/.gitignore")
    folder.commit()
    folder.write({"frozen.txt": "by hand"})
    return folder


def test_stages_of_every_kind_leave_what_dvc_leaves_after_every_change(varied: Folder) -> None:
    two, targets = copy_of(varied), ("dvc.yaml", "inner/dvc.yaml")

    def reproduce_both(*arguments: str) -> None:
        varied.run("dvc", "repro", *targets, *arguments)
        two.tool("repro", "-j", "4", *targets, *arguments)
        assert two.left() == varied.left()
        for folder in (varied, two):
            folder.commit()

    def change(old: str, new: str) -> None:
        for folder in (varied, two):
            folder.replace("params.yaml", old, new)

    reproduce_both()
    change("1.0e-05", "2.5e-3")
    reproduce_both()
    change("2.5e-3", "1.0e-05")  # restored from the run-cache
    reproduce_both()
    for folder in (varied, two):
        folder.path("raw.csv").write_text("2\n")
        shutil.rmtree(folder.path("grid"))
    reproduce_both()
    reproduce_both("--force")


def test_notebooks_leave_what_dvc_leaves(tmp_path: Path) -> None:
    one = make_shop(tmp_path / "one")
    two = copy_of(one)
    one.repro()
    done = json.loads(two.tool("repro", "--json").stdout)

    assert [stage["state"] for stage in done["stages"]] == ["ran"] * 4
    skipped = (".mlops_nb", "__pycache__", ".dvc/tmp")
    left = [
        {k: v for k, v in Folder(f.root).left().items() if not any(s in k for s in skipped)}
        for f in (one, two)
    ]
    assert left[0] == left[1]


def test_a_change_in_conf_reaches_the_stages_in_the_same_reproduction(shop: Shop) -> None:
    shop.replace("conf/train/mean.yaml", "family: mean", "family: mean\nshrink: 0.5")
    folder = Folder(shop.root)

    assert states(folder)["train"] == "ran"
    assert "shrink: 0.5" in shop.text("params.yaml")
    before = kernels_started(shop)
    shop.replace("conf/train/mean.yaml", "shrink: 0.5", "shrink: 1.0")
    assert states(folder)["train"] == "restored"
    assert kernels_started(shop) == before


def test_unchanged_nothing_runs_and_no_kernel_starts(shop: Shop) -> None:
    before = kernels_started(shop)
    done = shop.tool("repro")

    assert done.stdout == "nothing has changed, 4 stages are up to date\n"
    assert kernels_started(shop) == before


def test_independent_stages_run_at_once(make: Make) -> None:
    folder = make(
        "stages:\n"
        "  source: {cmd: cp in.txt s.txt, deps: [in.txt], outs: [s.txt]}\n"
        f"  left: {{cmd: '{waiting_for('l', 'r')}; cp s.txt lo', deps: [s.txt]}}\n"
        f"  right: {{cmd: '{waiting_for('r', 'l')}; cp s.txt ro', deps: [s.txt]}}\n".replace(
            "exit;", "break;"
        )
    )
    folder.replace("dvc.yaml", "; exit 9; cp", "; test -e l -a -e r && cp")

    assert set(states(folder, "-j", "2").values()) == {"ran"}


def test_a_file_that_two_stages_read_stays_locked_until_both_are_over(make: Make) -> None:
    folder = make(
        "stages:\n"
        "  short: {cmd: cp in.txt s, deps: [in.txt], outs: [s]}\n"
        "  long: {cmd: until test -e go; do sleep 0.1; done; touch l, deps: [in.txt], outs: [l]}\n"
    )
    running = folder.start("-j", "2")
    until(lambda: folder.path("dvc.lock").exists() and "short:" in folder.text("dvc.lock"))
    holders = json.loads(folder.text(".dvc/tmp/rwlock"))["read"][str(folder.path("in.txt"))]
    folder.path("go").touch()
    running.communicate(timeout=120)

    assert "mlops-nb repro long" in [holder["cmd"] for holder in holders]
    assert running.returncode == 0
    assert not any(json.loads(folder.text(".dvc/tmp/rwlock")).values())


def test_one_job_runs_one_after_the_other(make: Make) -> None:
    alone = "mkdir busy; sleep 0.1; rmdir busy"
    folder = make("stages:\n" + "".join(f"  s{n}: {{cmd: {alone}}}\n" for n in range(6)))

    assert set(states(folder, "-j", "1").values()) == {"ran"}


def test_the_plan_runs_alone_also_without_an_edge(make: Make) -> None:
    other = "test ! -e busy && touch ran-{0} && sleep 0.3 && rm ran-{0}"
    plan = "  plan: {cmd: test ! -e ran-* && touch busy && sleep 0.5 && rm busy}\n"
    stages = "".join(f"  {name}: {{cmd: {other.format(name)}}}\n" for name in "abcd")
    folder = make("stages:\n" + plan + stages)

    assert set(states(folder, "-j", "5").values()) == {"ran"}


def test_after_a_failure_running_stages_finish_and_no_other_begins(make: Make) -> None:
    text = (
        "stages:\n"
        "  fails: {cmd: until test -e r; do sleep 0.05; done; touch failed; exit 3}\n"
        "  runs:\n    cmd: touch r; until test -e failed; do sleep 0.05; done; sleep 1; echo > o\n"
        "    outs: [o]\n"
        "  later: {cmd: echo}\n"
        "  needs: {cmd: cp o n, deps: [o], outs: [n]}\n"
    )
    folder = make(text)

    assert states(folder, "-j", "2", code=3) == {
        "fails": "failed",
        "runs": "ran",
        "later": "not run",
        "needs": "not run",
    }
    assert "runs:" in folder.text("dvc.lock")
    line = folder.tool("repro", "-j", "1", code=3).stderr.splitlines()[-1]
    assert line.startswith("error: stage `fails` failed (failed to run: until")
    assert line.endswith("exited with 3); not run because of that: runs, later, needs")


def test_a_failure_leaves_what_dvc_leaves_when_it_keeps_going(make: Make) -> None:
    text = (
        "stages:\n"
        "  good: {cmd: echo 1 > good.txt, deps: [in.txt], outs: [good.txt]}\n"
        "  bad: {cmd: echo 1 > bad.txt; exit 7, deps: [in.txt], outs: [bad.txt]}\n"
        "  lost: {cmd: cp bad.txt lost.txt, deps: [bad.txt], outs: [lost.txt]}\n"
        "  fine: {cmd: cp good.txt fine.txt, deps: [good.txt], outs: [fine.txt]}\n"
    )
    one = make(text)
    two = copy_of(one)
    one.run("dvc", "repro", "--keep-going", code=255)

    found = states(two, "-j", "4", "--keep-going", code=1)
    assert found == {"good": "ran", "bad": "failed", "lost": "not run", "fine": "ran"}
    assert two.left() == one.left()


def test_targets_bring_what_they_need_and_no_more(make: Make) -> None:
    folder = make(MANY.replace("deps: [in.txt]\n    outs: [out/1/4.txt]", "deps: [out/0/3.txt]"))

    assert states(folder, "s04", "s07") == {"s03": "ran", "s04": "ran", "s07": "ran"}


def test_a_dry_run_tells_what_would_run_and_changes_nothing(varied: Folder) -> None:
    before = varied.left()

    assert states(varied, "--dry")["zeta"] == "would run"
    assert varied.left() == before


def test_lines_are_told_apart_by_stage(make: Make) -> None:
    chatter = "for i in 1 2 3; do echo {0}-$i; sleep 0.1; done"
    folder = make(
        "stages:\n" + "".join(f"  {n}: {{cmd: {chatter.format(n)}}}\n" for n in ("a", "b"))
    )
    lines = folder.tool("repro", "-j", "2").stderr.splitlines()

    assert lines[0] == "2 stage(s), up to 2 at once; the pipeline allows 2"
    for name in ("a", "b"):
        said = [line for line in lines if line.startswith(f"{name} | ")]
        assert said == [f"{name} | {name}-{number}" for number in (1, 2, 3)]


def test_a_process_that_a_stage_leaves_behind_is_not_waited_for(make: Make) -> None:
    folder = make("stages:\n  a: {cmd: sleep 300 & echo $! > pid}\n")

    assert states(folder) == {"a": "ran"}
    left_behind = psutil.Process(int(folder.text("pid")))
    assert left_behind.is_running()
    left_behind.kill()


@pytest.mark.parametrize("how", ["group", "process"])
def test_ctrl_c_interrupts_what_runs_and_leaves_a_usable_project(make: Make, how: str) -> None:
    folder = make(
        "stages:\n"
        "  done: {cmd: touch d, outs: [d]}\n"
        "  one: {cmd: python sleeper.py started-1, deps: [d]}\n"
        "  two: {cmd: python sleeper.py started-2, deps: [d]}\n"
        "  three: {cmd: echo, deps: [d]}\n",
        {"sleeper.py": SLEEPER},
    )
    running = folder.start("-j", "2", "--json")
    until(lambda: folder.path("started-1").exists() and folder.path("started-2").exists())
    if how == "group":
        os.killpg(running.pid, signal.SIGINT)
    else:
        os.kill(running.pid, signal.SIGTERM)
    out, err = running.communicate(timeout=120)

    assert running.returncode == 130, err
    assert "interrupted" in err.splitlines()[-1]
    document = json.loads(out)
    assert [one["state"] for one in document["stages"]] == ["ran", "failed", "failed", "not run"]
    assert folder.processes() == []
    assert "done:" in folder.text("dvc.lock")
    folder.write({"sleeper.py": ""})
    assert states(folder, "one", "two") == {"done": "unchanged", "one": "ran", "two": "ran"}


def test_ctrl_c_interrupts_notebooks(shop: Shop) -> None:
    edit_cell(
        shop,
        "nbs/pipeline/20_train.ipynb",
        "cell-3",
        "values = sorted",
        "import time\nPath('started').touch()\ntime.sleep(300)\nvalues = sorted",
    )
    folder = Folder(shop.root)
    running = folder.start()
    until(folder.path("started").exists)
    os.killpg(running.pid, signal.SIGINT)
    _, err = running.communicate(timeout=120)

    assert running.returncode == 130, err
    assert "train | error: nbs/pipeline/20_train.ipynb, cell 4: interrupted" in err
    until(lambda: folder.processes() == [])


def test_a_third_ctrl_c_kills_what_does_not_care(make: Make) -> None:
    folder = make("stages:\n  deaf: {cmd: trap '' INT; touch started; sleep 300; sleep 300}\n")
    running = folder.start()
    until(folder.path("started").exists)
    for _ in range(3):
        os.kill(running.pid, signal.SIGINT)
        time.sleep(0.3)
    running.communicate(timeout=120)

    assert running.returncode == 130
    until(lambda: folder.processes() == [])


def worker_of(running: subprocess.Popen[str]) -> psutil.Process:
    (worker,) = psutil.Process(running.pid).children()
    return worker


def test_a_killed_worker_takes_its_commands_along_and_leaves_a_usable_project(make: Make) -> None:
    one = make(MANY.replace("sleep 0.01;", "touch started; test -e go || sleep 300;"))
    two = copy_of(one)
    running = two.start("-j", "4")
    until(two.path("started").exists)
    worker_of(running).kill()
    _, err = running.communicate(timeout=120)

    assert running.returncode == 3
    assert "the process that ran the pipeline ended while running" in err.splitlines()[-1]
    assert "(SIGKILL)" in err.splitlines()[-1]
    until(lambda: two.processes() == [])
    assert set(status(Project(two.root)).stale) != set()
    for folder in (one, two):
        folder.path("go").touch()
        folder.path("started").unlink(missing_ok=True)
    one.repro()
    two.tool("repro", "-j", "4")
    assert status(Project(two.root)) == PipelineStatus()
    assert sorted(two.text("dvc.lock").splitlines()) == sorted(one.text("dvc.lock").splitlines())


def test_a_killed_terminal_stops_the_pipeline(make: Make) -> None:
    folder = make("stages:\n  a: {cmd: touch started; sleep 300}\n")
    running = folder.start()
    until(folder.path("started").exists)
    running.kill()
    running.communicate(timeout=120)

    until(lambda: folder.processes() == [])


def test_while_another_dvc_command_works_nothing_is_begun(make: Make) -> None:
    folder = make("stages:\n  a: {cmd: touch started}\n")
    hold = "from dvc.repo import Repo; r = Repo(); r.lock.lock(); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold],
        cwd=folder.root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout and other.stdout.readline()
        done = folder.tool("repro", code=2)
        other.communicate(b"\n")

    assert done.stderr.startswith("error: another DVC command is at work here; ")
    assert not folder.path("started").exists()


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        ("stages:\n  a: {cmd: echo}\n", ["nope"], "'nope'"),
        ("stages:\n  a: {cmd: echo, nonsense: 1}\n", [], "dvc.yaml"),
        ("stages: [\n", [], "dvc.yaml"),
        (
            "stages:\n  a: {cmd: e, deps: [x], outs: [y]}\n  b: {cmd: e, deps: [y], outs: [x]}\n",
            [],
            "both a dependency and an output in stages: ",
        ),
    ],
)
def test_what_dvc_refuses_is_one_line(
    make: Make, text: str, arguments: list[str], said: str
) -> None:
    done = make(text).tool("repro", *arguments, code=2)

    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: DVC: ")
    assert said in done.stderr
