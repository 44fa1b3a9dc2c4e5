"""Names are followed through a project's modules as Python would, without importing any."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_nb.notebook.scope import Scope
from mlops_nb.notebook.source import read_source


def scope_of(source: str, root: Path | None = None) -> Scope:
    return Scope.of([ast.parse(source)], root)


@pytest.mark.parametrize(
    ("source", "name", "origin"),
    [
        ("import typing as t", "t.Literal", "typing.Literal"),
        ("import typing", "typing.Literal", "typing.Literal"),
        ("import datetime as dt", "dt.date", "datetime.date"),
        ("from datetime import date as day", "day", "datetime.date"),
        ("import os.path", "os.path", "os.path"),
        ("import a.b as c", "c.D", "a.b.D"),
        ("from a import b", "b.C", "a.b.C"),
        ("", "int", "int"),
        ("class Local: pass", "Local", "Local"),
        ("date = 3\nfrom datetime import date", "date", "datetime.date"),
        ("if True:\n    from pathlib import Path", "Path", "pathlib.Path"),
        ("try:\n    import a as x\nexcept ImportError:\n    import b as y", "x", "a"),
    ],
)
def test_a_name_stands_for_its_origin(source: str, name: str, origin: str) -> None:
    assert scope_of(source).origin(name) == origin


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {
        "shop/__init__.py": "from .models import Model as Renamed\nfrom shop.sub import *\n",
        "shop/models.py": "from . import kinds\nfrom .kinds import Kind\nclass Model: pass\n",
        "shop/kinds.py": "class Kind: pass\n",
        "shop/sub/__init__.py": "from ..kinds import Kind as Sort\nfrom .deep import Deep\n",
        "shop/sub/deep.py": "from ...shop.kinds import Kind\nclass Deep: pass\nAlias = Deep\n",
        "broken.py": "class Broken(:\n",
        "loop_a.py": "from loop_b import X\n",
        "loop_b.py": "from loop_a import X\n",
        "single.py": "class Alone: pass\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("source", "name", "origin"),
    [
        ("from shop.models import Model", "Model", "shop.models.Model"),
        ("from shop import Renamed", "Renamed", "shop.models.Model"),
        ("from shop.models import Kind", "Kind", "shop.kinds.Kind"),
        ("from shop import models", "models.Kind", "shop.kinds.Kind"),
        ("import shop", "shop.Renamed", "shop.models.Model"),
        ("import shop.models as m", "m.Model", "shop.models.Model"),
        ("import shop.models", "shop.models.Model", "shop.models.Model"),
        ("from shop import Sort", "Sort", "shop.kinds.Kind"),
        ("from shop import Deep", "Deep", "shop.sub.deep.Deep"),
        ("from shop import *", "Renamed", "shop.models.Model"),
        ("from single import *", "Alone", "single.Alone"),
    ],
)
def test_a_class_of_the_project_is_found_where_it_is_defined(
    root: Path, source: str, name: str, origin: str
) -> None:
    scope = scope_of(source, root)
    found = scope.find(name)
    assert found is not None and isinstance(found[0], ast.ClassDef)
    assert scope.origin(name) == origin


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("from broken import Broken", "Broken"),
        ("from loop_a import X", "X"),
        ("from nowhere import X", "X"),
        ("from shop import Missing", "Missing"),
        ("from ... import X", "X"),
        ("from shop import *", "Missing"),
        ("", "shop.models.Model"),
    ],
)
def test_what_cannot_be_found_is_none(root: Path, source: str, name: str) -> None:
    assert scope_of(source, root).find(name) is None


@pytest.mark.parametrize(
    "source",
    [
        "%load_ext mlops_nb\nimport json",
        "import json\n!ls -l\n?json\njson?\n%matplotlib inline",
        "%%time\nimport json",
        "%config InlineBackend.figure_format = 'svg'\nimport json",
    ],
)
def test_the_python_between_magics_is_read(source: str) -> None:
    tree = read_source(source).tree
    assert tree is not None and Scope.of([tree], None).origin("json") == "json"
    assert "json" in Scope.of([tree], None).imports


@given(st.text(max_size=40))
def test_any_text_is_parsed_or_none(text: str) -> None:
    read_source(text)


def test_modules_under_src_are_the_projects_as_well(tmp_path: Path) -> None:
    (tmp_path / "src/shop").mkdir(parents=True)
    (tmp_path / "src/shop/kinds.py").write_text("class Kind: pass\n")
    (tmp_path / "src/shop/__init__.py").write_text("from .kinds import Kind as Sort\n")
    scope = scope_of("from shop import Sort\nfrom shop.kinds import Kind", tmp_path)
    assert scope.origin("Kind") == scope.origin("Sort") == "shop.kinds.Kind"
