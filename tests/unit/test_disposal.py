"""What is cleared up: the age that is asked for, and a run that must not go."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.core.project import Project
from mlops_nb.errors import UsageError
from mlops_nb.pipeline.disposal import dispose, parse_age
from mlops_nb.pipeline.experiment import Experiment, experiment_of, let_experiment_go
from mlops_nb.runs.run import Run, new_id
from mlops_nb.runs.store import Store

SOON = datetime.now(UTC) + timedelta(days=1)
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@given(st.integers(0, 5000), st.sampled_from("smhdw"))
def test_an_age_is_a_number_and_a_unit(number: int, unit: str) -> None:
    assert parse_age(f"{number}{unit}") == timedelta(**{UNITS[unit]: number})


@given(st.text(max_size=10))
def test_any_other_text_is_refused_in_one_line(text: str) -> None:
    try:
        assert parse_age(text) >= timedelta()
    except UsageError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1e3d", "1d2h", "99999999w"])
def test_what_is_no_age_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_age(text)


def test_a_run_that_goes_on_stays_although_it_was_removed(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    project = Project(tmp_path)
    store = Store(project.runs)
    attempt = store.begin(Run(new_id(), "2013-01-01T05:15:00.000+00:00", "running"))
    store.remove(attempt.id)
    assert dispose(project, timedelta(), SOON, dry=True).runs == ()
    assert dispose(project, timedelta(), SOON).runs == () and store.ids() == [attempt.id]
    attempt.finish(replace(Run(attempt.id, "2013-01-01T05:15:00.000+00:00"), state="ok"))
    assert dispose(project, timedelta(), SOON).runs == (attempt.id,) and store.ids() == []


def test_an_experiment_that_has_another_commit_by_now_stays(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        who = ("-c", "user.name=A Tester", "-c", "user.email=tester@example.org")
        return subprocess.run(
            ["git", "-C", tmp_path, *who, *words], check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "--quiet")
    commits = []
    for number in range(2):
        git("commit", "--quiet", "--allow-empty", "--message", str(number))
        commits.append(git("rev-parse", "HEAD"))
    old, new = (Experiment("0" * 40, "name", commit) for commit in commits)
    git("update-ref", new.ref, new.commit)
    assert not let_experiment_go(tmp_path, old) and git("rev-parse", new.ref) == new.commit
    assert let_experiment_go(tmp_path, new) and not let_experiment_go(tmp_path, new)


def test_a_record_without_an_experiment_has_none() -> None:
    whole = {"baseline": "a", "name": "b", "commit": "c"}
    assert experiment_of({"experiment": whole}) == Experiment("a", "b", "c")
    for more in ({}, {"experiment": None}, {"experiment": {**whole, "name": 1}}):
        assert experiment_of(more) is None
