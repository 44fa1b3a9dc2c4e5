"""The examples of docs/runs.md are about this project: every command in them has a meaning here."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import mlops_nb
from mlops_nb.config.compose import compose, compose_each
from mlops_nb.config.multirun import expand
from mlops_nb.core.project import Project
from mlops_nb.runs.run import Run, new_id
from mlops_nb.runs.store import Store
from mlops_nb.sweep.aim import read_aim
from mlops_nb.sweep.measures import checked_metric

from .conftest import ROOT, environment
from .test_flights import copy_of_this_tree

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm")]

TEXT = (ROOT / "docs/runs.md").read_text()
BLOCK = re.compile(r"^```sh\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
NEEDS_A_SERVER = ("sqlite:", "http:")
VALUED = ("-j", "--on", "--name", "--hypothesis", "--metric", "--trials", "--seed")
FLAGS = ("--search", "--detach")


def commands() -> list[list[str]]:
    """Return the words of every command in a shell block."""
    lines = [
        line for block in BLOCK.findall(TEXT) for line in block.replace("\\\n", " ").splitlines()
    ]
    return [shlex.split(line) for line in lines if line.strip()]


def parted(words: list[str]) -> tuple[list[str], dict[str, str]]:
    """Return the overrides of a command, and its options."""
    overrides, options, rest = [], {}, iter(words)
    for word in rest:
        if word in (*VALUED, *FLAGS):
            options[word] = next(rest) if word in VALUED else ""
        else:
            overrides.append(word)
    return overrides, options


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Give this project with runs of it, which have what it measured last, and a remote."""
    folder = tmp_path_factory.mktemp("docs")
    found = Project(copy_of_this_tree(folder / "clone").root)
    stages = ("ingest", "features", "train", "evaluate")
    metrics = {name: json.loads((ROOT / f"metrics/{name}.json").read_text()) for name in stages}
    store = Store(found.runs)
    for number, words in enumerate((("train=logistic",), ("train=forest", "train.max_depth=8"))):
        began = datetime(2013, 1, 1, 5, 15, tzinfo=UTC) + timedelta(minutes=number)
        run = Run(new_id(began), began.isoformat(timespec="milliseconds"), "ok", overrides=words)
        commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=found.root, text=True)
        params, code = compose(*words, project=found).to_dict(), {"commit": commit.strip()}
        store.add(replace(run, params=params, config=params, metrics=metrics, code=code))
    store.annotate(run.id, lambda said: replace(said, name="deeper"))
    subprocess.run(["git", "init", "-q", "--bare", folder / "remote.git"], check=True)
    subprocess.run(["git", "remote", "remove", "origin"], cwd=found.root, check=False)
    add = ["git", "remote", "add", "origin", folder / "remote.git"]
    subprocess.run(add, cwd=found.root, check=True)
    return found


def test_what_the_examples_run_can_be_run_here(project: Project) -> None:
    checked = 0
    for _, command, *words in commands():
        overrides, options = parted(words)
        if command == "run":
            compose(*overrides, project=project)
        elif command == "sweep" and "--search" in options:
            aim = read_aim(project, overrides, options["--metric"])
            assert checked_metric(project, aim.metric) == (aim.metric, "")
        elif command == "sweep":
            assert len(compose_each(expand(overrides, project), project)) > 1
        checked += command in ("run", "sweep")
    assert checked >= 6


def test_what_the_examples_ask_of_the_table_has_an_answer(project: Project) -> None:
    asked = [words for words in commands() if words[1] == "runs" and "watch" not in words]
    asked = [words for words in asked if not words[-1].startswith(NEEDS_A_SERVER)]
    asked = [words for words in asked if "--experiment" not in words]
    assert len(asked) >= 6
    for words in asked:
        done = subprocess.run(
            [sys.executable, "-m", "mlops_nb", *words[1:]], cwd=project.root, env=environment(),
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, (words, done.stderr)
        assert "no run matches" not in done.stdout, words


def test_the_filter_of_the_data_frame_has_an_answer(project: Project) -> None:
    (call,) = re.findall(r'`mlops_nb\.runs\("([^"]+)", sort="([^"]+)"\)`', TEXT)
    assert len(mlops_nb.runs(call[0], sort=call[1], project=project.root)) == 2


def test_the_names_in_the_text_are_those_of_files_that_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert target.startswith("https://") or (Path(ROOT) / "docs" / target).exists(), target
