"""Trials on a node beside us: what travels, and what a node that has gone wrong cannot do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mlops_nb.core.project import Project
from mlops_nb.errors import PipelineKilled
from mlops_nb.runs.seal import seal, unseal
from mlops_nb.sweep.away import MOST_ATTEMPTS, Away
from mlops_nb.sweep.clone import FOLDER
from mlops_nb.sweep.conduct import conduct
from mlops_nb.sweep.executor import News
from mlops_nb.sweep.homecoming import INTERRUPTED
from mlops_nb.sweep.node import Node
from mlops_nb.sweep.plan import plan_sweep
from mlops_nb.sweep.worker import WorkerLost

from .conftest import Shop, environment
from .test_run import state_of
from .test_sweep import how, runs_of

pytestmark = pytest.mark.slow

Answer = Callable[..., dict[str, Any]]


class Beside:
    """A worker in this process; `meddle` may change what it answers."""

    def __init__(self, meddle: Callable[[str, Any], Any]) -> None:
        self._node, self._meddle = Node(), meddle

    def answer(self, verb: str, *values: Any) -> dict[str, Any]:
        """Return what the node answers."""
        answer = self._node.answer(verb, *values)
        return {"value": self._meddle(verb, answer["value"])} if "value" in answer else answer

    def dismiss(self) -> None:
        """End the node."""
        self._node.close()


@pytest.fixture
def far(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """Give a project, with what it takes to have a node in this process."""
    for name in ("PATH", "PYTHONPATH", *(n for n in environment() if n.startswith("GIT_"))):
        monkeypatch.setenv(name, environment()[name])
    monkeypatch.setenv(FOLDER, str(tmp_path / "node"))
    yield shop


def honest(verb: str, value: Any) -> Any:
    """Change nothing."""
    return value


def run(
    shop: Shop, *overrides: str, jobs: int = 1, meddle: Callable[[str, Any], Any] = honest
) -> tuple[Away, list[News]]:
    """Run a sweep on nodes beside us."""
    project, told = Project(shop.root), []
    with closing(Away(project, lambda give_up: Beside(meddle))) as executor:
        conduct(project, plan_sweep(project, overrides, jobs=jobs), executor, told.append)
    return executor, told


def ends(told: list[News]) -> list[str]:
    """Return how trials ended."""
    return [news.state for news in told if news.kind == "over"]


def test_each_object_is_sent_once_to_a_place_and_only_what_is_needed(far: Shop) -> None:
    before = state_of(far.root)
    executor, told = run(far, "train.shrink=0.5,0.25,0.75", jobs=2)
    assert ends(told) == ["ok"] * 3
    sent = executor.sender.sent
    assert sent and len(sent) == len(set(sent))
    assert "ran" not in how(far, "prepare") and how(far, "train") == ["ran"] * 3
    model = json.dumps([run.artifacts["models/model.json"]["hash"] for run in runs_of(far)])
    assert not [name for _, name in sent if name.replace("/", "") in model]
    assert state_of(far.root) == before


def test_data_that_only_the_remote_has_is_fetched_by_the_node(far: Shop, tmp_path: Path) -> None:
    far.path("raw.csv").write_text("1\n2\n")
    far.run("dvc", "add", "raw.csv")
    before = "    deps:\n    - data/table.csv\n"
    after = before.replace("    - data", "    - raw.csv\n    - data")
    far.path("dvc.yaml").write_text(far.text("dvc.yaml").replace(before, after, 1))
    assert "raw.csv" in far.text("dvc.yaml")
    far.run("dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    far.run("dvc", "push")
    far.commit()
    for path in far.path(".dvc/cache/files").rglob("*"):
        if path.is_file() and path.read_bytes() == b"1\n2\n":
            path.unlink()
    executor, told = run(far, "train.shrink=0.5")
    assert ends(told) == ["ok"], told
    (track,) = [line for line in far.text("raw.csv.dvc").splitlines() if "md5: " in line]
    assert track.partition("md5: ")[2][2:] not in str(executor.sender.sent)


def test_a_node_that_is_lost_costs_its_trial_another_attempt(far: Shop) -> None:
    begun: list[str] = []

    def lose(verb: str, value: Any) -> Any:
        if verb == "news" and begun and "lost" not in begun:
            begun.append("lost")
            raise WorkerLost("the power is gone")
        if verb == "news":
            begun.extend(news["kind"] for news in value)
        return value

    _, told = run(far, "train.shrink=0.5,0.25", meddle=lose)
    assert ends(told) == ["ok", "ok"]
    assert sorted(run.state for run in runs_of(far)) == ["killed:signal", "ok", "ok"]
    (lost,) = [run for run in runs_of(far) if run.state != "ok"]
    assert "nothing more was heard" in lost.more["failure"]["message"]


def test_a_trial_whose_nodes_are_all_lost_is_given_up(far: Shop) -> None:
    tried: list[str] = []

    def lose(verb: str, value: Any) -> Any:
        if verb == "run":
            tried.append(verb)
            raise WorkerLost("the power is gone")
        return value

    _, told = run(far, "train.shrink=0.5", meddle=lose)
    assert ends(told) == ["killed:signal"] and len(tried) == MOST_ATTEMPTS
    assert "the power is gone" in told[-1].text


def forged(change: Mapping[str, Any]) -> Callable[[str, Any], Any]:
    """Return how a node answers that changes its records."""

    def meddle(verb: str, value: Any) -> Any:
        if verb != "record":
            return value
        return seal("run", unseal("run", value, Path("run.json")) | change)

    return meddle


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"origin": {"kind": "run"}}, "something else"),
        ({"code": {"commit": "0" * 40}}, "something else"),
        ({"id": "20130101T051500.000-00000001"}, "is the record of"),
        ({"metrics": 7}, "key `metrics`"),
    ],
)
def test_a_record_of_something_else_is_not_taken(
    far: Shop, change: dict[str, Any], words: str
) -> None:
    _, told = run(far, "train.shrink=0.5", meddle=forged(change))
    assert ends(told) == ["error"] and words in told[-1].text
    assert runs_of(far) == []


@pytest.mark.parametrize(
    ("verb", "value", "words"),
    [
        ("files", ["reports/../../../outside"], "a file called"),
        ("files", ["lock"], "a file called"),
        ("file", b"x" * (20 * 2**20 + 1), "no file of a run"),
        ("bundle", (b"no bundle", True), "bundle"),
        ("bundle", None, "did not come"),
        ("piece", (b"evil", True), "not that of its hash"),
        ("members", ["../../outside"], "no object of DVC's"),
    ],
)
def test_what_a_node_sends_is_looked_at(
    far: Shop, tmp_path: Path, verb: str, value: Any, words: str
) -> None:
    _, told = run(
        far, "train.shrink=0.125", meddle=lambda asked, true: value if asked == verb else true
    )
    assert ends(told) == ["error"] and words in told[-1].text, told
    assert [run.state for run in runs_of(far)] in (["error"], ["killed:signal"])
    assert not list(tmp_path.rglob("outside"))
    assert not [path for path in far.path(".dvc").rglob("*") if path.name.endswith(".part")]


def test_an_entry_of_the_run_cache_that_is_not_what_its_name_says_is_left_out(far: Shop) -> None:
    def meddle(verb: str, value: Any) -> Any:
        return b"cmd: evil\nouts: []\n" if verb == "entry" else value

    _, told = run(far, "train.shrink=0.125", meddle=meddle)
    assert ends(told) == ["ok"]
    kept = far.path(".dvc/cache/runs").rglob("*")
    assert not [path for path in kept if path.is_file() and b"evil" in path.read_bytes()]


def test_a_commit_that_grew_from_another_one_is_no_experiment(far: Shop) -> None:
    head = far.run("git", "rev-parse", "HEAD").stdout.strip()
    change = {"experiment": {"baseline": head, "name": "x", "commit": head}}
    _, told = run(far, "train.shrink=0.5", meddle=forged(change))
    assert ends(told) == ["error"] and "grew from another" in told[-1].text
    assert far.run("git", "for-each-ref", "refs/exps").stdout == ""


def test_a_node_with_another_version_is_named(far: Shop) -> None:
    def meddle(verb: str, value: Any) -> Any:
        return {**value, "version": "0.0.1"} if verb == "welcome" else value

    _, told = run(far, "train.shrink=0.5", meddle=meddle)
    assert ends(told) == ["error"] and "has mlops_nb 0.0.1" in told[-1].text


def test_a_cluster_that_is_gone_ends_the_sweep_and_the_record_says_so(far: Shop) -> None:
    def meddle(verb: str, value: Any) -> Any:
        if verb == "news" and value:
            if value[-1]["kind"] == "ended":
                raise PipelineKilled("the cluster is gone", [])
        return value

    with pytest.raises(PipelineKilled, match="the cluster is gone"):
        run(far, "train.shrink=0.5", meddle=meddle)
    assert [run.state for run in runs_of(far)] == ["killed:signal"]


def test_a_trial_that_is_cancelled_ends_and_the_others_go_on(far: Shop) -> None:
    far.replace("shop/score.py", "    return sum", "    wait(fitted)\n    return sum")
    far.path("shop/score.py").write_text(
        far.text("shop/score.py") + "\n\ndef wait(fitted):\n    import time\n"
        "    if fitted < 0.2:\n        time.sleep(300)\n"
    )
    project = Project(far.root)
    told: list[News] = []
    with closing(Away(project, lambda give_up: Beside(honest))) as executor:

        def listen(news: News) -> None:
            told.append(news)
            if (news.trial, news.kind, news.stage) == (1, "running", "evaluate"):
                executor.cancel(1)

        conduct(project, plan_sweep(project, ["train.shrink=0.1,0.9,0.8"]), executor, listen)
    assert ends(told) == ["cancelled", "ok", "ok"]
    assert sorted(run.state for run in runs_of(far)) == ["cancelled", "ok", "ok"]


def interrupted(
    shop: Shop, verb: str, *overrides: str, after: int = 1
) -> tuple[list[News], list[str]]:
    """Run a sweep that is interrupted at the answer to a question; return what was asked then."""
    asked: list[str] = []
    project, told = Project(shop.root), []

    def meddle(said: str, value: Any) -> Any:
        asked.append(said)
        if said == verb and asked.count(verb) == after:
            executor.stop()
        return value

    with closing(Away(project, lambda give_up: Beside(meddle))) as executor:
        conduct(project, plan_sweep(project, overrides), executor, told.append)
        asked.append("end")
    return told, asked[asked.index(verb) + after : asked.index("end")]


def test_an_interruption_ends_what_is_being_sent(far: Shop) -> None:
    told, asked = interrupted(far, "take_piece", "train.shrink=0.5")
    assert ends(told) == ["cancelled"] and asked == ["give_up"]
    assert runs_of(far) == []


def test_an_interruption_ends_what_a_node_fetches(far: Shop, tmp_path: Path) -> None:
    far.path("raw.csv").write_text("1\n2\n")
    far.run("dvc", "add", "raw.csv")
    deps = "    deps:\n    - data/table.csv\n"
    far.replace("dvc.yaml", deps, deps.replace("    - data", "    - raw.csv\n    - data"))
    (tmp_path / "store").mkdir()
    far.run("dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    far.commit()
    told, asked = interrupted(far, "fetch", "train.shrink=0.5")
    assert ends(told) == ["cancelled"] and asked == ["give_up"]
    assert not list(tmp_path.glob("node/*/clone/.mlops_nb/worktrees/2*"))


def test_a_trial_that_failed_has_failed_also_if_its_way_home_is_interrupted(far: Shop) -> None:
    far.replace("shop/score.py", "    return sum", "    raise OSError('no')\n    return sum")
    told, _ = interrupted(far, "file", "train.shrink=0.125")
    (run,) = runs_of(far)
    assert ends(told) == [run.state] == ["error"]


def test_an_interruption_while_results_come_home_ends_that_and_is_on_record(far: Shop) -> None:
    told, asked = interrupted(far, "file", "train.shrink=0.125")
    assert ends(told) == ["cancelled"] and told[-1].text == INTERRUPTED and asked == []
    (run,) = runs_of(far)
    assert run.state == "cancelled" and run.more["failure"]["message"] == INTERRUPTED
    assert far.run("git", "for-each-ref", "refs/exps").stdout == ""
