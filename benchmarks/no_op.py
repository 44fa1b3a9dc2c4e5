"""What a project of ours adds to a `dvc repro` that has nothing to do."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import yaml

from .comparison import SCRIPTS, Command, Comparison, Goal

ROOT = Path(__file__).parents[1]
DVC = str(SCRIPTS / "dvc")


def comparisons(folder: Path) -> Iterator[Comparison]:
    """Yield the comparison, on two copies of the reference project in `folder`."""
    ours = copy_project(folder / "ours")
    peer = copy_project(folder / "peer")
    pipeline = peer / "dvc.yaml"
    pipeline.write_text(re.sub(r"(?m)^(    cmd:).*", r"\1 echo nothing", pipeline.read_text()))
    for project in (ours, peer):
        settle(project)
    yield Comparison(
        _repro("dvc repro, nothing to do", ours),
        _repro("dvc repro, the same dvc.yaml with echo", peer),
        {"wall": Goal(1.15), "cpu": None},
        rounds=15,
    )


def copy_project(target: Path) -> Path:
    """Copy the files that git knows to a repository of its own."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    subprocess.run(["git", "init", "--quiet"], cwd=target, check=True)
    return target


def settle(project: Path) -> None:
    """Make the project look up to date to DVC, without running its stages.

    The outputs are stand-ins: a `dvc repro` with nothing to do looks at their size and time alone.
    """
    stages = yaml.safe_load((project / "dvc.yaml").read_text())["stages"]
    for kind in ("outs", "metrics", "plots"):
        for stage in stages.values():
            for entry in stage.get(kind, ()):
                _stand_in(project / (next(iter(entry)) if isinstance(entry, dict) else entry))
    subprocess.run([DVC, "commit", "--force", "--quiet"], cwd=project, check=True)


def _stand_in(output: Path) -> None:
    """Write something for an output that is not there; a path without a suffix is a directory."""
    file = output if output.suffix else output / "loss.csv"
    if not output.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("step,loss\n")


def _repro(name: str, project: Path) -> Command:
    """Return the command, which must find nothing to run."""
    environ = {"DVC_NO_ANALYTICS": "1", "CI": "true"}  # no background process that phones home
    says = "Data and pipelines are up to date."
    return Command(name, (DVC, "repro"), project, environ, says)
