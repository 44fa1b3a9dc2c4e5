"""Sweeps without a kernel: what a line expands to, who computes what, records and seed groups."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.config.multirun import MOST_TRIALS, expand
from mlops_nb.core.project import Project
from mlops_nb.errors import ConfigError, RecordError
from mlops_nb.runs.run import Run, new_id
from mlops_nb.runs.store import Store
from mlops_nb.sweep.measures import flat
from mlops_nb.sweep.naming import find_sweep
from mlops_nb.sweep.record import (
    Pruned,
    Sweep,
    Trial,
    meant_sweep,
    read_sweep,
    sweep_file,
    sweep_from_json,
    sweep_ids,
    write_sweep,
)
from mlops_nb.sweep.seeds import seed_groups, spread_of, without_seeds
from mlops_nb.sweep.sharing import Claims
from mlops_nb.sweep.summary import chosen_metric, varied
from mlops_nb.sweep.works import sweep_state


@pytest.fixture
def project(tmp_path: Path) -> Project:
    for name in ("mean", "median"):
        (tmp_path / "conf" / "train").mkdir(parents=True, exist_ok=True)
        (tmp_path / "conf" / "train" / f"{name}.yaml").write_text(f"family: {name}\n")
    (tmp_path / "conf" / "config.yaml").write_text("defaults: [stages, _self_]\n")
    (tmp_path / "nbs" / "pipeline").mkdir(parents=True)
    return Project(tmp_path)


@pytest.mark.parametrize(
    ("line", "count"),
    [
        (["train=mean,median", "train.seed=range(0,5)"], 10),
        (["train.seed=choice(1,2,3)"], 3),
        (["train=glob(me*)"], 2),
        (["train=glob(*,exclude=mean)"], 1),
        (["train.sizes=[1,2],[3]"], 2),
        (["train.seed=3"], 1),
        ([], 1),
        (["train.seed=1,2", "train.seed=3"], 1),
    ],
)
def test_a_line_stands_for_the_trials_that_hydra_would_launch(
    project: Project, line: list[str], count: int
) -> None:
    assert len(expand(line, project)) == count


def test_trials_come_in_the_order_of_hydra_with_the_last_override_fastest(project: Project) -> None:
    assert expand(["a=1,2", "b=3,4"], project)[:2] == (("a=1", "b=3"), ("a=1", "b=4"))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.rate=interval(0,1)", "does not say which values to try"),
        ("train.seed=range(3,3)", "stands for no value"),
        ("train=glob(nothing*)", "stands for no value"),
        (f"train.seed=range(0,{MOST_TRIALS + 1})", "more than 10,000 trials"),
        ("train.seed=range(0,100000000000)", "more than 10,000 trials"),
        ("train.seed=range(1", "conf"),
        ("train.seed", "conf"),
    ],
)
def test_what_is_no_sweep_is_refused_in_one_line(
    project: Project, override: str, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        expand([override], project)
    assert said in str(caught.value) and "\n" not in str(caught.value)


# Sharing

trial_keys = st.dictionaries(
    st.integers(1, 8),
    st.dictionaries(st.sampled_from(["prepare", "train", "score"]), st.sampled_from("abcdef")),
    min_size=1,
)


@given(trial_keys, st.randoms())
def test_nothing_is_computed_twice_at_once_and_every_trial_comes_to_run(
    keys: dict[int, dict[str, str]], random: Any
) -> None:
    claims, waiting, running = Claims(keys), list(keys), {}
    made: set[str] = set()
    computing: list[str] = []
    while waiting or running:
        ready = [trial for trial in waiting if claims.may_begin(trial)]
        assert ready or running, "nobody may begin and nobody runs"
        if ready and (not running or random.random() < 0.5):
            trial = random.choice(ready)
            waiting.remove(trial)
            claims.begin(trial)
            new = sorted(set(keys[trial].values()) - made)
            assert not set(new) & set(computing)
            computing += new
            running[trial] = new
            continue
        trial = random.choice(sorted(running))
        if random.random() < 0.2:  # it fails
            claims.end(trial)
        else:
            for stage in keys[trial]:
                claims.made(trial, stage)
            made |= set(keys[trial].values())
            claims.end(trial)
        computing = [key for key in computing if key not in running[trial]]
        del running[trial]


# Records

texts = st.text(st.characters(codec="utf-8"), max_size=8)
trials = st.builds(
    Trial,
    st.integers(1, 99),
    st.lists(texts, max_size=3).map(tuple),
    texts,
    st.lists(st.builds(new_id), max_size=2).map(tuple),
)
sweeps = st.builds(
    Sweep,
    st.builds(new_id),
    st.lists(texts, max_size=3).map(tuple),
    st.just({"commit": "c0ffee"}),
    st.lists(trials, max_size=4).map(tuple),
    st.integers(1, 8),
)


@given(sweeps)
def test_a_sweep_that_was_written_reads_back_equal(sweep: Sweep) -> None:
    assert sweep_from_json(sweep.to_json(), "here") == sweep


@given(st.dictionaries(st.sampled_from(["id", "overrides", "trials", "command", "x"]), texts))
def test_a_document_that_is_no_sweep_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(RecordError, match="not a sweep"):
        sweep_from_json(document, "here")


@pytest.fixture
def written(tmp_path: Path) -> tuple[Project, Sweep]:
    project = Project(tmp_path)
    sweep = Sweep(new_id(), ("a=1,2",), {}, (Trial(1, ("a=1",), ""), Trial(2, ("a=2",), "")))
    write_sweep(project, sweep)
    return project, sweep


def test_no_byte_of_a_sweep_changes_unnoticed(written: tuple[Project, Sweep]) -> None:
    project, sweep = written
    path = sweep_file(project, sweep.id)
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(RecordError, match=f"{sweep.id}.json"):
            read_sweep(project, sweep.id)


def test_the_run_of_a_trial_is_noted_after_its_earlier_ones(written: tuple[Project, Sweep]) -> None:
    project, sweep = written
    write_sweep(project, sweep.with_run(2, "x").with_run(2, "y"))
    assert [trial.runs for trial in read_sweep(project, sweep.id).trials] == [(), ("x", "y")]


def test_a_sweep_is_meant_by_the_beginning_of_its_id(written: tuple[Project, Sweep]) -> None:
    project, sweep = written
    known = sweep_ids(project)
    for text in (sweep.id, sweep.id[:10], sweep.id[-8:], sweep.id[-8:-3]):
        assert meant_sweep(text, known) == sweep.id
    with pytest.raises(RecordError, match="no sweep `zzz`"):
        meant_sweep("zzz", known)
    with pytest.raises(RecordError, match="no sweeps yet"):
        meant_sweep("zzz", [])
    with pytest.raises(RecordError, match="stands for 2 sweeps"):
        meant_sweep("2", [*known, new_id()])


def test_overrides_that_all_trials_have_are_left_out(written: tuple[Project, Sweep]) -> None:
    trials = (Trial(1, ("a=1", "b=0"), ""), Trial(2, ("a=2", "b=0"), ""))
    assert varied(Sweep("s", (), {}, trials)) == {1: ("a=1",), 2: ("a=2",)}
    assert varied(Sweep("s", (), {}, trials[:1])) == {1: ("a=1", "b=0")}


# Metrics and seeds


def test_the_metric_shown_is_the_first_of_the_last_stage_or_the_one_asked_for() -> None:
    metrics = flat({"train": {"loss": 1, "by": {"day": 2}}, "evaluate": {"auc": 3, "f1": 4}})
    assert chosen_metric([metrics], None) == "evaluate.auc"
    assert chosen_metric([metrics], "loss") == "train.loss"
    assert chosen_metric([metrics], "train.by.day") == "train.by.day"
    assert chosen_metric([metrics], "nothing") == "nothing"
    assert chosen_metric([], None) == ""


values = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=9)


@given(values)
def test_a_spread_is_that_of_the_statistics_module(found: list[float]) -> None:
    spread = spread_of(found)
    assert spread.n == len(found) and spread.mean == statistics.fmean(found)
    assert spread.deviation == statistics.stdev(found)


def test_one_value_has_no_deviation_and_what_is_not_finite_has_no_mean() -> None:
    assert spread_of([2.0]).deviation is None
    assert math.isnan(spread_of([1.0, math.inf]).mean)


def test_seeds_are_left_out_at_any_depth() -> None:
    params = {"train": {"seed": 1, "rates": [{"seed": 2, "rate": 3}], "seeds": 4}, "seed": 5}
    assert without_seeds(params) == {"train": {"rates": [{"rate": 3}], "seeds": 4}}


def test_trials_that_differ_in_seeds_alone_are_a_group_whatever_their_stage() -> None:
    params = {
        3: {"prepare": {"seed": 1}, "train": {"seed": 0, "rate": 0.5}},
        1: {"prepare": {"seed": 0}, "train": {"seed": 0, "rate": 0.5}},
        2: {"prepare": {"seed": 0}, "train": {"seed": 0, "rate": math.nan}},
    }
    metrics = {1: {"auc": 0.5, "name": "x", "ok": True}, 3: {"auc": 0.7}}
    first, second = seed_groups(params, metrics)
    assert first.trials == (1, 3) and second.trials == (2,)
    assert set(first.spreads) == {"auc"} and first.spreads["auc"].n == 2
    assert second.spreads == {}


@pytest.mark.parametrize(
    ("wanted", "states", "expected"),
    [
        (3, ["ok", "error", "pruned"], "ok"),
        (4, ["ok", "error", "pruned"], "cancelled"),
        (3, ["ok", "cancelled", "pruned"], "cancelled"),
        (2, ["error", "pruned"], "error"),
        (None, ["ok", "error"], "error"),
    ],
)
def test_a_search_is_ok_once_all_is_over_and_something_was_found(
    wanted: int | None, states: list[str], expected: str
) -> None:
    trials = [
        Trial(n, (), "", pruned=Pruned("worse than the others") if state == "pruned" else None)
        for n, state in enumerate(states, 1)
    ]
    runs: dict[int, Any] = {
        n: SimpleNamespace(state="cancelled" if state == "pruned" else state)
        for n, state in enumerate(states, 1)
    }
    search = {"trials": wanted} if wanted else {}
    assert sweep_state(Sweep("s", (), {}, trials, search=search), runs) == expected


def test_a_sweep_is_named_by_its_name_and_one_from_elsewhere_is_refused(tmp_path: Path) -> None:
    project = Project(tmp_path)
    grid = Sweep(new_id(), ("train.seed=0,1",), {}, (), said={"name": "grid"})
    write_sweep(project, grid)
    assert find_sweep(project, "grid") == find_sweep(project, grid.id[-8:]) == grid.id
    again = replace(grid, id=new_id())
    write_sweep(project, again)
    with pytest.raises(RecordError, match="the name of several sweeps"):
        find_sweep(project, "grid")
    assert find_sweep(project, again.id[-8:]) == again.id

    pulled, command = new_id(), ("mlops-nb", "sweep", "train.seed=range(0, 2)", "--name", "far")
    for number in (1, 2):
        origin = {"kind": "sweep", "sweep": pulled, "trial": number}
        run = Run(new_id(), "2013-01-01T05:15:00.000+00:00", "ok", origin=origin, command=command)
        Store(project.runs).add(run)
        Store(project.runs).annotate(run.id, lambda said: replace(said, name="far"))
    for text in (pulled, pulled[-8:], "far"):
        with pytest.raises(RecordError) as caught:
            find_sweep(project, text)
        said = str(caught.value)
        assert "was made elsewhere: 2 of its runs are here" in said
        assert "`mlops-nb sweep 'train.seed=range(0, 2)' --name far`" in said
    with pytest.raises(RecordError, match="no sweep `nothing`"):
        find_sweep(project, "nothing")
