"""What is done with a library before kernels are forked, and what stays as it was."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlops_nb.warm.first_use import LOOKING_FOR_WORK, import_ahead

SEEN = "import os\nseen = os.popen('echo $OPENBLAS_THREAD_TIMEOUT').read().strip()\n"
"""A module that notes what a library in C would read."""


@pytest.fixture
def noting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the name of a module that notes the variable when it is loaded."""
    (tmp_path / "noting_library.py").write_text(SEEN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "noting_library", raising=False)
    monkeypatch.delenv(LOOKING_FOR_WORK, raising=False)
    return "noting_library"


def in_c() -> str:
    """Return the variable as a child process gets it."""
    return os.popen(f"echo ${LOOKING_FOR_WORK}").read().strip()


def test_threads_are_told_to_sleep_while_a_library_loads_and_nobody_else_is(noting: str) -> None:
    import_ahead(noting)
    assert sys.modules[noting].seen == "20"
    assert LOOKING_FOR_WORK not in os.environ
    assert in_c() == ""


def test_what_the_user_says_of_threads_stands(noting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LOOKING_FOR_WORK, "28")
    import_ahead(noting)
    assert sys.modules[noting].seen == "28" == in_c()


def test_a_library_that_cannot_be_imported_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LOOKING_FOR_WORK, raising=False)
    with pytest.raises(ModuleNotFoundError):
        import_ahead("no_such_library")
    assert in_c() == ""


def test_scikit_learn_has_looked_for_plug_ins_before_anybody_fits() -> None:
    code = (
        "import sys; from mlops_nb.warm.first_use import import_ahead\n"
        "import_ahead('sklearn.linear_model'); from importlib import metadata\n"
        "def refuse(*_, **__): raise AssertionError('asked again')\n"
        "metadata.entry_points = refuse\n"
        "from sklearn.linear_model import LinearRegression\n"
        "print(LinearRegression().fit([[0.0], [1.0]], [0, 1]).predict([[2.0]]).round())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "[2.]\n", done.stderr
