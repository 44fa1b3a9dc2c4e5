import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_nb.core.project import Project
from mlops_nb.errors import PipelineError
from mlops_nb.notebook.document import Document
from mlops_nb.notebook.signature import Port, Signature
from mlops_nb.notebook.stage import Stage, read_stages
from mlops_nb.pipeline.dvcyaml import differences, render, sync

PROJECT = Project(Path("/nonexistent/flights"))


def notebook(path: Path, parameters: str) -> None:
    cells = [
        {"cell_type": "code", "source": source, "metadata": {"tags": tags}, "id": str(number)}
        for number, (source, tags) in enumerate(
            [("%load_ext mlops_nb", []), (parameters, ["parameters"])]
        )
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells})
    )


PORTS = "from mlops_nb import In, Out, Metrics, Plots\n"
FEATURES = PORTS + 'raw: In = "data/raw.csv"\ntable: Out = "data/table.parquet"'
TRAIN = (
    PORTS
    + 'table: In = "data/table.parquet"\nmodel: Out = "models/model.skops"\n'
    + 'metrics: Metrics = "metrics/train.json"\nplots: Plots = "plots/train"\nseed: int = 0'
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    notebook(project.pipeline / "20_features.ipynb", FEATURES)
    notebook(project.pipeline / "30_train.ipynb", TRAIN)
    return project


def text_of(project: Project) -> str:
    return render(project, read_stages(project), None)


WHOLE = """\
stages:
  plan:
    cmd: mlops-nb plan
    deps:
    - conf
    - nbs/pipeline
    - params.yaml
    params:
    - conf_sha
    outs:
    - plan.json: {cache: false}
    meta:
      mlops_nb: [conf, nbs/pipeline, params.yaml, plan.json]
  features:
    cmd: mlops-nb execute nbs/pipeline/20_features.ipynb
    deps:
    - data/raw.csv
    params:
    - plan.json: [code.features]
    outs:
    - data/table.parquet
    - reports/features.ipynb
    meta:
      mlops_nb: [data/raw.csv, data/table.parquet, reports/features.ipynb]
  train:
    cmd: mlops-nb execute nbs/pipeline/30_train.ipynb
    deps:
    - data/table.parquet
    params:
    - train
    - plan.json: [code.train]
    outs:
    - models/model.skops
    - reports/train.ipynb
    metrics:
    - metrics/train.json: {cache: false}
    plots:
    - plots/train: {x: step}
    meta:
      mlops_nb: [data/table.parquet, models/model.skops, reports/train.ipynb, metrics/train.json, \
plots/train]
"""


def test_the_whole_file(project: Project) -> None:
    assert text_of(project) == WHOLE


def test_the_plan_depends_on_the_modules_that_stages_import(project: Project) -> None:
    (project.root / "flights").mkdir()
    (project.root / "flights/__init__.py").write_text("")
    assert "    - flights\n" not in text_of(project)
    notebook(project.pipeline / "30_train.ipynb", "import flights\n" + TRAIN)
    assert "    - params.yaml\n    - flights\n" in text_of(project)


def test_sync_writes_once_and_says_what_it_did(project: Project) -> None:
    assert differences(project, read_stages(project)) == sync(project).differences != ()
    written = project.dvc_file.read_bytes()
    assert not sync(project).changed and project.dvc_file.read_bytes() == written


def test_what_people_wrote_survives_to_the_letter(project: Project) -> None:
    sync(project)
    by_hand = (
        project.dvc_file.read_text()
        .replace("stages:\n", "# our pipeline\nvars: [a.yaml]\nstages:\n", 1)
        .replace("    - train\n", "    - train   # its\n    - other.key\n    - more.yaml:\n")
        .replace("train:\n    cmd: ", "train:\n    desc: 'slow'\n    frozen: false\n    cmd: ", 1)
        .replace("- models/model.skops", "- models/model.skops: {persist: true}  # big")
        .replace("30_train.ipynb\n", "30_train.ipynb --timeout 600\n")
        .replace(
            "    - data/raw.csv\n", "    - uv.lock\n\n    # from outside\n    - data/raw.csv\n"
        )
        .replace("    meta:\n", "    meta:\n      owner: me\n")
        .replace("- metrics/train.json: {cache: false}", "- metrics/train.json")
        + "  publish:\n    cmd: echo done # by hand\n    deps: [models/model.skops]\n"
        + "\nplots:\n- plots/train/loss.csv: {y: loss}\n# the end\n"
    )
    project.dvc_file.write_text(by_hand)
    assert not sync(project).changed and project.dvc_file.read_text() == by_hand
    notebook(project.pipeline / "30_train.ipynb", TRAIN + '\nextra: In = "data/extra.csv"')
    assert sync(project).differences == ("train.deps lacks data/extra.csv",)
    after = project.dvc_file.read_text().splitlines()
    assert [line for line in by_hand.splitlines() if line not in after] == [
        line for line in by_hand.splitlines() if "mlops_nb: [data/table" in line
    ]


def test_a_port_that_is_gone_goes_and_what_was_added_stays(project: Project) -> None:
    sync(project)
    text = project.dvc_file.read_text()
    project.dvc_file.write_text(
        text.replace("    - data/raw.csv\n", "    - data/raw.csv\n    - uv.lock\n")
    )
    notebook(project.pipeline / "20_features.ipynb", PORTS + 'table: Out = "data/table.parquet"')
    assert sync(project).differences == ("features.deps still has data/raw.csv",)
    assert "    deps:\n    - uv.lock\n    params:" in project.dvc_file.read_text()


def test_a_port_of_another_kind_moves(project: Project) -> None:
    sync(project)
    changed = PORTS + 'raw: In = "data/raw.csv"\ntable: Metrics = "data/table.parquet"'
    notebook(project.pipeline / "20_features.ipynb", changed)
    sync(project)
    features = yaml.safe_load(project.dvc_file.read_text())["stages"]["features"]
    assert features["outs"] == ["reports/features.ipynb"]
    assert features["metrics"] == [{"data/table.parquet": {"cache": False}}]


def test_a_stage_that_loses_its_parameters_loses_its_section(project: Project) -> None:
    sync(project)
    notebook(project.pipeline / "30_train.ipynb", TRAIN.replace("\nseed: int = 0", ""))
    assert sync(project).differences == ("train.params still has train",)


@pytest.mark.parametrize(
    ("parameter", "keys"),
    [
        ("size: int = 1", ["train", "train.size"]),
        ("window: dict = {'size': 3, 'n': 1}", ["train", "train.window.size"]),
        ("sizes: list = [1, 2]", ["train"]),
    ],
)
def test_parameters_that_the_run_cache_skips_in_a_section_are_listed_by_key(
    project: Project, parameter: str, keys: list[str]
) -> None:
    sync(project)
    notebook(project.pipeline / "30_train.ipynb", TRAIN + "\n" + parameter)
    sync(project)
    params = yaml.safe_load(project.dvc_file.read_text())["stages"]["train"]["params"]
    assert params == [*keys, {"plan.json": ["code.train"]}]
    notebook(project.pipeline / "30_train.ipynb", TRAIN)
    sync(project)
    assert project.dvc_file.read_text() == text_of(project)


def test_what_cannot_be_listed_for_the_run_cache_is_refused(project: Project) -> None:
    notebook(project.pipeline / "30_train.ipynb", TRAIN + "\nlayers: list = [{'size': 3}]")
    with pytest.raises(PipelineError, match=r"`train.layers.size` would be overlooked"):
        sync(project)
    (project.pipeline / "30_train.ipynb").unlink()
    notebook(project.pipeline / "30_size.ipynb", TRAIN)
    with pytest.raises(PipelineError, match=r"`size` would be overlooked"):
        sync(project)


def test_a_notebook_that_is_gone_takes_its_stage_and_no_other(project: Project) -> None:
    sync(project)
    text = project.dvc_file.read_text() + "  again:\n    cmd: mlops-nb plan && echo\n"
    project.dvc_file.write_text(text)
    (project.pipeline / "30_train.ipynb").unlink()
    assert sync(project).differences == ("stage `train` has no notebook any more",)
    stages = yaml.safe_load(project.dvc_file.read_text())["stages"]
    assert list(stages) == ["plan", "features", "again"]


def test_a_notebook_with_another_number_keeps_its_stage(project: Project) -> None:
    sync(project)
    text = project.dvc_file.read_text().replace("30_train.ipynb", "30_train.ipynb --timeout 9")
    project.dvc_file.write_text(text)
    (project.pipeline / "30_train.ipynb").rename(project.pipeline / "40_train.ipynb")
    assert len(sync(project).differences) == 2
    new = text.replace("30_train.ipynb", "40_train.ipynb")
    assert project.dvc_file.read_text() == new


def test_a_new_notebook_stands_behind_the_one_before_it(project: Project) -> None:
    sync(project)
    notebook(project.pipeline / "25_select.ipynb", PORTS + 'best: Out = "data/best.csv"')
    assert sync(project).differences[0].startswith("stage `select` is missing")
    stages = yaml.safe_load(project.dvc_file.read_text())["stages"]
    assert list(stages) == ["plan", "features", "select", "train"]


def test_several_commands_in_a_stage_keep_their_places(project: Project) -> None:
    sync(project)
    text = project.dvc_file.read_text()
    command = "mlops-nb execute nbs/pipeline/30_train.ipynb"
    several = text.replace(f"cmd: {command}", f"cmd:\n    - nvidia-smi\n    - {command}")
    project.dvc_file.write_text(several)
    assert not sync(project).changed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stages:\n  train: [\n", "^dvc.yaml, line 3: not YAML"),
        (
            "stages:\n  plan: {}\n  plan: {}\n",
            "^dvc.yaml, line 3: not YAML .*`plan` is given twice",
        ),
        ("- a\n", "^dvc.yaml: not a mapping"),
        ("stages: [a]\n", "^dvc.yaml: `stages` is not a mapping"),
        ("stages:\n  train:\n    cmd: python train.py\n", "stage `train` runs `python train.py`"),
        ("stages:\n  train:\n    foreach: [1]\n    do: {cmd: a}\n", "`train` runs `no command`"),
        ("stages:\n  plan:\n    cmd: mlops-nb plan\n    deps: conf\n", "plan.deps is not a list"),
        ("stages:\n  plan:\n    cmd: mlops-nb plan\n    meta: x\n", "plan.meta is not a mapping"),
    ],
)
def test_a_file_that_is_no_pipeline_is_refused_and_kept(
    project: Project, text: str, message: str
) -> None:
    project.dvc_file.write_text(text)
    with pytest.raises(PipelineError, match=message) as caught:
        sync(project)
    assert "\n" not in str(caught.value) and project.dvc_file.read_text() == text


def stage(name: str, *ports: Port) -> Stage:
    where = f"nbs/pipeline/{name}.ipynb"
    return Stage(name, where, Document(Path(where), (), "", "r"), Signature(where, (), ports))


paths = st.sampled_from("abcdefgh").map(lambda letter: f"data/{letter}")
port_sets = st.lists(paths, unique=True, max_size=6).map(
    lambda found: tuple(
        Port(path, kind, path, 1)  # type: ignore[arg-type]
        for path, kind in zip(found, ["in", "out", "metrics", "plots", "in", "out"], strict=False)
    )
)
names = st.text("klmnop_", min_size=1, max_size=6)
values = st.one_of(names, st.integers(0, 9), st.lists(names, max_size=3))


@settings(max_examples=50)
@given(
    port_sets, port_sets, st.dictionaries(names, values, max_size=3), st.lists(names, max_size=3)
)
def test_hand_added_keys_and_entries_survive_any_change_of_ports(
    before: tuple, after: tuple, keys: dict[str, Any], deps: list[str]
) -> None:
    first = yaml.safe_load(render(PROJECT, [stage("train", *before)], None))
    body = first["stages"]["train"]
    body["deps"] = [*body.get("deps", []), *deps]
    body |= keys
    first |= keys
    edited = yaml.dump(first, sort_keys=False)
    result = render(PROJECT, [stage("train", *after)], edited)
    assert render(PROJECT, [stage("train", *after)], result) == result
    data = yaml.safe_load(result)
    train = data["stages"]["train"]
    assert {key: train[key] for key in keys} == keys == {key: data[key] for key in keys}
    added = set(deps) | {port.path for port in after if port.kind == "in"}
    assert set(train.get("deps", [])) == added
    pristine = yaml.safe_load(render(PROJECT, [stage("train", *after)], None))["stages"]["train"]
    for key in ("outs", "metrics", "plots"):
        entries = train.get(key, [])
        assert sorted(map(str, entries)) == sorted(map(str, pristine.get(key, [])))
