import ast
import json
from pathlib import Path

import pytest

from mlops_nb.errors import PipelineError
from mlops_nb.notebook.source import read_source
from mlops_nb.pipeline.closure import ProjectCode

LAZY = """
from typing import TYPE_CHECKING
__version__ = "1"
if TYPE_CHECKING:
    from .magics import load as load
    from .notebook.ports import In as In
    from .runs.recorder import record as record
__all__ = ["In", "record"]
def __getattr__(name):
    from importlib import import_module
    return getattr(import_module(f"{__name__}.{name}"), name)
"""
LAZY_KIT = {
    "kit/__init__.py": LAZY,
    "kit/magics.py": "",
    "kit/notebook/__init__.py": "",
    "kit/notebook/ports.py": "from kit.errors import E",
    "kit/errors.py": "",
    "kit/runs/__init__.py": "",
    "kit/runs/recorder.py": "from ..notebook.ports import In",
}
PORTS = ["kit/__init__.py", "kit/errors.py", "kit/notebook/__init__.py", "kit/notebook/ports.py"]
RECORD = sorted([*PORTS, "kit/runs/__init__.py", "kit/runs/recorder.py"])


@pytest.fixture
def reached(tmp_path: Path):
    def reached(files: dict[str, str], *cells: str) -> list[str]:
        for name, text in files.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        trees = (read_source(cell).tree for cell in cells)
        files = ProjectCode(tmp_path).closure(tree for tree in trees if tree is not None)
        return [file.relative_to(tmp_path).as_posix() for file in files]

    return reached


PACKAGE = {"a/__init__.py": "", "a/b/__init__.py": "", "a/b/c.py": "", "a/d.py": ""}


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("import a.b.c", ["a/__init__.py", "a/b/__init__.py", "a/b/c.py"]),
        ("import a", ["a/__init__.py"]),
        ("from a import b", ["a/__init__.py", "a/b/__init__.py"]),
        ("from a import name_in_it", ["a/__init__.py"]),
        ("from a.b import c, name", ["a/__init__.py", "a/b/__init__.py", "a/b/c.py"]),
        ("import a.d as d", ["a/__init__.py", "a/d.py"]),
        ("def f():\n    try:\n        import a.d\n    except E: pass", ["a/__init__.py", "a/d.py"]),
        ("import importlib as i\ni.import_module('a.d')", ["a/__init__.py", "a/d.py"]),
        ("from importlib import *\nimport_module('a.d')", ["a/__init__.py", "a/d.py"]),
        ("import_module(name)", []),
        ("if TYPE_CHECKING:\n    import a.d", []),
        ("if typing.TYPE_CHECKING:\n    import a.d\nelse:\n    import a", ["a/__init__.py"]),
        ("if not TYPE_CHECKING:\n    import a", ["a/__init__.py"]),
        ("import numpy, os.path, a.missing.b", ["a/__init__.py"]),
        ("from . import a", []),
        ("%load_ext a", ["a/__init__.py"]),
        ("%reload_ext a.d", ["a/__init__.py", "a/d.py"]),
        ("load_ext a", ["a/__init__.py"]),
        ("%aimport a.d, -a.b", ["a/__init__.py", "a/d.py"]),
        ("%run a/d.py", ["a/d.py"]),
        ("%run a/d", ["a/d.py"]),
        ("run a/d.py", ["a/d.py"]),
        ("%run -i -t -N 3 \\\n 'a/d.py' --rows 7", ["a/d.py"]),
        ("if True:\n    %time %run a/d.py", ["a/d.py"]),
        ("%%time\n%run a/d.py", ["a/d.py"]),
        ("%run -m a.d -- x", ["a/__init__.py", "a/d.py"]),
        ("get_ipython().run_line_magic('run', 'a/d.py')", ["a/d.py"]),
        ("import runpy\nrunpy.run_path('a/d.py')", ["a/d.py"]),
        ("from runpy import run_path as go\ngo(path_name='a/d.py')", ["a/d.py"]),
        ("import runpy\nrunpy.run_module('a.d')", ["a/__init__.py", "a/d.py"]),
        ("from importlib import import_module as im\nim('a.d')", ["a/__init__.py", "a/d.py"]),
        ("import importlib\nim = importlib.import_module\nim('a')", ["a/__init__.py"]),
        ("import_module('.d', package='a')", ["a/__init__.py", "a/d.py"]),
        ("spec_from_file_location('d', 'a/d.py')", ["a/d.py"]),
        ("%run ../a/d.py", []),
        ("%run a/missing.py", []),
        ("%run {where}/d.py", []),
        ("!python a/d.py", []),
        ("%%bash\npython a/d.py", []),
        ("import a.d\ndef (", []),
    ],
)
def test_imports_are_followed_as_python_does(reached, cell: str, expected: list[str]) -> None:
    assert reached(PACKAGE, cell) == expected


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("from . import y", "p/s/y.py"),
        ("from .y import name", "p/s/y.py"),
        ("from .. import z", "p/z.py"),
        ("from ..z import name", "p/z.py"),
        ("from importlib import import_module\nimport_module('..z', __package__)", "p/z.py"),
    ],
)
def test_relative_imports_start_from_the_package(reached, statement: str, expected: str) -> None:
    files = {"p/__init__.py": "", "p/s/__init__.py": "", "p/s/x.py": statement}
    files |= {"p/s/y.py": "", "p/z.py": ""}
    assert expected in reached(files, "import p.s.x")


def test_a_relative_import_in_a_package_file_starts_from_that_package(reached) -> None:
    files = {"p/__init__.py": "from .x import f", "p/x.py": "", "x.py": ""}
    assert reached(files, "import p") == ["p/__init__.py", "p/x.py"]


def test_a_star_brings_what_all_names(reached) -> None:
    files = {"p/__init__.py": "__all__ = ['x']", "p/x.py": "", "p/y.py": ""}
    assert reached(files, "from p import *") == ["p/__init__.py", "p/x.py"]


def test_modules_in_a_circle_are_read_once(reached) -> None:
    files = {"one.py": "import two", "two.py": "import three", "three.py": "import one"}
    assert reached(files, "import two") == ["one.py", "three.py", "two.py"]


def test_src_and_namespace_packages_are_the_projects(reached) -> None:
    files = {"src/lib/__init__.py": "", "src/lib/m.py": "", "space/part/m.py": ""}
    assert reached(files, "import lib.m, space.part.m") == [
        "space/part/m.py",
        "src/lib/__init__.py",
        "src/lib/m.py",
    ]


def test_a_script_finds_the_modules_beside_it_first(reached) -> None:
    files = {"scripts/run.py": "import rules", "scripts/rules.py": "import more"}
    files |= {"scripts/more.py": "", "rules.py": "", "other.py": "import rules"}
    beside = ["scripts/more.py", "scripts/rules.py", "scripts/run.py"]
    assert reached(files, "%run scripts/run.py") == beside
    assert reached(files, "%run scripts/run.py\nimport other") == ["other.py", "rules.py", *beside]


def test_of_a_notebook_that_is_run_the_code_counts(reached, notebook) -> None:
    files = {"nbs/setup.ipynb": json.dumps(notebook("import a", "%run more.ipy")), "a.py": ""}
    files |= {"more.ipy": "%load_ext b\n", "b.py": ""}
    assert reached(files, "%run nbs/setup.ipynb") == ["a.py", "b.py", "more.ipy", "nbs/setup.ipynb"]


def test_what_is_installed_is_not_the_projects(reached) -> None:
    files = {
        "env/pyvenv.cfg": "",
        "env/__init__.py": "",
        "env/lib/m.py": "",
        ".venv/pyvenv.cfg": "",
    }
    assert reached(files, "import env.lib.m, numpy") == []


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("from kit import In", PORTS),
        ("from kit import In as Input", PORTS),
        ("from kit import record", RECORD),
        ("import kit\nkit.record(auc=1)", RECORD),
        ("import kit as k\nk.In", PORTS),
        ("import kit", ["kit/__init__.py"]),
        ("from kit import __version__", ["kit/__init__.py"]),
        ("from kit import __doc__", ["kit/__init__.py"]),
        ("from kit import *", RECORD),
        ("from kit import errors", ["kit/__init__.py", "kit/errors.py"]),
        ("from kit import surprise", sorted(LAZY_KIT)),
    ],
)
def test_of_a_lazy_package_only_the_asked_name_is_followed(
    reached, cell: str, expected: list[str]
) -> None:
    assert reached(LAZY_KIT, cell) == expected


def test_a_name_asked_in_another_cell_is_followed(reached) -> None:
    assert reached(LAZY_KIT, "import kit", "kit.record(auc=1)") == RECORD


def test_our_own_lazy_names_reach_their_homes_and_not_the_toolkit() -> None:
    root = Path(__file__).parents[2]
    found = ProjectCode(root).closure([ast.parse("from mlops_nb import In")])
    files = {file.relative_to(root).as_posix() for file in found}
    assert {"mlops_nb/__init__.py", "mlops_nb/notebook/ports.py", "mlops_nb/errors.py"} <= files
    assert not any("papermill" in f or "execute" in f or "pipeline" in f for f in files)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\ndef f(:\n", "^bad.py, line 2: invalid syntax"),
        ("x = '\n", "^bad.py, line 1: unterminated string"),
        ("# coding: nonsense\n", "^bad.py: unknown encoding"),
    ],
)
def test_a_module_that_is_no_python_is_named_with_its_line(
    reached, text: str, message: str
) -> None:
    with pytest.raises(PipelineError, match=message) as caught:
        reached({"good.py": "import bad", "bad.py": text}, "import good")
    assert "\n" not in str(caught.value)


def test_nothing_is_executed(reached) -> None:
    reached({"bomb.py": "raise SystemExit(1)"}, "import bomb\nraise SystemExit(2)")
