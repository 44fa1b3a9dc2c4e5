"""A model archive depends on the model alone, and reading one trusts nothing by accident."""

import os
import subprocess
import sys
import zipfile
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from mlops_nb.errors import MissingExtra, ModelError
from mlops_nb.models import archive
from mlops_nb.models.archive import load_model, save_model

FAMILIES = ("logistic", "forest", "trees", "boosting", "mlp")


def flights() -> tuple[pd.DataFrame, np.ndarray]:
    random = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "distance": random.normal(size=300),
            "wind": random.normal(size=300),
            "carrier": pd.Categorical(random.choice(["UA", "AA", "DL"], 300)),
            "origin": pd.Categorical(random.choice(["JFK", "EWR", "LGA"], 300)),
        }
    )
    rows.loc[::7, "wind"] = np.nan
    return rows, random.random(300) < 0.3


def fitted(family: str) -> BaseEstimator:
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["distance", "wind"]),
        (OneHotEncoder(handle_unknown="ignore"), ["carrier"]),
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["origin"]),
    )
    if family == "boosting":
        model = HistGradientBoostingClassifier(
            max_iter=10,
            random_state=0,
            categorical_features="from_dtype",
            interaction_cst=[{0, 1}, {1, 2, 3}],
        )
    else:
        last = {
            "logistic": LogisticRegression(),
            "forest": RandomForestClassifier(10, random_state=0, n_jobs=2),
            "trees": GradientBoostingClassifier(n_estimators=5, random_state=0),
            "mlp": MLPClassifier((8,), max_iter=10, random_state=0, early_stopping=True),
        }[family]
        model = make_pipeline(columns, last)
    return model.fit(*flights())


def test_two_archives_of_one_object_are_equal(tmp_path: Path) -> None:
    model = {"names": {"carrier", "origin", "wind"}, "shared": np.arange(5), "raw": b"bytes"}
    paths = [save_model(model, tmp_path / name) for name in ("a.skops", "b.skops")]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_an_array_used_twice_is_one_array_after_loading(tmp_path: Path) -> None:
    shared = np.arange(5)
    loaded = load_model(save_model({"a": shared, "b": shared, "c": shared.copy()}, tmp_path / "m"))
    assert loaded["a"] is loaded["b"] and loaded["a"] is not loaded["c"]
    np.testing.assert_array_equal(loaded["a"], loaded["c"])


def test_keys_that_look_like_the_schema_survive(tmp_path: Path) -> None:
    model = {"__loader__": "SetNode", "__id__": 7, "file": "a.npy", "content": [2, 1], 3: {1, 2}}
    assert load_model(save_model(model, tmp_path / "m")) == model


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("family", FAMILIES)
def test_the_loaded_model_predicts_the_same_and_saves_to_the_same_bytes(
    family: str, tmp_path: Path
) -> None:
    model, (rows, _) = fitted(family), flights()
    path = save_model(model, tmp_path / "first.skops")
    loaded = load_model(path)
    np.testing.assert_array_equal(loaded.predict_proba(rows), model.predict_proba(rows))
    assert save_model(loaded, tmp_path / "second.skops").read_bytes() == path.read_bytes()


@pytest.mark.slow
def test_every_process_writes_the_same_bytes(tmp_path: Path) -> None:
    script = (
        "import sys, importlib.util as u\n"
        "spec = u.spec_from_file_location('models_under_test', sys.argv[1])\n"
        "module = u.module_from_spec(spec); spec.loader.exec_module(module)\n"
        "junk = [object() for _ in range(int(sys.argv[3]))]\n"
        "for family in module.FAMILIES:\n"
        "    module.save_model(module.fitted(family), f'{sys.argv[2]}/{family}.skops')\n"
        "sets = {'names': set('abcdef'), 'more': frozenset('xyz')}\n"
        "module.save_model(sets, sys.argv[2] + '/s')\n"
    )
    for seed in ("1", "2"):
        (tmp_path / seed).mkdir()
        subprocess.run(
            [sys.executable, "-c", script, __file__, str(tmp_path / seed), seed * 4],
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
    for name in [*(f"{family}.skops" for family in FAMILIES), "s"]:
        first, second = (tmp_path / seed / name for seed in ("1", "2"))
        assert first.read_bytes() == second.read_bytes(), name


def test_an_untrusted_type_is_named_and_loads_only_when_named(tmp_path: Path) -> None:
    path = save_model(Counter("abca"), tmp_path / "m.skops")
    with pytest.raises(ModelError, match=r"collections\.Counter") as caught:
        load_model(path)
    assert "trusted=" in caught.value.hint
    assert load_model(path, trusted=["collections.Counter"]) == Counter("abca")


def test_the_allow_list_holds_only_names_that_exist() -> None:
    for name in archive.TRUSTED:
        module, _, attribute = name.rpartition(".")
        assert hasattr(__import__(module, fromlist=[attribute]), attribute), name
        assert module.split(".")[0] in ("sklearn", "numpy", "functools"), name


@pytest.mark.parametrize("content", [b"", b"\x80\x04K\x01.", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_archive_is_one_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="not a readable skops archive"):
        load_model(path)


def test_a_damaged_schema_is_one_error(tmp_path: Path) -> None:
    path = save_model(fitted("logistic"), tmp_path / "model.skops")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(tmp_path / "cut", "w") as cut:
        cut.writestr("schema.json", source.read("schema.json"))
    with pytest.raises(ModelError):
        load_model(tmp_path / "cut")


def test_a_missing_file_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="dvc pull"):
        load_model(tmp_path / "none.skops")


def test_what_cannot_be_kept_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be saved"):
        save_model({"numbers": (n for n in range(3))}, tmp_path / "m.skops")
    assert list(tmp_path.iterdir()) == []


def test_fractions_show_that_reduce_is_not_followed(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"fractions\.Fraction"):
        load_model(save_model({"share": Fraction(1, 3)}, tmp_path / "m.skops"))


def test_without_skops_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "skops", None)
    monkeypatch.setitem(sys.modules, "skops.io", None)
    with pytest.raises(MissingExtra, match=r"mlops_nb\[models\]"):
        save_model({}, tmp_path / "m.skops")
