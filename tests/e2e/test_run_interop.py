"""DVC's own commands on what runs leave, and what its extension for VS Code reads of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import Shop

pytestmark = pytest.mark.slow


def revisions(shop: Shop) -> dict[str, dict[str, Any]]:
    """Return the data of each experiment by name: what the extension for VS Code reads."""
    listed = json.loads(shop.run("dvc", "exp", "show", "--json").stdout)
    found = [rev for state in listed for one in state["experiments"] or () for rev in one["revs"]]
    return {rev["name"]: rev["data"] for rev in found}


def test_dvc_shows_compares_applies_branches_and_exchanges_what_runs_left(
    shop: Shop, tmp_path: Path
) -> None:
    shop.run("git", "init", "--quiet", "--bare", str(tmp_path / "remote"))
    shop.run("git", "remote", "add", "origin", str(tmp_path / "remote"))
    shop.run("dvc", "remote", "add", "--quiet", "--default", "store", str(tmp_path / "store"))
    shop.commit()
    shop.run("git", "push", "--quiet", "origin", "HEAD")
    shop.tool("run", "train.shrink=0.5", "--name", "half")
    shop.tool("run", "train=median", "--name", "median")

    ours = {run["name"]: run for run in json.loads(shop.tool("runs", "--json").stdout)}
    shown = revisions(shop)
    assert set(shown) == set(ours) == {"half", "median"}
    for name, run in ours.items():
        params = shown[name]["params"]["params.yaml"]["data"]
        assert {key: params[key] for key in run["params"]} == run["params"]
        metrics = {Path(path).stem: entry["data"] for path, entry in shown[name]["metrics"].items()}
        assert metrics == run["metrics"]

    compared = json.loads(shop.run("dvc", "exp", "diff", "half", "median", "--json").stdout)
    fitted = compared["metrics"]["metrics/train.json"]["fitted"]
    assert fitted["old"] == ours["half"]["metrics"]["train"]["fitted"]
    assert fitted["new"] == ours["median"]["metrics"]["train"]["fitted"]
    assert compared["params"]["params.yaml"]["train.shrink"]["old"] == 0.5

    shop.run("dvc", "exp", "branch", "half", "from-half")
    assert "shrink: 0.5" in shop.run("git", "show", "from-half:params.yaml").stdout
    shop.run("dvc", "exp", "push", "origin", "half", "median")
    clone = Shop(tmp_path / "clone")
    shop.run("git", "clone", "--quiet", str(tmp_path / "remote"), str(clone.root))
    clone.run("dvc", "exp", "pull", "origin", "half")
    clone.run("dvc", "exp", "apply", "half")
    assert clone.text("models/model.json") and "shrink: 0.5" in clone.text("params.yaml")
    assert "up to date" in clone.run("dvc", "status").stdout
    assert set(revisions(clone)) == {"half"}
