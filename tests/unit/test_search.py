"""Searches without a kernel: spaces, aims, what is proposed and told, and how one goes on."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.config.space import Dimension, Space, read_space, space_from_json
from mlops_nb.core.project import Project
from mlops_nb.errors import ConfigError, ParameterError, PipelineError, RecordError
from mlops_nb.notebook.stage import Stage, read_stages
from mlops_nb.runs.run import Run, new_id
from mlops_nb.runs.store import Store
from mlops_nb.sweep.aim import Aim, aim_from_json, checked_aim, checked_direction, read_aim
from mlops_nb.sweep.conduct import conduct
from mlops_nb.sweep.executor import News, Rehearsal
from mlops_nb.sweep.measures import doubt_about, find_metric, find_series
from mlops_nb.sweep.record import Pruned, Sweep, Trial, read_sweep, sweep_from_json, write_sweep
from mlops_nb.sweep.searching import Search
from mlops_nb.sweep.spec import RunSpec
from mlops_nb.sweep.summary import summarize
from mlops_nb.sweep.watching import Tail, is_told, told_points

Answer = Callable[[Sequence[str]], tuple[str, dict[str, Any]]]
BEGAN = "2013-01-01T05:15:00.000+00:00"
TRAIN = """from typing import Literal
from mlops_nb import Metrics, Plots
metrics: Metrics = "metrics/train.json"
plots: Plots = "plots/train"
rate: float = 0.1
depth: int = 3
family: Literal["linear", "tree"] = "linear"
"""
EVALUATE = """from mlops_nb import Metrics
metrics: Metrics = "metrics/evaluate.json"
seed: int = 0
"""


def write_notebook(path: Path, parameters: str, code: str) -> None:
    cells = [
        {
            "cell_type": "code",
            "id": f"cell-{n}",
            "metadata": {"tags": ["parameters"]} if n == 0 else {},
            "source": source,
            "outputs": [],
            "execution_count": None,
        }
        for n, source in enumerate((parameters, code))
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )


@pytest.fixture
def project(tmp_path: Path) -> Project:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    write_notebook(tmp_path / "nbs/pipeline/10_train.ipynb", TRAIN, "record(loss=1)")
    write_notebook(tmp_path / "nbs/pipeline/20_evaluate.ipynb", EVALUATE, "record(auc=1)")
    (tmp_path / "conf/train").mkdir(parents=True)
    (tmp_path / "conf/config.yaml").write_text("defaults: [stages, _self_]\n")
    for name in ("deep", "flat"):
        (tmp_path / "conf/train" / f"{name}.yaml").write_text("depth: 1\n")
    return Project(tmp_path)


@pytest.fixture
def stages(project: Project) -> tuple[Stage, ...]:
    return read_stages(project)


# Spaces


@pytest.mark.parametrize(
    ("override", "dimension"),
    [
        ("train.rate=interval(1e-3,0.3)", Dimension("train.rate", "float", 0.001, 0.3)),
        (
            "train.rate=tag(log,interval(1e-3,0.3))",
            Dimension("train.rate", "float", 0.001, 0.3, log=True),
        ),
        ("train.depth=int(interval(1,9))", Dimension("train.depth", "int", 1, 9)),
        ("train.depth=range(2,9)", Dimension("train.depth", "int", 2, 8, 1)),
        ("train.depth=range(9,2,-3)", Dimension("train.depth", "int", 3, 9, 3)),
        ("train.rate=range(0.1,0.35,0.1)", Dimension("train.rate", "float", 0.1, 0.3, 0.1)),
        (
            "train.family=tree,linear",
            Dimension("train.family", "choice", choices=("tree", "linear")),
        ),
        ("train.family=choice(tree)", Dimension("train.family", "choice", choices=("tree",))),
        ("+train=glob(*)", Dimension("+train", "choice", choices=("deep", "flat"))),
    ],
)
def test_a_dimension_has_the_values_that_hydra_means(
    project: Project, override: str, dimension: Dimension
) -> None:
    space = read_space([override, "evaluate.seed=4"], project)
    assert space.dimensions == [dimension] and space.fixed == ["evaluate.seed=4"]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["train.rate=0.1"], "leave nothing to search"),
        ([], "leave nothing to search"),
        (["train.rate=interval(0.3,0.1)"], "is empty"),
        (["train.rate=tag(log,interval(0,1))"], "has no logarithms"),
        (["train.rate=tag(lgo,interval(0.1,1))"], "no tag `lgo`; did you mean `log`?"),
        (["train.rate=tag(log,natural,interval(0.1,1))"], "no tag `natural`; known: log"),
        (["train.depth=tag(log,range(1,9))"], "only an `interval` has a scale"),
        (["train.rat=interval(0,1)"], "did you mean `rate`?"),
        (["trian.rate=interval(0,1)"], "did you mean `train`?"),
        (["train.depth=interval(1,9)"], "`int(interval(1,9))`"),
        (["train.family=choice(tree,forest)"], "linear"),
        (["train.depth=choice(1,two)"], "train.depth=two"),
        (["train.rate=interval(0,1)", "train.rate=interval(1,2)"], "given twice"),
        (["train.rate=interval(0,1)", "train.rate=0.5"], "given twice"),
        (["train.depth=range(1,1)"], "stands for no value"),
        (["train.depth=range(1,100000)"], "more than 10,000"),
        (["train.rate=interval(0,1"], "conf"),
        (["train.rate=interval(a,b)"], "conf"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused_in_one_line(
    project: Project, overrides: list[str], said: str
) -> None:
    with pytest.raises((ConfigError, ParameterError)) as caught:
        read_space(overrides, project)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert "trial 1" not in str(caught.value)


numbers = st.one_of(
    st.builds(
        lambda low, width, log: Dimension("a.b", "float", low, low + width, log=log),
        st.floats(1e-6, 1e6),
        st.floats(1e-3, 1e6),
        st.booleans(),
    ),
    st.builds(
        lambda low, width, step: Dimension("+c.d", "int", low, low + width * step, step),
        st.integers(-50, 50),
        st.integers(0, 20),
        st.integers(1, 9),
    ),
)
choices = st.lists(
    st.sampled_from(["a", "'b c'", "[1,2]", "null", "1e-3"]), min_size=1, unique=True
)
dimensions = st.one_of(
    numbers, st.builds(lambda c: Dimension("e", "choice", choices=tuple(c)), choices)
)
spaces = st.lists(
    st.one_of(dimensions, st.just("x.y=1")), min_size=1, unique_by=lambda p: getattr(p, "key", p)
).map(lambda parts: Space(tuple(parts)))


@given(spaces)
def test_a_space_that_was_written_reads_back_equal(space: Space) -> None:
    assert space_from_json(json.loads(json.dumps(space.to_json()))) == space


@given(spaces, st.randoms())
def test_the_overrides_of_a_point_say_its_values_exactly(space: Space, random: Any) -> None:
    values: dict[str, Any] = {}
    for d in space.dimensions:
        known = d.values(1000)
        values[d.key] = random.choice(known) if known else random.uniform(d.low, d.high)
    assert space.values(space.overrides(values)) == values


@given(numbers)
def test_all_values_of_a_dimension_lie_in_it(dimension: Dimension) -> None:
    for value in dimension.values(1000) or dimension.samples():
        assert isinstance(value, int | float)
        assert dimension.low - 1e-6 <= value <= dimension.high * (1 + 1e-9) + 1e-6


# Aims


def test_a_metric_is_known_by_its_stage_or_by_what_was_recorded(stages: tuple[Stage, ...]) -> None:
    assert find_metric("evaluate.auc", stages, []) == "evaluate.auc"
    assert find_metric("auc", stages, ["train.loss", "evaluate.auc"]) == "evaluate.auc"
    assert find_metric("auc", stages, ["gone.auc", "evaluate.auc"]) == "evaluate.auc"
    with pytest.raises(ConfigError, match="gone"):
        find_metric("gone.auc", stages, ["gone.auc"])
    assert find_metric("evaluate.f1", stages[1:], ["evaluate.f1"]) == "evaluate.f1"
    assert find_metric("f1", stages[1:], ["evaluate.f1"]) == "evaluate.f1"
    assert find_metric("train.loss", stages, ["train.other"]) == "train.loss"  # the code has it


@pytest.mark.parametrize(
    ("asked", "known", "said"),
    [
        ("f1", [], "write one of train.f1, evaluate.f1"),
        ("auc", ["train.auc", "evaluate.auc"], "write one of train.auc, evaluate.auc"),
        ("evaluate.acu", ["evaluate.auc"], "did you mean `evaluate.auc`?"),
        ("evalute.auc", [], "did you mean `evaluate`?"),
    ],
)
def test_a_metric_that_no_stage_records_is_refused(
    stages: tuple[Stage, ...], asked: str, known: list[str], said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        find_metric(asked, stages, known)
    assert said in str(caught.value)


def test_only_a_stage_with_plots_has_series(stages: tuple[Stage, ...]) -> None:
    assert find_series("loss", stages) == ("train", "plots/train/loss.csv")
    with pytest.raises(ConfigError, match="known: train"):
        find_series("evaluate.auc", stages)
    with pytest.raises(ConfigError, match="no stage has a port"):
        find_series("evaluate.auc", stages[1:])


def test_a_pruner_is_refused_where_no_series_has_the_name_of_the_metric(project: Project) -> None:
    plots = "from mlops_nb import Plots\nplots: Plots = 'plots/evaluate'\n"
    record = "scores = {'roc_auc': 1}\nrecord(validation=scores)\nrecord(loss=1)\n"
    steps = "record.step(1, roc=0.5, loss=2)\nfor step in ():\n    record.step(step, **scores)"
    write_notebook(project.pipeline / "20_evaluate.ipynb", EVALUATE + plots, record + steps)
    train = "record.step(1, loss=1)\nrecord(f1=1)"
    write_notebook(project.pipeline / "10_train.ipynb", TRAIN, train)
    space = ["train.rate=interval(0.1,1)"]
    for metric in ("evaluate.validation.roc_auc", "train.f1"):
        with pytest.raises(ConfigError) as caught:
            read_aim(project, space, metric, pruner="median")
        assert f"no stage records a series `{metric}`" in str(caught.value)
        assert "`--series`, of: evaluate.loss, evaluate.roc, train.loss" in str(caught.value)
    named = read_aim(project, space, "train.f1", pruner="median", series="roc")
    assert list(named.watch) == ["evaluate", "plots/evaluate/roc.csv"]
    same = read_aim(project, space, "evaluate.loss", direction="minimize", pruner="median")
    assert list(same.watch) == ["evaluate", "plots/evaluate/loss.csv"]


@pytest.mark.parametrize(
    ("code", "asked", "said"),
    [
        ("record(auc=0.9)", "evaluate.acu", "did you mean `evaluate.auc`?"),
        ("record(auc=0.9)", "evaluate.f1", "records no metric `f1`; did you mean `evaluate.auc`?"),
        ("record(**{'auc': 0.9})", "evaluate.f1", "records no metric `f1`"),
        ("record(by={day: 1 for day in days})", "evaluate.to.monday", "records no metric"),
    ],
)
def test_a_name_that_the_code_cannot_record_is_refused_before_any_run(
    project: Project, code: str, asked: str, said: str
) -> None:
    write_notebook(project.pipeline / "20_evaluate.ipynb", EVALUATE, code)
    with pytest.raises(ConfigError) as caught:
        find_metric(asked, read_stages(project), [])
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "code",
    [
        "scores = {}\nrecord(**scores)",
        "measure(record)\nrecord(auc=1)",
        "record(auc=1)\nopen(metrics, 'w').write('{}')",
        "from helper import measure\nmeasure()\nrecord(auc=1)",
        "%%bash\nmeasure",
    ],
)
def test_where_the_code_may_record_anything_there_is_a_doubt(project: Project, code: str) -> None:
    (project.root / "helper.py").write_text("from mlops_nb import record\nmeasure = record\n")
    write_notebook(project.pipeline / "20_evaluate.ipynb", EVALUATE, code)
    stages = read_stages(project)
    assert find_metric("evaluate.f1", stages, []) == "evaluate.f1"
    assert "nothing is known" in doubt_about("metric", "evaluate.f1", stages, [])
    assert doubt_about("metric", "evaluate.f1", stages, ["evaluate.f1"]) == ""


def test_a_name_in_the_code_tells_the_stage_and_a_series_is_looked_for_there_too(
    project: Project,
) -> None:
    path = project.pipeline / "10_train.ipynb"
    write_notebook(path, TRAIN, "record.step(1, loss=1)\nrecord(score=1)")
    write_notebook(project.pipeline / "20_evaluate.ipynb", EVALUATE, "record(auc=0.9)")
    stages = read_stages(project)
    assert find_metric("auc", stages, []) == "evaluate.auc"
    assert find_series("loss", stages) == ("train", "plots/train/loss.csv")
    with pytest.raises(ConfigError, match=r"no series `score`; did you mean|known: train.loss"):
        find_series("train.score", stages)


def test_a_direction_is_asked_for_where_the_name_suggests_the_other_one() -> None:
    assert checked_direction("evaluate.auc", None) == "maximize"
    assert checked_direction("evaluate.log_loss", "maximize") == "maximize"
    with pytest.raises(ConfigError, match="--direction minimize"):
        checked_direction("evaluate.log_loss", None)


RATE = Dimension("train.rate", "float", 0.0, 1.0)
DEPTH = Dimension("train.depth", "int", 1, 3, 1)


def test_a_grid_has_an_end() -> None:
    aim = Aim(Space((DEPTH, "train.rate=1")), "train.score", "maximize", 99, 0, sampler="grid")
    assert checked_aim(aim).trials == 3
    with pytest.raises(ConfigError, match="has no end of values"):
        checked_aim(replace(aim, space=Space((RATE,))))


# Series


@given(st.lists(st.tuples(st.integers(0, 10**7), st.floats(allow_nan=False))))
def test_points_are_told_in_rising_order_and_never_too_many(
    points: list[tuple[int, float]],
) -> None:
    told = told_points(points)
    assert [step for step, _ in told] == sorted({step for step, _ in told})
    assert set(told) <= set(points)
    assert sum(map(is_told, range(1000, 10_000))) == 900


@given(st.lists(st.floats(allow_nan=False), max_size=30), st.data())
def test_a_file_that_is_read_while_it_grows_gives_each_point_once(
    tmp_path_factory: pytest.TempPathFactory, values: list[float], data: Any
) -> None:
    path = tmp_path_factory.mktemp("tail") / "loss.csv"
    text = "step,loss\n" + "".join(f"{n},{value!r}\n" for n, value in enumerate(values))
    tail, seen, place = Tail(path), [], 0
    while place < len(text):
        place = data.draw(st.integers(place + 1, len(text)))
        path.write_text(text[:place])
        seen += tail.new()
    assert seen == list(enumerate(values))


@pytest.mark.parametrize("text", ["", "x\n", "step,loss\n1\n", "step,loss\na,b\n", "\n\n"])
def test_a_file_that_is_no_series_has_no_points(tmp_path: Path, text: str) -> None:
    (tmp_path / "loss.csv").write_text(text)
    assert Tail(tmp_path / "loss.csv").new() == []


# Searches


class Answering(Rehearsal):
    """A rehearsal whose runs are on record; `answer` returns state and metrics by overrides."""

    def __init__(self, project: Project, answer: Answer, day: int = 1, **how: Any) -> None:
        super().__init__(["train"], **how)
        self._store, self._answer, self._day = Store(project.runs), answer, f"201301{day:02}"
        self.began: dict[int, RunSpec] = {}
        self.cancelled: list[int] = []

    def submit(self, spec: RunSpec) -> None:
        super().submit(spec)
        self.began[spec.trial] = spec

    def wait(self) -> News:
        news = super().wait()
        if not news.run:
            return news
        news = replace(news, run=news.run.replace("20130101", self._day))
        if news.kind == "over":
            state, metrics = self._answer(self.began[news.trial].overrides)
            news = replace(news, state=news.state if news.state != "ok" else state)
            record: Any = Run(news.run, BEGAN, news.state, finished=BEGAN)  # type: ignore[arg-type]
            self._store.add(replace(record, metrics={"train": metrics if state == "ok" else {}}))
        return news

    def cancel(self, trial: int) -> None:
        super().cancel(trial)
        self.cancelled.append(trial)


def score(overrides: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Answer a trial by its overrides."""
    values = dict(override.split("=") for override in overrides)
    return "ok", {"score": -((float(values["train.rate"]) - 0.3) ** 2) - int(values["train.depth"])}


AIM = Aim(Space((RATE, DEPTH)), "train.score", "maximize", 24, seed=5)


def begun(project: Project, aim: Aim = AIM, **more: Any) -> Sweep:
    """Return a search without trials that is on the disk."""
    sweep = Sweep(new_id(), (), {}, (), search=aim.to_json(), **more)
    write_sweep(project, sweep)
    return sweep


def searched(
    project: Project, sweep: Sweep, executor: Rehearsal, interrupt_after: int | None = None
) -> Sweep:
    """Go on with a search until it is over or somebody presses Ctrl-C; return it as it is kept."""
    over = []

    def listen(news: News) -> None:
        over.extend([news] if news.kind == "over" else [])
        if len(over) == interrupt_after:
            os.kill(os.getpid(), signal.SIGINT)

    source = Search(
        aim_from_json(sweep.search),
        sweep.trials,
        Store(project.runs),
        " ".join,
        reuse=not sweep.force,
    )
    conduct(project, sweep, executor, listen, source)
    return read_sweep(project, sweep.id)


def asked(sweep: Sweep) -> list[Sequence[str]]:
    """Return what the trials were."""
    return [trial.overrides for trial in sweep.trials]


def test_a_search_finds_what_is_best(project: Project) -> None:
    done = searched(project, begun(project, jobs=2), executor := Answering(project, score))
    summary = summarize(project, done)
    assert [trial.state for trial in summary.trials] == ["ok"] * 24 and executor.most == 2
    assert summary.best and summary.best.value > -1.02
    values = [trial.metric for trial in summary.trials]
    assert summary.best.value == max(values) and values[summary.best.trial - 1] == max(values)
    least = replace(AIM, direction="minimize").to_json()
    worst = summarize(project, replace(done, search=least)).best
    assert worst and worst.value == min(values)


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_the_same_seed_asks_for_the_same_trials(project: Project, sampler: Any) -> None:
    space = Space((replace(RATE, step=0.25), DEPTH)) if sampler == "grid" else AIM.space
    aim = replace(AIM, sampler=sampler, trials=15, space=space)
    first, again, other = (
        asked(searched(project, begun(project, a), Answering(project, score, day)))
        for day, a in enumerate((aim, aim, replace(aim, seed=6)), 1)
    )
    assert first == again and len({tuple(one) for one in first}) == 15
    assert (first == other) == (sampler == "grid")


@pytest.mark.parametrize("after", [1, 11, 17])
def test_a_search_that_was_interrupted_goes_on_as_if_it_had_not_been(
    project: Project, after: int
) -> None:
    whole = searched(project, begun(project), Answering(project, score, 1))
    part = searched(project, begun(project), Answering(project, score, 2), interrupt_after=after)
    assert len(part.trials) == after
    resumed = searched(project, part, rest := Answering(project, score, 3))
    assert asked(resumed) == asked(whole) and min(rest.began) == after + 1
    assert summarize(project, resumed).best == replace(
        summarize(project, whole).best,  # type: ignore[type-var]
        run=summarize(project, resumed).best.run,  # type: ignore[union-attr]
    )


def test_the_trials_that_were_under_way_at_ctrl_c_are_run_again(project: Project) -> None:
    sweep = begun(project, jobs=3)
    part = searched(project, sweep, Answering(project, score, 1), interrupt_after=4)
    states = [trial.state for trial in summarize(project, part).trials]
    left = [number for number, state in enumerate(states, 1) if state == "cancelled"]
    assert left
    resumed = searched(project, part, rest := Answering(project, score, 2))
    assert set(left) <= set(rest.began) and asked(resumed)[: len(states)] == asked(part)
    assert {trial.state for trial in summarize(project, resumed).trials} == {"ok"}


def test_a_trial_that_fails_stops_nothing_and_is_not_tried_again(project: Project) -> None:
    def answer(overrides: Sequence[str]) -> tuple[str, dict[str, Any]]:
        return ("error", {}) if overrides[1] == "train.depth=2" else score(overrides)

    done = searched(project, begun(project), Answering(project, answer))
    states = [trial.state for trial in summarize(project, done).trials]
    assert len(states) == 24 and {"ok", "error"} == set(states)
    searched(project, done, rest := Answering(project, answer, 2))
    assert rest.began == {}


def test_a_config_that_comes_again_is_not_run_again(project: Project) -> None:
    aim = replace(AIM, space=Space((DEPTH, "train.rate=0.5")), trials=12)

    def answer(overrides: Sequence[str]) -> tuple[str, dict[str, Any]]:
        return "ok", {"score": int(overrides[0][-1])}

    done = searched(project, begun(project, aim), executor := Answering(project, answer))
    assert len(done.trials) == 12 and len(executor.began) == len({t.params for t in done.trials})
    assert {trial.state for trial in summarize(project, done).trials} == {"ok"}
    forced = Answering(project, answer, 2)
    searched(project, begun(project, aim, force=True), forced)
    assert len(forced.began) == 12


def test_a_search_whose_first_run_lacks_the_metric_stops_and_says_what_there_is(
    project: Project,
) -> None:
    executor = Answering(project, lambda overrides: ("ok", {"scores": 1}))
    with pytest.raises(RecordError, match=r"did you mean `train.scores`\?"):
        searched(project, begun(project), executor)
    assert len(executor.began) == 1


@pytest.mark.parametrize("value", [math.nan, math.inf, True, "high"])
def test_a_metric_that_is_no_finite_number_counts_as_a_failure(
    project: Project, value: Any
) -> None:
    executor = Answering(project, lambda overrides: ("ok", {"score": value}))
    done = searched(project, begun(project, replace(AIM, trials=3)), executor)
    assert len(done.trials) == 3 and summarize(project, done).best is None


def test_a_trial_that_is_worse_than_the_others_is_pruned(project: Project) -> None:
    values = {n: [0.1, 0.9, 0.8] for n in range(1, 12)} | {7: [0.0, 0.0], 9: [0.2, 0.3]}
    aim = replace(AIM, pruner="median", trials=11, watch=("train", "plots/train/score.csv"))
    executor = Answering(project, score, series=values)
    done = searched(project, begun(project, aim), executor)
    states = {t.number: t.state for t in summarize(project, done).trials if t.state != "ok"}
    assert states == {7: "pruned", 9: "pruned"} and executor.cancelled == [7, 9]
    pruned = done.trial(9).pruned
    assert pruned and pruned.points == ((0, 0.2), (1, 0.3)) and "at step 1" in pruned.why
    store = Store(project.runs)
    run, said = store.read(done.trial(9).runs[-1]), store.annotations(done.trial(9).runs[-1])
    assert isinstance(run, Run) and run.state == "cancelled"
    assert said.tags == {"pruned"} and pruned.why in said.note
    assert executor.began[1].watch == ("train", "plots/train/score.csv")
    searched(project, done, rest := Answering(project, score, 2))
    assert rest.began == {}


def test_a_run_that_ended_well_before_it_could_be_pruned_counts(project: Project) -> None:
    class Late(Answering):
        def cancel(self, trial: int) -> None:
            self.cancelled.append(trial)

    values = {n: [1.0] for n in range(1, 8)} | {7: [0.0, 0.0, 0.0]}
    aim = replace(AIM, pruner="median", trials=7, watch=("train", "plots/train/score.csv"))
    executor = Late(project, score, series=values)
    done = searched(project, begun(project, aim), executor)
    assert executor.cancelled == [7]
    assert {trial.state for trial in summarize(project, done).trials} == {"ok"}


def test_a_search_reads_back_equal_with_what_was_pruned(project: Project) -> None:
    sweep = begun(project)
    trial = Trial(1, ("train.rate=0.1", "train.depth=2"), "x", ("r",), Pruned("so", ((0, 0.5),)))
    document = json.loads(json.dumps(sweep.with_trial(trial).to_json()))
    assert sweep_from_json(document, "x") == replace(sweep, trials=(trial,))
    assert sweep.with_trial(trial).with_run(1, "s").trial(1).pruned is None


def test_a_search_that_goes_on_elsewhere_is_left_alone(project: Project) -> None:
    sweep = begun(project, replace(AIM, trials=3))
    refused: list[str] = []

    def again(news: News) -> None:
        if news.kind == "began" and not refused:
            with pytest.raises(PipelineError) as caught:
                searched(project, read_sweep(project, sweep.id), Answering(project, score, 2))
            refused.append(str(caught.value))

    source = Search(AIM, (), Store(project.runs), " ".join)
    conduct(project, sweep, Answering(project, score), again, source)
    assert "goes on in another process" in refused[0]
    with pytest.raises(PipelineError, match="went on in another process meanwhile"):
        searched(project, sweep, Answering(project, score, 3))
