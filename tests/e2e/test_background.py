"""Work in the background: its turn, its end, who watches and who stops it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlops_nb.core.locks import holder_of
from mlops_nb.core.project import Project
from mlops_nb.pipeline.queue import QUEUE, job_files, jobs
from mlops_nb.runs.run import Run
from mlops_nb.runs.store import Store
from tests.kills import until, workers
from tests.terminal import CTRL_C, Terminal

from .conftest import Shop, environment

pytestmark = pytest.mark.slow

LONG = 120.0
WAIT = """
import os, time

begun = os.path.join(os.environ["GATES"], f"begun-{shrink}")
open(begun, "w").close()
while not os.path.exists(os.path.join(os.environ["GATES"], "open")):
    time.sleep(0.02)
import json
"""
STUBBORN = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + WAIT


class Gated:
    """A project whose stage `train` waits until the gate is open."""

    def __init__(self, shop: Shop, gates: Path, wait: str = WAIT) -> None:
        self.shop, self.gates, self.project = shop, gates, Project(shop.root)
        gates.mkdir()
        path = shop.path("nbs/pipeline/20_train.ipynb")
        notebook = json.loads(path.read_text())
        cell = notebook["cells"][-1]
        cell["source"] = "".join(cell["source"]).replace("import json\n", wait.lstrip())
        path.write_text(json.dumps(notebook))
        self.environ = {**environment(), "GATES": str(gates)}

    def tool(self, *words: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run `mlops-nb`."""
        command = [sys.executable, "-m", "mlops_nb", *words]
        done = subprocess.run(
            command,
            cwd=self.shop.root,
            env=self.environ,
            text=True,
            capture_output=True,
            timeout=300,
        )
        assert code is None or done.returncode == code, f"{words}\n{done.stdout}\n{done.stderr}"
        return done

    def detach(self, *words: str) -> str:
        """Run a command in the background; return the id."""
        document = json.loads(self.tool(*words, "--detach", "--json").stdout)
        return str(document["id"])

    def open(self) -> None:
        """Let all go on."""
        (self.gates / "open").touch()

    def wait_at(self, shrink: object) -> None:
        """Return when a stage waits at the gate."""
        until(lambda: (self.gates / f"begun-{shrink}").exists(), f"{shrink} to begin", LONG)

    def run(self, id: str) -> Run:
        """Return the record of a run."""
        found = Store(self.project.runs).read(id)
        assert isinstance(found, Run), found
        return found

    def states(self) -> dict[str, str]:
        """Return the states that the list of runs shows."""
        listed: list[dict[str, Any]] = json.loads(self.tool("runs", "--json").stdout)
        return {row["id"]: row["state"] for row in listed}

    def terminal(self, *words: str) -> Terminal:
        """Run `mlops-nb` in a terminal."""
        command = [sys.executable, "-m", "mlops_nb", *words]
        return Terminal(command, self.shop.root, {**self.environ, "TERM": "xterm", "LINES": "40"})

    def is_quiet(self) -> bool:
        """Return whether nothing goes on and nothing is held."""
        return not workers(self.shop.root) and not jobs(self.project)


@pytest.fixture
def gated(shop: Shop, tmp_path: Path) -> Any:
    """Give the project, and end what goes on in it afterwards."""
    found = Gated(shop, tmp_path / "gates")
    yield found
    found.open()
    for process in workers(shop.root):
        process.kill()


def test_jobs_go_one_after_the_other_with_the_code_of_their_commands(gated: Gated) -> None:
    first = gated.detach("run", "train.shrink=0.1")
    sweep = gated.detach("sweep", "train.shrink=0.2,0.3", "-j", "2", "--name", "pair")
    last = gated.detach("run", "train.shrink=0.4")
    gated.wait_at(0.1)
    assert gated.states() == {first: "running", last: "pending"}
    assert gated.run(last).params["train"]["shrink"] == 0.4  # from its first moment
    assert [job.id for job in jobs(gated.project)] == [first, sweep, last]
    assert f"sweep {sweep[-8:]}: waiting, 1 before it, 0 of 2 over" in gated.tool("runs").stdout
    gated.shop.path("shop/score.py").write_text("1 / 0\n")  # what waits has the code of before
    watching = [[sys.executable, "-m", "mlops_nb", "runs", "watch", one] for one in (last, "pair")]
    watchers = [
        subprocess.Popen(
            words, cwd=gated.shop.root, env=gated.environ, text=True, stderr=subprocess.PIPE
        )
        for words in watching
    ]
    begun = [one.stderr.readline() for one in watchers if one.stderr]
    assert begun == [
        f"run {last[-8:]}: waiting, 2 before it\n",
        f"sweep {sweep[-8:]}: waiting, 1 before it\n",
    ]
    gated.open()
    said = [one.communicate(timeout=LONG)[1] for one in watchers]
    assert [one.returncode for one in watchers] == [0, 0], said
    assert f"run {last[-8:]} train: ran after" in said[0]
    assert f"sweep {sweep[-8:]} trial 2: ok" in said[1] and said[1].endswith(": ok\n")
    until(gated.is_quiet, "all to end", LONG)
    runs = [gated.run(run) for run in Store(gated.project.runs).ids()]
    assert [run.state for run in runs] == ["ok"] * 4
    trials = [run for run in runs if run.origin["kind"] == "sweep"]
    assert all(gated.run(first).finished <= t.started for t in trials)  # type: ignore[operator]
    assert all(str(t.finished) <= gated.run(last).started for t in trials)
    assert gated.run(last).params["train"]["shrink"] == 0.4
    assert gated.run(last).command[:2] == ("mlops-nb", "run")
    log = gated.project.state / "logs" / f"{last}.log"
    assert log.stat().st_mode & 0o777 == 0o600 and log.parent.stat().st_mode & 0o777 == 0o700
    assert "evaluate: ran after" in log.read_text() and "Traceback" not in log.read_text()
    assert job_files(gated.project) == []


def test_a_closed_terminal_takes_nothing_with_it(gated: Gated) -> None:
    terminal = gated.terminal("run", "train.shrink=0.1", "--detach")
    terminal.wait_for("goes on in the background")
    terminal.close()
    gated.wait_at(0.1)
    gated.open()
    (run,) = gated.states()
    assert gated.tool("runs", "watch", run[-8:]).stderr.endswith(" s\n")
    assert gated.run(run).state == "ok"


def test_the_table_lives_and_ctrl_c_leaves_it_and_not_the_work(gated: Gated) -> None:
    run = gated.detach("run", "train.shrink=0.1")
    sweep = gated.detach("sweep", "train.shrink=0.2,0.3")
    gated.wait_at(0.1)
    everything, named = gated.terminal("runs", "watch"), gated.terminal("runs", "watch", run)
    for terminal in (everything, named):
        terminal.wait_for(f"run {run[-8:]}")
        terminal.wait_for("4/4")  # the cell
    everything.wait_for(f"sweep {sweep[-8:]}")
    everything.wait_for("waiting, 1 before it")
    for terminal, code in ((everything, 0), (named, 130)):
        terminal.press(CTRL_C)
        assert terminal.end() == code
        assert b"Traceback" not in terminal.shown
    assert gated.states() == {run: "running"}
    gated.open()
    last = gated.terminal("runs", "watch", sweep)
    assert last.end(LONG) == 0 and b": ok" in last.shown
    assert set(gated.states().values()) == {"ok"}


def test_a_curve_is_seen_while_it_grows(gated: Gated) -> None:
    path = gated.shop.path("nbs/pipeline/20_train.ipynb")
    before = "while not os.path"
    step = "from mlops_nb import record as r; r.step(0, loss=0.125)"
    path.write_text(path.read_text().replace(before, f"{step}\\n{before}"))
    run = gated.detach("run", "train.shrink=0.1")
    terminal = gated.terminal("runs", "watch", run)
    terminal.wait_for("loss 0.125 at 0")
    gated.open()
    assert terminal.end(LONG) == 0


def test_what_is_stopped_is_cancelled_and_the_next_begins(gated: Gated) -> None:
    running = gated.detach("run", "train.shrink=0.1")
    waiting = gated.detach("run", "train.shrink=0.2")
    sweep = gated.detach("sweep", "train.shrink=0.3,0.4", "-j", "1")
    gated.wait_at(0.1)
    gated.tool("runs", "stop", waiting)
    assert "cancelled" in gated.tool("runs", "watch", waiting, code=130).stderr
    assert gated.run(waiting).stages == {} and not (gated.gates / "begun-0.2").exists()
    assert "is interrupted" in gated.tool("runs", "stop", running[-8:]).stdout
    assert "cancelled" in gated.tool("runs", "watch", running, code=130).stderr
    gated.wait_at(0.3)
    gated.tool("runs", "stop", sweep)
    gated.tool("runs", "watch", sweep, code=130)
    until(gated.is_quiet, "all to end", LONG)
    assert set(gated.states().values()) == {"cancelled"}
    assert gated.run(running).stages["train"]["state"] == "cancelled"
    refused = gated.tool("runs", "stop", running, code=2).stderr
    assert "does not go on; it is `cancelled`" in refused
    gated.open()
    gated.tool("sweep", "--resume", sweep, "--detach")
    gated.tool("runs", "watch", sweep)
    found = [gated.run(run) for run in gated.states()]
    assert sorted(r.params["train"]["shrink"] for r in found if r.state == "ok") == [0.3, 0.4]


def test_a_trial_and_a_run_in_a_terminal_are_stopped_as_well(gated: Gated) -> None:
    words = [sys.executable, "-m", "mlops_nb"]
    options: dict[str, Any] = {"cwd": gated.shop.root, "env": gated.environ}
    sweep = subprocess.Popen([*words, "sweep", "train.shrink=0.1,0.2", "-j", "2"], **options)
    run = subprocess.Popen([*words, "run", "train.shrink=0.3"], **options)
    for shrink in (0.1, 0.2, 0.3):
        gated.wait_at(shrink)
    runs = {gated.run(id).overrides: id for id in gated.states()}
    gated.tool("runs", "stop", runs[("train.shrink=0.1",)], runs[("train.shrink=0.3",)])
    assert run.wait(LONG) == 130
    gated.open()
    assert sweep.wait(LONG) == 1
    states = {gated.run(id).overrides: gated.run(id).state for id in gated.states()}
    assert states == {
        ("train.shrink=0.1",): "cancelled",
        ("train.shrink=0.2",): "ok",
        ("train.shrink=0.3",): "cancelled",
    }


def test_everything_is_stopped_and_nothing_begins_meanwhile(gated: Gated) -> None:
    for shrink in (0.1, 0.2, 0.3):
        gated.detach("run", f"train.shrink={shrink}")
    gated.wait_at(0.1)
    assert gated.tool("runs", "stop", "--all").stdout.count("is interrupted") == 3
    until(gated.is_quiet, "all to end", LONG)
    assert list(gated.states().values()) == ["cancelled"] * 3
    assert sorted(path.name for path in gated.gates.iterdir()) == ["begun-0.1"]
    assert "nothing runs" in gated.tool("runs", "stop", "--all").stdout


@pytest.mark.parametrize("force", [True, False])
def test_what_does_not_listen_is_stopped_by_force(shop: Shop, tmp_path: Path, force: bool) -> None:
    gated = Gated(shop, tmp_path / "gates", STUBBORN)
    run = gated.detach("run", "train.shrink=0.1")
    gated.wait_at(0.1)
    if force:
        said = gated.tool("runs", "stop", "--force", run).stdout
    else:
        gated.tool("runs", "stop", run)
        said = gated.tool("runs", "stop", run, code=None).stdout or "is stopped"
    assert "is stopped" in said
    until(gated.is_quiet, "all to end", LONG)
    assert gated.states() == {run: "cancelled"}


def test_who_ignores_ctrl_c_detaches_work_that_listens(gated: Gated) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as of what a shell starts with `&`
    try:
        run = gated.detach("run", "train.shrink=0.1")
    finally:
        signal.signal(signal.SIGINT, before)
    gated.wait_at(0.1)
    gated.tool("runs", "stop", run)
    gated.tool("runs", "watch", run, code=130)
    assert gated.run(run).state == "cancelled"


def test_a_file_of_the_project_does_not_stand_in_for_a_module_of_ours(gated: Gated) -> None:
    gated.open()
    gated.shop.path("click.py").write_text("raise SystemExit('not click')\n")
    tool = Path(sys.executable).with_name("mlops-nb")
    done = subprocess.run(
        [tool, "run", "train.shrink=0.1", "--detach", "--json"],
        cwd=gated.shop.root, env=gated.environ, text=True, capture_output=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout)["id"]
    until(lambda: gated.run(run).state == "ok", f"{run} to end", LONG)


def test_a_killed_job_says_so_and_lets_the_next_one_begin(gated: Gated) -> None:
    running = gated.detach("run", "train.shrink=0.1")
    waiting = gated.detach("run", "train.shrink=0.2")
    sweep = gated.detach("sweep", "train.shrink=0.3,0.4", "-j", "1")
    gated.wait_at(0.1)
    found = {job.id: holder_of(job.path) for job in jobs(gated.project)}
    for id in (waiting, running):
        process = found[id]
        assert process
        os.kill(process.pid, signal.SIGKILL)
    gated.wait_at(0.3)
    assert gated.states()[running] == gated.states()[waiting] == "killed:signal"
    assert gated.run(running).stages["train"]["state"] == "killed:signal"
    gated.tool("runs", "watch", waiting, code=3)
    process = found[sweep]
    assert process
    os.kill(process.pid, signal.SIGKILL)
    until(gated.is_quiet, "all to end", LONG)
    gated.open()
    done = gated.tool("sweep", "--resume", sweep, "--json")
    assert [trial["state"] for trial in json.loads(done.stdout)["trials"]] == ["ok", "ok"]
    gated.tool("rerun", waiting)
    assert sorted(gated.states().values()).count("ok") == 3


def test_what_can_be_refused_is_refused_before_anything_is_begun(gated: Gated) -> None:
    wrong = gated.tool("run", "train.shrnk=1", "--detach", code=2)
    assert "shrink" in wrong.stderr and "Traceback" not in wrong.stderr
    wrong = gated.tool("sweep", "train.shrink=0.5,big", "--detach", code=2)
    assert "trial 2" in wrong.stderr
    assert not (gated.project.state / QUEUE).exists() and not gated.project.runs.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["watch", "nothing"], "no run `nothing`"),
        (["stop", "nothing"], "no run `nothing`"),
        (["stop"], "give a RUN or a SWEEP, or --all"),
        (["stop", "x", "--all"], "give a RUN or a SWEEP, or --all"),
    ],
)
def test_mistakes_are_refused_in_one_line(shop: Shop, words: list[str], said: str) -> None:
    done = shop.tool("runs", *words, code=2)
    assert said in done.stderr and "Traceback" not in done.stderr


def test_a_log_that_cannot_be_written_is_named(gated: Gated) -> None:
    gated.project.state.mkdir(exist_ok=True)
    (gated.project.state / "logs").write_text("in the way")
    done = gated.tool("run", "train.shrink=0.1", "--detach", code=None)
    assert done.returncode == 2 and "logs" in done.stderr and "Traceback" not in done.stderr
