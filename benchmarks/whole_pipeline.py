"""The reference pipeline with every stage stale, against the same stages run by papermill."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.warm import warm_server

from .comparison import SCRIPTS, Command, Comparison
from .no_op import DVC, copy_project

PAPERMILL = f"{SCRIPTS / 'papermill'} nbs/pipeline/{{}} reports/{{}}.ipynb --cwd ."


def comparisons(folder: Path) -> Iterator[Comparison]:
    """Yield the comparison, on two copies of the reference project in `folder`."""
    ours, peer = copy_project(folder / "ours"), copy_project(folder / "peer")
    pipeline = peer / "dvc.yaml"
    pattern = r"mlops-nb execute nbs/pipeline/(\d+_(\w+)\.ipynb)"
    text = re.sub(pattern, lambda m: PAPERMILL.format(m[1], m[2]), pipeline.read_text())
    # Nobody without us has a plan, and ours would not take these stages for its own.
    shutil.copy(peer / "plan.json", peer / "planned.json")
    text = text.replace("cmd: mlops-nb plan", "cmd: cp planned.json plan.json")
    pipeline.write_text(text, encoding="utf-8")
    with warm_server() as warm:
        environ = warm.own | {"DVC_NO_ANALYTICS": "1", "CI": "true"}
        words = (DVC, "repro", "--force", "--no-run-cache")
        yield Comparison(
            Command("dvc repro --force, flights", words, ours, environ),
            Command("dvc repro --force, stages by papermill", words, peer, environ),
            {"wall": None, "cpu": None},
            rounds=5,
        )
