"""The commands that run the pipeline beside the workspace: `run` and `rerun`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .background import detach_option, detach_run
from .naming import warn_of_taken_name
from .show import json_option, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlops_nb.pipeline.run import Ran
    from mlops_nb.runs.run import Run


def said_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options by which a person says why there is a run."""
    for option in (
        click.option("--hypothesis", default="", metavar="TEXT", help="What you expect to see."),
        click.option("--note", default="", metavar="TEXT", help="A note on the run."),
        click.option("-t", "--tag", "tags", multiple=True, metavar="TAG", help="A tag; repeatable."),
        click.option("-n", "--name", default="", metavar="NAME", help="A name for the run."),
    ):
        command = option(command)
    return command


def order_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how the pipeline is gone through."""
    for option in (
        click.option("-f", "--force", is_flag=True, help="Run stages also where nothing changed."),
        click.option(
            "-j", "--jobs", type=click.IntRange(min=1), metavar="N",
            help="How many stages may run at once (default: one per processor).",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


@click.command()
@click.argument("overrides", nargs=-1)
@said_options
@order_options
@detach_option
@json_option
def run(overrides: tuple[str, ...], detach: bool, as_json: bool, **given: Any) -> None:
    """Run the pipeline with OVERRIDES, such as `train=forest train.seed=1`.

    The run happens in a folder of its own with the project's DVC cache: the workspace stays as it is
    and can be used meanwhile, and several runs may go on at once. Its code is that of the workspace,
    also what is not committed. It is kept whatever becomes of it; see `mlops-nb runs`.
    """
    from mlops_nb.core.project import find_project
    from mlops_nb.pipeline.run import prepare_run, run_pipeline
    from mlops_nb.runs.store import Store

    project = find_project(Path.cwd())
    wanted = asked("run", overrides, **given)
    warn_of_taken_name(Store(project.runs), given["name"])
    if detach:
        detach_run(project, prepare_run(project, wanted, order(**given)), as_json=as_json)
        return
    with progress(project) as shown:
        ran = run_pipeline(project, wanted, order(**given), shown.follow)
    report(ran, as_json=as_json)


@click.command()
@click.argument("run_", metavar="RUN")
@click.argument("overrides", nargs=-1)
@said_options
@order_options
@json_option
def rerun(run_: str, overrides: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Run once more what RUN ran: the same code and the same config, with OVERRIDES on top.

    RUN is an id, the beginning of one, or a name. What conf/ and the workspace hold now plays no part.
    """
    from mlops_nb.core.project import find_project
    from mlops_nb.pipeline.rerun import rerun as run_again
    from mlops_nb.runs.store import Store

    project = find_project(Path.cwd())
    found = chosen(project, run_)
    warn_of_taken_name(Store(project.runs), given["name"])
    with progress(project) as shown:
        wanted = replace(
            asked("rerun", overrides, **given), origin={"kind": "rerun", "of": found.id}
        )
        ran = run_again(project, found, wanted, order(**given), shown.follow)
    report(ran, as_json=as_json)


def chosen(project: Any, text: str) -> Run:
    """Return the record of the run that `text` stands for."""
    from mlops_nb.errors import RecordError
    from mlops_nb.runs.folder import Broken
    from mlops_nb.runs.store import Store

    store = Store(project.runs)
    found = store.read(store.find(text))
    if isinstance(found, Broken):
        raise RecordError(found.reason, hint="take another run")
    return found


def asked(kind: str, overrides: tuple[str, ...], **given: Any) -> Any:
    """Return what is asked for, in the words of the command line."""
    from mlops_nb.pipeline.recording import Asked
    from mlops_nb.runs.annotations import Annotations

    said = Annotations(
        given["name"], frozenset(given["tags"]), given["note"], given["hypothesis"]
    )
    command = ("mlops-nb", *sys.argv[1:])
    return Asked({"kind": kind}, command, overrides, said)


def order(**given: Any) -> Any:
    """Return how the pipeline is to be gone through."""
    from mlops_nb.pipeline.repro import ReproOrder

    return ReproOrder(jobs=given["jobs"], force=given["force"])


def progress(project: Any) -> Any:
    """Return a display of the stages, to be used as a context manager."""
    from .stages import StageProgress

    return StageProgress(project)


def report(ran: Ran, *, as_json: bool) -> None:
    """Say what came of a run; raise what kept it from succeeding.

    The document of a run that failed is its record as well, with the error as `refused`.
    """
    from mlops_nb.errors import MlopsNbError
    from mlops_nb.runs.failure import explained

    click.echo(f"run {ran.run.id} is kept", err=True)
    try:
        ran.refuse_failures()
    except MlopsNbError as failure:
        error = explained(failure, ran.run)
        if not as_json:
            raise error from None
        click.echo(f"error: {error}", err=True)
        print_json({**ran.run.to_json(), "refused": error.to_json()})
        sys.exit(error.exit_code)
    if as_json:
        print_json(ran.run.to_json())
        return
    rows = [[name, stage["how"], f"{stage['seconds']:.1f}"] for name, stage in ran.run.stages.items()]
    print_table("Run", ["stage", "state", "seconds"], rows)


COMMANDS = (run, rerun)
