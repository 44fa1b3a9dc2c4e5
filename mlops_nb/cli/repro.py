"""The command `repro`: the pipeline, with independent stages side by side."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .show import json_option, print_json, print_table

if TYPE_CHECKING:
    from mlops_nb.pipeline.repro import Reproduction, ReproOrder
    from mlops_nb.pipeline.workspace import Recorded


def _complete(_context: click.Context, _target: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of the stages that begin with what was typed."""
    from mlops_nb.core.project import enclosing_project
    from mlops_nb.errors import MlopsNbError
    from mlops_nb.pipeline.yamledit import read_yaml

    project = enclosing_project(Path.cwd())
    try:
        text = project.dvc_file.read_text(encoding="utf-8") if project else ""
        stages = (read_yaml(text, "dvc.yaml") or {}).get("stages") or {}
    except (MlopsNbError, OSError):
        return []
    return [name for name in stages if name.startswith(incomplete)]


@click.command()
@click.argument("targets", nargs=-1, shell_complete=_complete)
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many stages may run at once (default: one per processor, and no more than the"
    " pipeline allows). Each takes as many threads as it would alone, since their number can change"
    " results; set OMP_NUM_THREADS to divide the processors.",
)
@click.option("-f", "--force", is_flag=True, help="Run stages also where nothing has changed.")
@click.option(
    "-k", "--keep-going", is_flag=True, help="After a failure, run what does not depend on it."
)
@click.option("--dry", is_flag=True, help="Only say what would run.")
@json_option
def repro(
    targets: tuple[str, ...],
    jobs: int | None,
    force: bool,
    keep_going: bool,
    dry: bool,
    as_json: bool,
) -> None:
    """Reproduce the pipeline, or what TARGETS take, as `dvc repro` does but side by side.

    Stages run at once if DVC's graph says that neither reads what the other writes, and `plan` runs
    alone. dvc.lock, the cache and git are left as `dvc repro` leaves them. After a failure, stages that
    run are let finish and no other begins. What ran is on record as a run; see `mlops-nb runs`.
    """
    from mlops_nb.errors import MlopsNbError
    from mlops_nb.pipeline.repro import ReproOrder
    from mlops_nb.runs.failure import explained

    recorded = _reproduced(ReproOrder(targets, jobs, force, dry, keep_going))
    try:
        recorded.reproduction.refuse_failures()
    except MlopsNbError as error:
        raise explained(error, recorded.run) if recorded.run else error from None
    if as_json:
        print_json(recorded.reproduction.to_json())
    else:
        _print(recorded.reproduction)


def _reproduced(order: ReproOrder) -> Recorded:
    """Reproduce what is ordered, and say what the record of it had to say."""
    from mlops_nb.core.project import find_project
    from mlops_nb.pipeline.recording import Asked
    from mlops_nb.pipeline.workspace import reproduce_on_record

    from .stages import StageProgress

    project = find_project(Path.cwd())
    asked = Asked({"kind": "repro"}, ("mlops-nb", *sys.argv[1:]))
    said: list[str] = []
    try:
        with StageProgress(project) as progress:
            return reproduce_on_record(project, order, asked, progress.follow, said.append)
    finally:
        for line in said:
            with contextlib.suppress(OSError):  # nobody reads any more
                click.echo(line, err=True)


def _print(done: Reproduction) -> None:
    """Print what came of each stage."""
    if done.unchanged:
        click.echo(f"nothing has changed, {len(done.stages)} stages are up to date")
    else:
        rows = [[r.stage, r.state, f"{r.seconds:.1f}"] for r in done.stages]
        print_table("Pipeline", ["stage", "state", "seconds"], rows)


COMMANDS = (repro,)
