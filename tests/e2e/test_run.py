"""Runs beside the workspace: what they leave, what they leave alone, and what is on record."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mlops_nb.core.project import Project
from mlops_nb.errors import ProjectError
from mlops_nb.pipeline import run as pipeline_run
from mlops_nb.pipeline.executed import outcomes_of
from mlops_nb.pipeline.snapshot import Snapshot, take_snapshot
from mlops_nb.pipeline.worktree import check_out, tidy
from mlops_nb.runs.run import Run
from mlops_nb.runs.store import Store
from tests.at_once import at_once

from .conftest import Shop, environment

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm")]


def run_of(shop: Shop, *overrides: str, code: int = 0) -> Run:
    """Run the pipeline, and return the newest record."""
    shop.tool("run", *overrides, code=code)
    return newest(shop)


def newest(shop: Shop) -> Run:
    store = Store(shop.path(".mlops_nb/runs"))
    found = store.read(store.ids()[-1])
    assert isinstance(found, Run), found
    return found


def state_of(folder: Path) -> dict[str, bytes]:
    """Return every file of a workspace but what the toolkit and git keep for themselves."""
    own = (".mlops_nb", ".git", "__pycache__")
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not set(own) & set(path.relative_to(folder).parts)
        and ".dvc/cache" not in str(path) and ".dvc/tmp" not in str(path)
    }  # fmt: skip


def test_a_run_leaves_the_workspace_as_it_is(shop: Shop) -> None:
    shop.path("notes.txt").write_text("not tracked")
    shop.replace("shop/score.py", "Score a model.", "Score a model, edited.")
    before, status = state_of(shop.root), shop.run("git", "status", "--porcelain").stdout
    run = run_of(shop, "train=median", "train.shrink=0.5")
    assert state_of(shop.root) == before
    assert shop.run("git", "status", "--porcelain").stdout == status
    assert shop.run("git", "worktree", "list").stdout.count("\n") == 1
    assert run.state == "ok" and run.overrides == ("train=median", "train.shrink=0.5")


def test_the_record_of_a_run_says_everything(shop: Shop) -> None:
    shop.path("notes.txt").write_text("not tracked")
    run = run_of(shop, "train.shrink=0.5", "--name", "half", "--tag", "trial", "--note", "why")
    document = run.to_json()
    assert run.params["train"]["shrink"] == 0.5 and run.metrics["train"]["depth"] == 0
    assert run.series["train.loss"] | {"path": ""} == {
        "path": "", "points": 3, "step": 2, "last": 1 / 3, "least": 1 / 3, "most": 1.0,
    }  # fmt: skip
    assert run.artifacts["models/model.json"]["stage"] == "train"
    assert run.artifacts["models/model.json"]["hash"].startswith("md5:")
    stages = {name: stage["how"] for name, stage in run.stages.items()}
    assert stages["train"] == "ran" and stages["prepare"] in ("restored", "unchanged")
    assert run.stages["train"]["cpu_seconds"] > 0 and run.resources["peak_memory_bytes"] > 0
    assert run.who["user"] and run.command[:2] == ("mlops-nb", "run")
    assert run.environment["packages"]["dvc"] and run.environment["cores"]
    assert run.code["dirty"] and run.wall_seconds and run.host
    shown = shop.run("git", "show", f"{run.code['commit']}:notes.txt").stdout
    assert shown == "not tracked"
    kept = shop.path(f".mlops_nb/runs/{run.id}")
    assert (kept / "reports" / "train.ipynb").is_file()
    assert (kept / "executions" / "train" / "journal.jsonl").is_file()
    assert json.loads(json.dumps(document)) == document


def test_a_successful_run_is_an_experiment_that_dvc_knows(shop: Shop) -> None:
    run = run_of(shop, "train.shrink=0.25", "--name", "quarter")
    listed = json.loads(shop.run("dvc", "exp", "show", "--json").stdout)
    found: list[dict[str, Any]] = [
        revision
        for state in listed
        for experiment in state["experiments"] or ()
        for revision in experiment["revs"]
    ]
    (one,) = [revision for revision in found if revision["name"] == "quarter"]
    data = one["data"]
    assert data["params"]["params.yaml"]["data"]["train"]["shrink"] == 0.25
    assert data["metrics"]["metrics/evaluate.json"]["data"] == run.metrics["evaluate"]
    shop.run("dvc", "exp", "apply", "quarter")
    assert "shrink: 0.25" in shop.text("params.yaml")
    assert shop.repro() == set()


def test_a_run_that_fails_is_on_record_with_the_error(shop: Shop) -> None:
    shop.replace("shop/score.py", "return sum", "raise ValueError('no score')\n    return sum")
    run = run_of(shop, "train.shrink=0.5", code=1)
    assert run.state == "error" and run.stages["train"]["state"] == "ok"
    assert run.stages["evaluate"]["error"]["message"] == "no score"
    assert run.metrics["train"]["fitted"] and "evaluate" not in run.metrics
    assert "metrics/evaluate.json" not in run.artifacts  # that is of the run before
    assert shop.run("git", "worktree", "list").stdout.count("\n") == 1
    assert shop.run("git", "for-each-ref", "refs/exps").stdout == ""


def test_the_hooks_that_dvc_installs_do_not_run_in_a_worktree(shop: Shop) -> None:
    shop.run("dvc", "install")
    assert run_of(shop, "train.shrink=0.5").state == "ok"


def test_what_may_hold_secrets_is_not_taken_for_code(shop: Shop) -> None:
    shop.path(".env").write_text("TOKEN=hush")
    shop.path("notes.txt").write_text("not tracked")
    run = run_of(shop, "train.shrink=0.5")
    names = shop.run("git", "ls-tree", "--name-only", run.code["commit"]).stdout.split()
    assert "notes.txt" in names and ".env" not in names
    assert [one["path"] for one in run.code["left_out"]] == [".env"]


def test_a_run_whose_worktree_cannot_be_made_is_on_record_with_the_reason(shop: Shop) -> None:
    shop.run("git", "rm", "--quiet", "--cached", "-r", ".dvc")
    shop.path(".gitignore").write_text(shop.text(".gitignore") + ".dvc\n")
    run = run_of(shop, "train.shrink=0.5", code=2)
    assert run.state == "error" and "no DVC project" in run.more["failure"]["message"]


def test_a_wrong_override_is_refused_and_no_run_is_begun(shop: Shop) -> None:
    done = shop.tool("run", "train.shirnk=0.5", code=2)
    assert "no key `train.shirnk`" in done.stderr and "shrink" in done.stderr
    assert not shop.path(".mlops_nb/runs").exists()


def test_a_killed_run_is_on_record_as_killed_and_the_next_one_tidies_up(shop: Shop) -> None:
    shop.replace(
        "shop/table.py", "def read(path):", "def read(path):\n    import time; time.sleep(60)"
    )
    command = [sys.executable, "-m", "mlops_nb", "run", "train.shrink=0.5"]
    running = subprocess.Popen(
        command, cwd=shop.root, env=environment(), stderr=subprocess.PIPE, text=True
    )
    assert running.stderr
    for line in running.stderr:
        if line.startswith("train: running"):
            break
    (shown,) = json.loads(shop.tool("runs", "--json").stdout)
    assert shown["state"] == "running" and shown["params"]["train"]["shrink"] == 0.5
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert newest(shop).state == "killed:signal"
    (shown,) = json.loads(shop.tool("runs", "--json").stdout)
    assert shown["params"]["train"]["shrink"] == 0.5 and shown["params"]["prepare"]["rows"] == 20
    assert "0.5" in shop.tool("runs", "--columns", "shrink", "--csv").stdout
    shop.replace("shop/table.py", "    import time; time.sleep(60)", "    pass")
    deadline = time.monotonic() + 60
    while len(os.listdir(shop.path(".mlops_nb/worktrees"))) and time.monotonic() < deadline:
        run_of(shop, "train.shrink=0.25")
    assert os.listdir(shop.path(".mlops_nb/worktrees")) == []


def test_two_runs_go_on_at_once(shop: Shop) -> None:
    command = [sys.executable, "-m", "mlops_nb", "run"]
    runs = [
        subprocess.Popen([*command, f"train.shrink=0.{number}"], cwd=shop.root, env=environment())
        for number in (1, 2)
    ]
    assert [run.wait(120) for run in runs] == [0, 0]
    store = Store(shop.path(".mlops_nb/runs"))
    records = [store.read(run) for run in store.ids()]
    assert {run.params["train"]["shrink"] for run in records if isinstance(run, Run)} == {0.1, 0.2}


BEGIN = """
project = Project(Path(sys.argv[3]))
with queued(project, "run", new_id()) as place:
    place.wait()
recording = Recording(project, Asked(said=Annotations(name=f"n{number}")))
with kept_runs(project) as index:
    assert recording.id in {row["id"] for row in index.rows()[0]}
recording.finish(project, None)
"""
PREPARE = """
from pathlib import Path
from mlops_nb.core.project import Project
from mlops_nb.pipeline.listing import kept_runs
from mlops_nb.pipeline.queue import queued
from mlops_nb.pipeline.recording import Asked, Recording
from mlops_nb.runs.annotations import Annotations
from mlops_nb.runs.run import new_id
"""


def test_sixteen_processes_begin_runs_at_once_in_a_project_without_any(shop: Shop) -> None:
    shutil.rmtree(shop.path(".mlops_nb"), ignore_errors=True)
    at_once(16, PREPARE, BEGIN, shop.root)
    store = Store(shop.path(".mlops_nb/runs"))
    found = [store.read(run) for run in store.ids()]
    assert [run.state for run in found if isinstance(run, Run)] == ["cancelled"] * 16
    names = {store.annotations(run).name for run in store.ids()}
    assert names == {f"n{number}" for number in range(16)}
    refs = shop.run("git", "for-each-ref", "--format=%(refname)", "refs/mlops_nb/runs").stdout
    assert {ref.rpartition("/")[2] for ref in refs.split()} == set(store.ids())
    assert sorted(path.name for path in shop.path(".mlops_nb/queue").iterdir()) == ["lock"]


def repository_inside(shop: Shop, outside: Path) -> Path:
    """Give the project a submodule that a stage imports; its own remote is then gone."""
    parts = outside / "parts"
    parts.mkdir()
    (parts / "weight.py").write_text("WEIGHT = 2\n")
    for words in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "-m", "parts")):
        subprocess.run(["git", *words], cwd=parts, env=environment(), check=True)
    allowed = ("-c", "protocol.file.allow=always")
    shop.run("git", *allowed, "submodule", "--quiet", "add", str(parts), "shop/parts")
    source = "from shop.parts.weight import WEIGHT\n\n\n"
    shop.replace("shop/score.py", "def error", f"{source}def error")
    shop.replace("shop/score.py", "/ len(values)", "* WEIGHT")
    shop.commit()
    parts.rename(outside / "gone")
    return shop.path("shop/parts")


def test_a_run_has_the_submodules_of_the_workspace_without_a_network(
    shop: Shop, tmp_path: Path
) -> None:
    inner = repository_inside(shop, tmp_path)
    status = shop.run("git", "status", "--porcelain").stdout
    run = run_of(shop, "train.shrink=0.5")
    assert run.state == "ok" and run.stages["evaluate"]["how"] == "ran"
    assert run.code["left_out"] == [] and not os.listdir(shop.path(".mlops_nb/worktrees"))
    assert shop.run("git", "status", "--porcelain").stdout == status
    assert shop.run("git", "worktree", "list").stdout.count("\n") == 1

    (inner / "weight.py").write_text("WEIGHT = 3\n")
    done = shop.tool("run", "train.shrink=0.25")
    assert "warning: shop/parts is not in the run: a submodule with changes" in done.stderr
    assert [one["path"] for one in newest(shop).code["left_out"]] == ["shop/parts"]
    subprocess.run(["git", "commit", "-qam", "3"], cwd=inner, env=environment(), check=True)
    third = run_of(shop, "train.shrink=0.25")
    assert third.code["left_out"] == [] and third.code["dirty"]
    before = newest_but_one(shop).metrics["evaluate"]["error"]
    assert third.metrics["evaluate"]["error"] == 1.5 * before
    shop.tool("restore", third.id, "--to", str(tmp_path / "beside"))
    assert (tmp_path / "beside/shop/parts/weight.py").read_text() == "WEIGHT = 3\n"


def newest_but_one(shop: Shop) -> Run:
    store = Store(shop.path(".mlops_nb/runs"))
    found = store.read(store.ids()[-2])
    assert isinstance(found, Run), found
    return found


def test_a_submodule_that_is_not_checked_out_is_named(shop: Shop, tmp_path: Path) -> None:
    repository_inside(shop, tmp_path)
    shop.run("git", "submodule", "--quiet", "deinit", "--force", "--all")
    shop.run("rm", "-r", ".git/modules")
    done = shop.tool("run", "train.shrink=0.5", code=1)
    assert "shop/parts is not in the run: a submodule that is not checked out" in done.stderr
    assert [one["path"] for one in newest(shop).code["left_out"]] == ["shop/parts"]


def test_a_submodule_without_the_commit_that_belongs_there_is_named(
    shop: Shop, tmp_path: Path
) -> None:
    repository_inside(shop, tmp_path)
    run = run_of(shop, "train.shrink=0.5")
    shop.run("git", "update-index", "--cacheinfo", f"160000,{'1' * 40},shop/parts")
    shop.run("git", "submodule", "--quiet", "deinit", "--force", "--all")
    done = shop.tool("run", "train.shrink=0.25", code=2)
    assert "submodule shop/parts has no commit 11111111 here" in done.stderr
    assert newest(shop).state == "error" and newest(shop).id != run.id
    assert shop.run("git", "worktree", "list").stdout.count("\n") == 1


def test_the_config_of_a_run_is_that_of_its_code_although_somebody_edits_meanwhile(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def edit_first(root: Path, message: str) -> Snapshot:
        monkeypatch.setattr(pipeline_run, "take_snapshot", take_snapshot)
        shop.replace("conf/config.yaml", "rows: 20", "rows: 30")
        return take_snapshot(root, message)

    monkeypatch.setattr(pipeline_run, "take_snapshot", edit_first)
    snapshot, (config,) = pipeline_run.code_and_configs(Project(shop.root), [("train=median",)], "")
    assert "rows: 30" in shop.run("git", "show", f"{snapshot.commit}:conf/config.yaml").stdout
    assert config["prepare"]["rows"] == 30 and config["train"]["family"] == "median"


def test_code_that_never_stands_still_is_refused_in_one_line(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = iter(range(20, 100))

    def edit(root: Path, message: str) -> Snapshot:
        number = next(rows)
        shop.replace("conf/config.yaml", f"rows: {number}", f"rows: {number + 1}")
        return take_snapshot(root, message)

    monkeypatch.setattr(pipeline_run, "take_snapshot", edit)
    with pytest.raises(ProjectError, match="change all the time; try again"):
        pipeline_run.code_and_configs(Project(shop.root), [()], "")


def test_the_document_of_a_run_that_failed_is_its_record_with_the_error(shop: Shop) -> None:
    shop.replace("shop/score.py", "return sum", "raise ValueError('no score')\n    return sum")
    done = shop.tool("run", "train.shrink=0.5", "--json", code=1)
    document = json.loads(done.stdout)
    assert document["id"] == newest(shop).id and document["state"] == "error"
    assert document["stages"]["evaluate"]["error"]["message"] == "no score"
    assert document["refused"]["error"] == "StagesFailed" and document["refused"]["exit_code"] == 1
    assert [line[:7] for line in done.stderr.splitlines()].count("error: ") == 1

    shop.run("git", "rm", "--quiet", "--cached", "-r", ".dvc")
    shop.path(".gitignore").write_text(shop.text(".gitignore") + ".dvc\n")
    done = shop.tool("run", "train.shrink=0.5", "--json", code=2)
    document = json.loads(done.stdout)
    assert document["id"] == newest(shop).id and document["state"] == "error"
    assert "no DVC project" in document["refused"]["message"]


def test_the_environment_on_record_is_that_of_the_kernel_that_computed(
    shop: Shop, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", other], check=True)
    site = next((other / "lib").glob("python*/site-packages"))
    ours = [path for path in sys.path if path.endswith("packages")]
    (site / "ours.pth").write_text("\n".join(ours))
    (site / "only_there-7.1.dist-info").mkdir()
    (site / "only_there-7.1.dist-info/METADATA").write_text("Name: only-there\nVersion: 7.1\n")
    kernels = tmp_path / "jupyter/kernels/other"
    kernels.mkdir(parents=True)
    command = [str(other / "bin/python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": command, "language": "python", "display_name": "other"}
    (kernels / "kernel.json").write_text(json.dumps(spec | {"env": {"OMP_NUM_THREADS": "3"}}))
    shop.replace("nbs/pipeline/20_train.ipynb", '"name": "python3"', '"name": "other"')
    shop.commit()
    command = [sys.executable, "-m", "mlops_nb", "run", "train.shrink=0.5"]
    given = {**environment(), "JUPYTER_PATH": str(tmp_path / "jupyter")}
    done = subprocess.run(command, cwd=shop.root, env=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    run = newest(shop)
    assert run.stages["train"]["kernel"] == "other"
    assert run.stages["evaluate"]["kernel"] == "python3"
    (found,) = run.environment["kernels"].values()
    assert found["packages"]["only-there"] == "7.1" and found["packages"]["dvc"]
    assert found["variables"]["OMP_NUM_THREADS"] == "3"
    assert "only-there" not in run.environment["packages"]


def test_a_file_in_a_tracked_folder_is_data_of_the_run(shop: Shop) -> None:
    shop.path("raw/deep").mkdir(parents=True)
    shop.path("raw/deep/scale.txt").write_text("2")
    shop.path("raw/other.txt").write_text("never read")
    shop.run("dvc", "add", "--quiet", "raw")
    shop.replace(
        "nbs/pipeline/20_train.ipynb", '"table: In = \\"data/table.csv\\"\\n",',
        '"table: In = \\"data/table.csv\\"\\n",\n    "scale: In = \\"raw/deep/scale.txt\\"\\n",',
    )  # fmt: skip
    shop.tool("pipeline", "sync")
    shop.commit()
    run = run_of(shop, "train.shrink=0.5")
    assert list(run.data) == ["raw/deep/scale.txt"]
    assert run.data["raw/deep/scale.txt"].startswith("md5:")


def test_what_a_killed_run_has_left_stays_while_a_process_of_it_works_there(shop: Shop) -> None:
    project = Project(shop.root)
    commit = shop.run("git", "rev-parse", "HEAD").stdout.strip()
    folder = project.state / "worktrees" / "20130101T051500.000-0123abcd"
    folder.parent.mkdir(parents=True)
    check_out(project, folder, commit)
    folder.with_name(f"{folder.name}.lock").touch()
    with subprocess.Popen(["sleep", "300"], cwd=folder / "shop") as working:
        try:
            assert tidy(project) == [] and folder.is_dir()
        finally:
            working.kill()
    assert tidy(project) == [folder] and os.listdir(folder.parent) == []


def test_no_journal_of_another_run_is_opened(shop: Shop) -> None:
    shop.tool("execute", "nbs/pipeline/20_train.ipynb")
    first = run_of(shop, "train.shrink=0.5")
    second = run_of(shop, "train.shrink=0.25")
    executions = shop.path(".mlops_nb/executions")
    for path in executions.iterdir():
        if not path.name.endswith(second.id[-8:]):
            shutil.rmtree(path)
            path.mkdir()
            os.mkfifo(path / "journal.jsonl")  # whoever opens it waits for ever
    found = outcomes_of(Project(shop.root), second.id)
    assert found["train"].folder.name == second.stages["train"]["execution"]
    assert first.stages["train"]["execution"].endswith(first.id[-8:])


def test_the_last_line_of_a_run_that_failed_names_cell_and_exception(shop: Shop) -> None:
    shop.replace("shop/score.py", "return sum", "raise ValueError('no score')\n    return sum")
    done = shop.tool("run", "train.shrink=0.5", code=1)
    run = newest(shop)
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"error: run {run.id[-8:]} failed in evaluate, cell ")
    assert ": ValueError: no score; `mlops-nb open " + run.id[-8:] + "`" in last
    assert "exited with" not in last
    shown = shop.tool("runs", "show", run.id).stdout
    assert "ValueError: no score" in shown
    watched = shop.tool("runs", "watch", run.id, code=1).stderr.splitlines()
    assert "failed in evaluate, cell " in watched[-1] and "mlops-nb open" in watched[-1]

    workspace = shop.tool("repro", code=1).stderr.splitlines()[-1]
    assert "failed in evaluate, cell " in workspace and "ValueError: no score" in workspace


def test_a_reproduction_that_goes_on_has_the_params_that_it_composed(shop: Shop) -> None:
    shop.replace("conf/config.yaml", "rows: 20", "rows: 31")
    shop.replace(
        "shop/table.py", "def read(path):", "def read(path):\n    import time; time.sleep(60)"
    )
    command = [sys.executable, "-m", "mlops_nb", "repro"]
    running = subprocess.Popen(
        command, cwd=shop.root, env=environment(), stderr=subprocess.PIPE, text=True
    )
    assert running.stderr
    for line in running.stderr:
        if line.startswith("train: running"):
            break
    run = newest(shop)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert run.state == "running" and run.params["prepare"]["rows"] == 31
