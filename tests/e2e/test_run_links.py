"""What DVC puts into the worktree of a run: links where they are safe, copies elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from mlops_nb.runs.run import Run
from mlops_nb.runs.store import Store

from .conftest import Shop, environment

pytestmark = pytest.mark.slow

NOT_ROOT = ("setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override")
"""With this before it, a command of root's may not write to read-only files, as other users."""
LOOK = """
import json, os

try:
    with open(table, "a") as stream:
        stream.write("spoi" + "lt")
    written = True
except PermissionError:
    written = False
links = os.stat(table).st_nlink
"""


@pytest.fixture
def curious(shop: Shop) -> Shop:
    """Give a project in which `evaluate` tries to spoil its input, and says how that went."""
    notebook = json.loads(shop.text("nbs/pipeline/30_evaluate.ipynb"))
    cell = notebook["cells"][-1]
    lines = [*LOOK.splitlines(keepends=True), "\n", *cell["source"]]
    lines = [
        line.replace("record(error=", "record(links=links, written=written, error=")
        for line in lines
    ]
    cell["source"] = [line.replace("read(table)", "[1.0, 2.0]") for line in lines]
    shop.path("nbs/pipeline/30_evaluate.ipynb").write_text(json.dumps(notebook))
    shop.commit()
    return shop


def evaluated(shop: Shop, *before: str) -> dict[str, object]:
    command = [*before, sys.executable, "-m", "mlops_nb", "run", "train.shrink=0.5"]
    given = {**environment(), "MLOPS_NB_WARM": "0"}
    done = subprocess.run(command, cwd=shop.root, env=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    store = Store(shop.path(".mlops_nb/runs"))
    run = store.read(store.ids()[-1])
    assert isinstance(run, Run)
    found: dict[str, object] = run.metrics["evaluate"]
    return found


def cached(shop: Shop) -> dict[str, bytes]:
    folder = shop.path(".dvc/cache/files")
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def spoilt(shop: Shop) -> list[str]:
    return [path for path, content in cached(shop).items() if b"spoilt" in content]


def test_inputs_are_linked_and_a_notebook_cannot_write_to_them(curious: Shop) -> None:
    found = evaluated(curious, *NOT_ROOT)
    assert found["written"] is False and int(str(found["links"])) > 1
    assert spoilt(curious) == []
    assert curious.path("data/table.csv").stat().st_nlink == 1  # the workspace has its own


def test_who_may_write_to_everything_gets_copies_and_does_not_spoil_the_cache(
    curious: Shop,
) -> None:
    found = evaluated(curious)
    assert found["written"] is True and found["links"] == 1
    assert spoilt(curious) == []


@pytest.mark.parametrize("file", [".dvc/config", ".dvc/config.local"])
def test_what_the_user_has_chosen_is_done(curious: Shop, file: str) -> None:
    option = ["--local"] if file.endswith("local") else []
    curious.run("dvc", "config", *option, "cache.type", "copy")
    curious.commit()
    assert evaluated(curious, *NOT_ROOT)["links"] == 1
