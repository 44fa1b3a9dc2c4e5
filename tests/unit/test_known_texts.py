"""What a process that knows a pipeline's texts reads and writes is what DVC reads and writes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dvc.dvcfile
import pytest
from dvc.dvcfile import Lockfile, ProjectFile
from dvc.utils import strictyaml
from dvc.utils.serialize import YAMLFileCorruptedError, _yaml, dumps_yaml, load_yaml, modify_yaml
from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.pipeline import known_texts
from mlops_nb.pipeline.known_texts import know_lock, know_texts

PLAIN = (
    "schema: '2.0'\nstages:\n  fit:\n    cmd: python fit.py\n    deps:\n    - path: data.csv\n"
    "      hash: md5\n      md5: 0a1b2c3d4e5f60718293a4b5c6d7e8f9\n      size: 12\n"
)
WITH_COMMENT = PLAIN + "# by hand\n"
ODDLY_WRITTEN = (
    PLAIN.replace("size: 12", "size: 0x0C")
    .replace("cmd: python", 'cmd: "python')
    .replace("fit.py\n", 'fit.py"\n')
)

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
NAMES = st.text(min_size=1) | st.sampled_from(["1e3", "on", "0o17", "null", "~", "1.103", "a b"])
VALUES = st.recursive(
    LEAVES | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(autouse=True)
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Be a process that knows no text yet."""
    monkeypatch.setattr(known_texts, "_READ", {})
    monkeypatch.setattr(known_texts, "_PLAIN", {})
    monkeypatch.setattr(strictyaml, "load", strictyaml.load)
    monkeypatch.setattr(_yaml, "parse_yaml", _yaml.parse_yaml)
    monkeypatch.setattr(dvc.dvcfile, "modify_yaml", modify_yaml)
    know_texts()
    yield


def written(path: Path, text: str, change: Any, modify: Any) -> str:
    """Return what is in the file after `modify` has put `change` where `text` was."""
    path.write_text(text, encoding="utf-8")
    with modify(path) as data:
        data.setdefault("stages", {})["new"] = change
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("text", [PLAIN, WITH_COMMENT, ODDLY_WRITTEN, ""])
def test_a_lock_is_written_in_the_letters_of_dvc(tmp_path: Path, text: str) -> None:
    path, change = tmp_path / "dvc.lock", {"params": {"params.yaml": {"rate": 1e-3, "on": "1e3"}}}
    path.write_text(text)
    know_lock(path)
    assert bool(known_texts._PLAIN) == (text == PLAIN)
    ours = written(path, text, change, dvc.dvcfile.modify_yaml)
    assert ours == written(path, text, change, modify_yaml)
    assert ours == written(path, text, change, dvc.dvcfile.modify_yaml)  # also the second time


@given(st.dictionaries(NAMES, VALUES, max_size=4), VALUES)
def test_any_lock_is_written_in_the_letters_of_dvc(
    tmp_path_factory: pytest.TempPathFactory, stages: Any, change: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.lock"
    text = dumps_yaml({"schema": "2.0", "stages": stages})
    path.write_text(text, encoding="utf-8")
    know_lock(path)
    ours = written(path, text, change, dvc.dvcfile.modify_yaml)
    assert ours == written(path, text, change, modify_yaml)


def test_a_comment_in_a_lock_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "dvc.lock"
    assert "# by hand" in written(path, WITH_COMMENT, {"cmd": "x"}, dvc.dvcfile.modify_yaml)


def test_what_was_read_is_read_again_and_is_nobody_elses(tmp_path: Path) -> None:
    path = tmp_path / "dvc.lock"
    path.write_text(PLAIN)
    first, text = strictyaml.load(str(path), Lockfile.SCHEMA)
    first["stages"].clear()
    assert text == PLAIN
    assert strictyaml.load(str(path), Lockfile.SCHEMA)[0]["stages"].keys() == {"fit"}


def test_a_file_that_has_changed_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "dvc.yaml"
    for name in ("fit", "judge"):
        path.write_text(f"stages:\n  {name}:\n    cmd: 'true'\n")
        assert strictyaml.load(str(path), ProjectFile.SCHEMA)[0]["stages"].keys() == {name}


def test_parameters_are_read_again_when_they_have_changed(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    for rate in (1, 2):
        path.write_text(f"train: {{rate: {rate}}}\n")
        for _ in range(2):
            read = load_yaml(path)
            assert read == {"train": {"rate": rate}}
            read["train"].clear()
    path.write_text("train: {")
    for _ in range(2):
        with pytest.raises(YAMLFileCorruptedError):
            load_yaml(path)


@pytest.mark.parametrize(
    "text", ["stages: [", "stages:\n  fit: {}\n", "stages:\n  fit: {cmd: 3}\n"]
)
def test_what_is_no_pipeline_is_refused_every_time(tmp_path: Path, text: str) -> None:
    path = tmp_path / "dvc.yaml"
    path.write_text(text)
    for _ in range(2):
        with pytest.raises((strictyaml.YAMLSyntaxError, strictyaml.YAMLValidationError)):
            strictyaml.load(str(path), ProjectFile.SCHEMA)


def test_what_is_no_text_is_refused_by_dvc(tmp_path: Path) -> None:
    path = tmp_path / "dvc.yaml"
    path.write_bytes(b"stages: \xff\n")
    with pytest.raises(Exception, match="utf-8"):
        strictyaml.load(str(path), ProjectFile.SCHEMA)
