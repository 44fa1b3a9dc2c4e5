"""A project where nothing can be run, or nothing written: one line, and nothing is left behind."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import Shop
from .test_bad_input import the_one_line
from .test_full_disk import mounted

pytestmark = pytest.mark.slow

VERBS = (("run", "train.shrink=0.5"), ("sweep", "train.shrink=0.5,0.25"))


@pytest.mark.parametrize("verb", VERBS, ids=["run", "sweep"])
def test_without_a_pipeline_no_run_is_recorded_and_the_way_to_one_is_said(
    shop: Shop, verb: tuple[str, ...]
) -> None:
    shutil.rmtree(shop.path(".mlops_nb"), ignore_errors=True)
    shop.path("dvc.yaml").unlink()
    refs = shop.run("git", "show-ref").stdout
    line = the_one_line(shop.tool(*verb, code=2))
    assert "there is no dvc.yaml" in line and "`mlops-nb pipeline sync`" in line
    assert not shop.path(".mlops_nb").exists() and shop.run("git", "show-ref").stdout == refs
    shutil.rmtree(shop.path("nbs/pipeline"))
    assert "put a stage notebook into nbs/pipeline/" in the_one_line(shop.tool(*verb, code=2))


def test_a_read_only_project_is_refused_by_name_and_its_runs_can_be_seen(
    finished_shop: Shop, tmp_path: Path
) -> None:
    with mounted(tmp_path / "disk", "size=20m") as disk:
        shutil.copytree(finished_shop.root, disk / "shop", symlinks=True)
        shop = Shop(disk / "shop")
        shutil.rmtree(shop.path(".mlops_nb"), ignore_errors=True)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        for verb in VERBS:
            line = the_one_line(shop.tool(*verb, code=2))
            assert str(shop.root) in line and "cannot be written (Read-only file system)" in line
            assert "Errno" not in line
        assert "no runs yet" in shop.tool("runs").stdout
