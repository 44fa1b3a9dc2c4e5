"""Hydra composes what DVC would, and every mistake is one line before anything runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra

from mlops_nb.config.compose import compose
from mlops_nb.config.config import make_config, read_conf_sha, read_config, read_section
from mlops_nb.config.schema import Recipe, omegaconf_type
from mlops_nb.core.project import Project
from mlops_nb.errors import ConfigError, InvalidParameter, MlopsNbError, UsageError
from mlops_nb.notebook.stage import find_stage, read_stages
from mlops_nb.notebook.values import bind

REPOSITORY = Path(__file__).parents[2]
Builder = Callable[..., Project]
TRAIN = """
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Literal

from mlops_nb import In, Secret

class Mode(Enum):
    FAST = "fast"
    SLOW = "slow"

@dataclass
class Optimizer:
    rate: float = 0.1
    tags: list[str] = field(default_factory=list)

features: In = "data/x"
family: Literal["mean", "median"] = "mean"
rows: int = 10
half: int = rows // 2
rate: float = 1e-05
depth: int | None = None
day: date = date(2013, 1, 1)
where: Path = Path("a b")
mode: Mode = Mode.FAST
optimizer: Optimizer = Optimizer()
names: list[str] = ["on", "1e5", "żółć"]
sizes: tuple[int, ...] = (1, 2)
weights: dict[str, float] = {"a": 0.5}
classes: dict[int, str] = {1: "a"}
token: Secret | None = None
items: int = 3
pattern: str = "${HOME} 100%"
anything = None
"""
CONFIG = "defaults:\n  - stages\n  - train: mean\n  - _self_\n"
CONF = {
    "config.yaml": CONFIG,
    "train/mean.yaml": "family: mean\n",
    "train/median.yaml": "family: median\ndepth: 4\n",
}


@pytest.fixture
def project(build: Builder, tmp_path: Path) -> Project:
    return build(tmp_path, {"30_train": TRAIN, "40_evaluate": ""}, CONF)


def test_the_defaults_of_the_notebooks_are_the_ground(project: Project) -> None:
    config = compose(project=project)
    stages = read_stages(project)
    train = find_stage(stages, "train")
    assert dict(config["train"]) == {p.name: p.default for p in train.configured}
    assert (
        config.to_dict()["evaluate"] == {} and config.conf_sha == Recipe(project.conf, stages).sha
    )
    bind(train.signature, config["train"])


@pytest.mark.parametrize(
    ("override", "name", "value"),
    [
        ("train=median", "depth", 4),
        ("train.depth=null", "depth", None),
        ("train.rate=1", "rate", 1.0),
        ("train.rate=1e-3", "rate", 1e-3),
        ("train.day=2024-02-29", "day", "2024-02-29"),
        ("train.mode=slow", "mode", "slow"),
        ("train.optimizer.rate=0.5", "optimizer", {"rate": 0.5, "tags": []}),
        ("train.names=[a,007]", "names", ["a", "007"]),
        ("train.sizes=[1,2,3]", "sizes", [1, 2, 3]),
        ("+train.weights.b=2", "weights", {"a": 0.5, "b": 2}),
        ("+train.classes.2=b", "classes", {1: "a", "2": "b"}),  # it arrives as 2
        ("train.token=env:TOKEN", "token", "env:TOKEN"),
        ("train.pattern=007", "pattern", "007"),
        ("train.pattern='1e5'", "pattern", "1e5"),
        ("train.anything={a: [1, null]}", "anything", {"a": [1, None]}),
        ("+train.half=3", "half", 3),
        ("++train.rows=4", "rows", 4),
    ],
)
def test_an_override_becomes_a_typed_value(
    project: Project, override: str, name: str, value: object
) -> None:
    assert compose(override, project=project)["train"][name] == value


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.rowz=3", "no key `train.rowz`; did you mean `rows`?"),
        ("trian.rows=3", "no key `trian`; did you mean `train`?"),
        ("trian=mean", "no key `trian`; did you mean `train`?"),
        ("train=media", "group `train` has no option `media`; did you mean `median`?"),
        ("train.optimizer.rat=1", "did you mean `rate`?"),
        ("train.weights={b: 1}", "add a key of a mapping with `+train.weights.b=...`"),
        ("train.half=3", "override it with `+train.half=...`"),
        ("+train.foo=1", "no parameter `foo`"),
        ("+other.x=1", "section `other` belongs to no stage"),
        ("evaluate.x=1", "none is declared"),
        ("train.rows=abc", "`train.rows`: Value 'abc'"),
        ("train.rows=1.5", "`train.rows`: Value '1.5'"),
        ("train.rows=true", "`train.rows`: Value 'True'"),
        ("train.rows=", "`train.rows`: Value ''"),
        ("train.depth=None", "no value is written `null`"),
        ("train.pattern=true", "parameter `pattern` is True; expected str"),
        ("train.pattern=null", "parameter `pattern` is None; expected str"),
        ("train.family=mode", "expected one of mean, median"),
        ("train.day=2013-13-01", "expected date"),
        ("train.optimizer=null", "expected Optimizer"),
        ("train.names=[1]", "expected list[str]"),
        ("~train.rows", "a section holds all parameters"),
        ("conf_sha=abc", "`conf_sha` is worked out"),
        ("train.rows=1,2", "one value for each key"),
        ("train.rows=choice(1,2)", "one value for each key"),
        ("train.rows=range(1,3)", "one value for each key"),
        ("train=mean,median", "one value for each key"),
        ("train.rows=${train.nope}", "refer to a key that is there"),
        ("train.rows=${oc.env:NOT_SET_ANYWHERE}", "NOT_SET_ANYWHERE"),
        ("train.rows", "write `key=value`"),
        ("=3", "write `key=value`"),
        ("train..rows=1", "`train..rows=1` is no override"),
        ("train.rows=[1", "write `key=value`"),
        ("größe=1", "`größe=1` is no override"),
        ("train=mean train.rows=3", "write `key=value`"),
        ("-m", "`-m` is no override: it has no `=`"),
        ("train@foo=mean", "Could not override 'train@foo'"),
        ("", "write `key=value`"),
        ("train.hidden=[1", "`train.hidden=[1` is no override: a bracket is not closed"),
        ("train.family='forest", "is no override: a quote is not closed"),
        ("wine=median", "no key `wine`; did you mean `train=median`?"),
        ("rows=3", "no key `rows`; did you mean `train.rows`?"),
        ("tran.rows=3", "did you mean `train`?"),
        ("wine=3", "no key `wine`; sections are evaluate, train; groups are `train`"),
    ],
)
def test_a_mistaken_override_is_one_line(project: Project, override: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        compose(override, project=project)
    message = str(caught.value)
    assert said in message and len(message.splitlines()) == 1
    assert caught.value.hint and caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("config.yaml", CONFIG + "train:\n  rowz: 3\n", "conf/config.yaml: no key `train.rowz`"),
        ("config.yaml", CONFIG + "trian:\n  rows: 3\n", "did you mean `train`?"),
        ("config.yaml", CONFIG + "train:\n  rows: abc\n", "conf/config.yaml: `train.rows`"),
        ("config.yaml", CONFIG + "train:\n  pattern: on\n", "is True; expected str"),
        ("config.yaml", CONFIG + "train:\n  rows: [1\n", "conf/config.yaml, line 7: not YAML"),
        ("config.yaml", CONFIG + "train:\n  rows: ${nothing}\n", "key 'nothing' not found"),
        ("config.yaml", CONFIG + "train:\n  rows: ${train.family}\n", "`train.rows`"),
        ("config.yaml", CONFIG + "train:\n  rows: ${train.rows}\n", "ecursive"),
        ("config.yaml", CONFIG + "train:\n  pattern: ${unclosed\n", "`train.pattern`"),
        ("config.yaml", CONFIG + "train:\n  rows: ${nope:1}\n", "interpolation type nope"),
        ("config.yaml", CONFIG + "shared: 3\n", "`shared`"),
        ("config.yaml", CONFIG.replace("mean", "nope"), "no option `nope`"),
        ("config.yaml", CONFIG.replace("train: mean", "model: x"), "no file `model/x.yaml`"),
        ("config.yaml", CONFIG.replace("train: mean", "train: ???"), "must specify 'train'"),
        ("config.yaml", CONFIG.replace("  - stages\n", ""), "write `- stages` as the first"),
        ("config.yaml", "defaults:\n  - _self_\n  - stages\n", "write `- stages` as the first"),
        ("config.yaml", "defaults:\n  - train: mean\n  - stages\n", "write `- stages`"),
        ("config.yaml", "defaults: stages\n", "write `- stages` as the first"),
        ("config.yaml", "defaults: {a: b}\n", "write `- stages` as the first"),
        ("config.yaml", "train:\n  rows: 3\n", "write `- stages` as the first"),
        ("config.yaml", "", "write `- stages` as the first"),
        ("config.yaml", "- a\n", "write `- stages` as the first"),
        ("train/mean.yaml", "famly: mean\n", "conf/train/mean.yaml: no key `train.famly`"),
        ("train/mean.yaml", "rows: x\n", "conf/train/mean.yaml: `train.rows`"),
        ("train/mean.yaml", "rows: [1\n", '"conf/train/mean.yaml", line 1'),
        ("train/mean.yaml", "rows: 1\nrows: 2\n", "duplicate key rows"),
        ("train/mean.yaml", "- a\n", "conf/train/mean.yaml: Merge error"),
        ("train/mean.yaml", b"family: \xff\n", "conf/train/mean.yaml cannot be read"),
    ],
)
def test_a_mistaken_conf_is_one_line(
    project: Project, file: str, text: str | bytes, said: str
) -> None:
    (project.conf / file).write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(UsageError) as caught:
        compose(project=project)
    message = str(caught.value)
    assert said in message and len(message.splitlines()) == 1
    assert caught.value.hint and caught.value.exit_code == 2


@pytest.mark.parametrize(
    "text", ["hunter2", "{a: hunter2}", "${oc.env:HUNTER}", "31415926", "[hunter2]"]
)
def test_a_secret_in_conf_is_refused_and_not_repeated(
    project: Project, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUNTER", "hunter2")
    (project.conf / "config.yaml").write_text(f"{CONFIG}train:\n  token: {text}\n")
    with pytest.raises(UsageError) as caught:
        compose(project=project)
    assert "token" in str(caught.value)
    assert "hunter2" not in str(caught.value) and "31415926" not in str(caught.value)


def test_a_required_parameter_is_missed_until_conf_gives_it(build: Builder, tmp_path: Path) -> None:
    project = build(tmp_path, {"10_a": "must: int"}, {"config.yaml": "defaults: [stages, _self_]"})
    with pytest.raises(UsageError, match="parameter `must` has no value"):
        compose(project=project)
    assert compose("a.must=3", project=project).a.must == 3


def test_a_default_that_does_not_fit_names_its_notebook(build: Builder, tmp_path: Path) -> None:
    conf = {"config.yaml": "defaults: [stages, _self_]"}
    project = build(tmp_path, {"10_a": "rows: int = None"}, conf)
    with pytest.raises(InvalidParameter, match=r"^nbs/pipeline/10_a.ipynb: parameter `rows`"):
        compose(project=project)


def test_shared_values_are_referred_to_and_overridden(project: Project) -> None:
    text = CONFIG + "shared:\n  seed: 3\ntrain:\n  rows: ${shared.seed}\n"
    (project.conf / "config.yaml").write_text(text)
    assert compose(project=project).train.rows == 3
    assert compose("shared.seed=4", project=project).to_dict()["shared"] == {"seed": 4}


def test_mappings_of_conf_add_to_the_default(project: Project) -> None:
    (project.conf / "train" / "mean.yaml").write_text("weights: {b: 1}\nclasses: {2: c}\n")
    train = compose(project=project)["train"]
    assert train["weights"] == {"a": 0.5, "b": 1} and train["classes"] == {1: "a", 2: "c"}


def test_composing_again_sees_edited_notebooks_and_conf(project: Project, build: Builder) -> None:
    first = compose(project=project)
    edited = TRAIN.replace("rows: int = 10", "rows: int = 11\nnew: int = 1")
    build(project.root, {"30_train": edited}, {})
    second = compose("train.new=2", project=project)
    (project.conf / "train" / "mean.yaml").write_text("rows: 12\n")
    third = compose(project=project)
    assert [c.train.rows for c in (first, second, third)] == [10, 11, 12]
    assert second.train.new == 2 and len({c.conf_sha for c in (first, second, third)}) == 3


def test_copies_that_jupyterlab_keeps_are_no_config(project: Project) -> None:
    before = Recipe(project.conf, read_stages(project)).sha
    copies = project.conf / "train" / ".ipynb_checkpoints"
    copies.mkdir()
    (copies / "mean-checkpoint.yaml").write_text("family: old\n")
    assert Recipe(project.conf, read_stages(project)).sha == before


def test_two_projects_are_composed_in_one_process(build: Builder, tmp_path: Path) -> None:
    conf = {"config.yaml": "defaults: [stages, _self_]"}
    one = build(tmp_path / "one", {"10_a": "x: int = 1"}, conf)
    two = build(tmp_path / "two", {"10_b": "y: int = 2"}, conf)
    for _ in range(2):
        assert compose(project=one).to_dict() == {"a": {"x": 1}}
        assert compose(project=two).to_dict() == {"b": {"y": 2}}


def test_it_works_beside_the_callers_own_hydra(project: Project, tmp_path: Path) -> None:
    other = tmp_path / "own"
    other.mkdir()
    (other / "mine.yaml").write_text("a: 1\n")
    with hydra.initialize_config_dir(str(other), version_base="1.2"):
        compose(project=project)
        assert hydra.compose("mine") == {"a": 1}
        with pytest.raises(ConfigError):
            compose("train.rowz=1", project=project)
        assert hydra.compose("mine", overrides=["a=2"]) == {"a": 2}
    assert not GlobalHydra.instance().is_initialized()
    compose(project=project)
    assert not GlobalHydra.instance().is_initialized()


def test_what_is_written_is_what_was_composed(project: Project) -> None:
    config = compose("train=median", "train.token=env:T", project=project)
    project.params_file.write_text(config.text)
    stages = read_stages(project)
    assert read_config(project, stages) == config
    assert dict(read_section(project, stages[0])) == dict(config["train"])
    assert read_conf_sha(project) == config.conf_sha


def test_what_a_config_hands_out_changes_no_config(project: Project) -> None:
    config = compose(project=project)
    config.train.names.append("off")
    config["train"]["weights"]["b"] = 1.0
    config.to_dict()["train"]["names"].clear()
    assert config.train.names == ["on", "1e5", "żółć"] and config.train.weights == {"a": 0.5}


def test_a_config_is_frozen_and_knows_its_sections(project: Project) -> None:
    config = compose(project=project)
    with pytest.raises(AttributeError, match="did you mean `train`"):
        config.trian  # noqa: B018
    with pytest.raises(AttributeError, match="frozen"):
        config.train.rows = 3  # type: ignore[misc]
    with pytest.raises(TypeError):
        config["train"]["rows"] = 3  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "params.yaml is missing; run `mlops-nb compose --write`"),
        (b"\xff", "params.yaml cannot be read"),
        (b"", "not a config"),
        (b"- 1\n", "not a config"),
        (b"evaluate: {}\n", "no section `train`"),
        (b"train: 3\nevaluate: {}\n", "section `train` is not a mapping"),
        (b"train: {rowz: 1}\nevaluate: {}\n", "no parameter `rowz`; did you mean `rows`"),
        (b"train: {rows: '1'}\nevaluate: {}\n", "parameter `rows` is '1'; expected int"),
        (b"train: {}\nevaluate: {}\nold: {}\n", "section `old` belongs to no stage"),
        (b"train: {}\ntrain: {}\n", "line 2: not YAML (key `train` is given twice)"),
    ],
)
def test_a_broken_params_file_is_one_line(project: Project, text: bytes | None, said: str) -> None:
    if text is not None:
        project.params_file.write_bytes(text)
    with pytest.raises(UsageError) as caught:
        read_config(project, read_stages(project))
    assert said in str(caught.value) and len(str(caught.value).splitlines()) == 1
    assert caught.value.exit_code == 2 and caught.value.hint


def test_other_sections_do_not_matter_to_a_stage(project: Project) -> None:
    project.params_file.write_text("train: {rows: 5}\nevaluate: 3\n")
    assert read_section(project, read_stages(project)[0])["rows"] == 5


def test_hydra_checks_what_it_can(project: Project) -> None:
    train = find_stage(read_stages(project), "train")
    types = {p.name: omegaconf_type(p.type) for p in train.configured}
    assert types["rows"] is int and types["depth"] == int | None and types["rate"] is float
    assert types["sizes"] == list[int] and types["pattern"] is Any


def test_an_empty_project_has_an_empty_config(build: Builder, tmp_path: Path) -> None:
    project = build(tmp_path, {}, {"config.yaml": "defaults: [stages, _self_]"})
    config = compose(project=project)
    assert config.to_dict() == {} == make_config(config.text, (), "params.yaml").to_dict()


DVC = """
import json, sys
from dvc.utils.hydra import compose_and_dump
conf, output, overrides = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
try:
    compose_and_dump(output, conf, None, "config", sys.argv[4], overrides)
except Exception as error:
    sys.exit(f"refused: {error}")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["train=median", "train.rate=1e-20", "train.names=[on,'1e-05',2024-01-01,'']"],
        ["+train.half=3", "+train.weights.b=1e16", "train.anything={a: [1, null]}"],
        ["shared.seed=7", "train.pattern='a: b #c'", "train.day=2024-01-01"],
    ],
)
def test_dvc_writes_the_same_bytes(project: Project, overrides: list[str]) -> None:
    text = CONFIG + "shared:\n  seed: 3\ntrain:\n  rows: ${shared.seed}\n"
    (project.conf / "config.yaml").write_text(text)
    done = run_dvc(project, overrides)
    assert done.returncode == 0, done.stderr
    written = (project.root / "dvc-params.yaml").read_bytes()
    assert written == compose(*overrides, project=project).text.encode()


@pytest.mark.slow
@pytest.mark.parametrize("override", ["train.rowz=1", "train.rows=abc", "train=nope"])
def test_dvc_refuses_what_we_refuse(project: Project, override: str) -> None:
    with pytest.raises(UsageError):
        compose(override, project=project)
    done = run_dvc(project, [override])
    assert done.returncode == 1 and "refused" in done.stderr


APP = """
import hydra

with hydra.initialize_config_dir({conf!r}, version_base=None):
    print(hydra.compose("mine"))
"""


@pytest.mark.slow
def test_a_broken_notebook_stops_only_who_asks_for_the_schema(project: Project) -> None:
    (project.pipeline / "90_broken.ipynb").write_text("{")
    own = project.root / "own"
    own.mkdir()
    (own / "mine.yaml").write_text("a: 1\n")

    stranger = run_python(project, APP.format(conf=str(own)))
    assert (stranger.returncode, stranger.stdout) == (0, "{'a': 1}\n"), stranger.stderr

    with pytest.raises(UsageError, match=r"90_broken.ipynb: truncated or broken JSON"):
        compose(project=project)
    dvc = run_dvc(project, [])
    assert dvc.returncode == 1 and "Could not load 'stages'" in dvc.stderr
    assert "90_broken.ipynb: truncated or broken JSON" in dvc.stderr


def run_dvc(project: Project, overrides: list[str]) -> subprocess.CompletedProcess[str]:
    """Compose as `dvc exp run -S` does, in a process that finds `hydra_plugins` on its path."""
    arguments = [str(project.conf), "dvc-params.yaml", json.dumps(overrides), "hydra_plugins"]
    return run_python(project, DVC, *arguments)


def run_python(project: Project, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program at the project's root, with `hydra_plugins` on its path."""
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=project.root,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY), "HOME": str(project.root)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_list_of_overrides_is_refused_with_the_right_way_to_write_it(project: Project) -> None:
    with pytest.raises(ConfigError, match=r"an override is a text.*compose\('train=forest'"):
        compose(["train.seed=3"], project=project)  # type: ignore[arg-type]


def test_what_is_wrong_with_a_notebook_is_said_once(
    project: Project, build: Builder, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    build(project.root, {"30_train": 'seed: int = "x"'}, {})
    monkeypatch.chdir(project.root)
    with pytest.raises(MlopsNbError):
        compose(project=project)
    assert "no schema" not in caplog.text
