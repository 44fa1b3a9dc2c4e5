"""The commands by which runs travel: `push`, `pull`, `export`, `import`; part of `mlops-nb runs`."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .naming import chosen_runs, runs_argument, where_option
from .show import json_option, print_json

if TYPE_CHECKING:
    from mlops_nb.pipeline.portable import Imported
    from mlops_nb.pipeline.sharing import Pulled


def _arrived(done: Pulled | Imported, *, as_json: bool) -> None:
    """Say what arrived, and what was left out and why."""
    for line in done.refused:
        click.echo(f"left out: {line}", err=True)
    if as_json:
        print_json({"new": list(done.new), "known": list(done.known), "refused": list(done.refused)})
        return
    click.echo(f"{len(done.new)} new run(s), {len(done.known)} known")


@click.command()
@runs_argument
@click.option("-r", "--remote", default="origin", show_default=True, help="The git remote.")
@click.option("--data", is_flag=True, help="Send the outputs to the DVC remote as well.")
@where_option
@json_option
def push(runs: tuple[str, ...], where: str | None, remote: str, data: bool, as_json: bool) -> None:
    """Send RUN... (default: all that are over) to colleagues through the git remote.

    Record, reports, code and experiment go along. A run that was sent before carries what was said
    about it since, by you or by others. With --data the outputs go first, to the default DVC remote
    of this workspace; without one nothing is sent.
    """
    from mlops_nb.core.project import find_project
    from mlops_nb.pipeline.sharing import push as send

    project = find_project(Path.cwd())
    chosen = chosen_runs(project, runs, where) if runs or where is not None else None
    done = send(project, remote, chosen, data=data)
    if as_json:
        print_json(asdict(done))
        return
    click.echo(f"{len(done.runs)} run(s) sent to {remote}")
    if done.files is not None:
        click.echo(f"{done.files} file(s) sent to the DVC remote; it has all others")
    elif done.experiments:
        click.echo("their outputs stay here; `--data` sends them to the DVC remote", err=True)


@click.command()
@click.option("-r", "--remote", default="origin", show_default=True, help="The git remote.")
@json_option
def pull(remote: str, as_json: bool) -> None:
    """Bring the runs that colleagues have sent to the git remote.

    Of each name, tag, note and star counts what was said last, here or there. Outputs come when
    they are needed: `mlops-nb restore RUN` fetches them.
    """
    from mlops_nb.core.project import find_project
    from mlops_nb.pipeline.sharing import pull as bring

    done = bring(find_project(Path.cwd()), remote)
    _arrived(done, as_json=as_json)


@click.command("export")
@runs_argument
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--data", is_flag=True, help="Put the outputs in as well.")
@where_option
@json_option
def export_(runs: tuple[str, ...], file: Path, where: str | None, data: bool, as_json: bool) -> None:
    """Write RUN... to one FILE that `mlops-nb runs import` takes anywhere."""
    from mlops_nb.core.project import find_project
    from mlops_nb.pipeline.portable import export_runs

    project = find_project(Path.cwd())
    found = chosen_runs(project, runs, where)
    size = export_runs(project, found, file, data=data)
    if as_json:
        print_json({"runs": found, "file": str(file), "bytes": size})
        return
    click.echo(f"{len(found)} run(s) in {file}, {size:,} bytes")


@click.command("import")
@click.argument("source", metavar="FILE|MLFLOW")
@click.option("--experiment", default="", metavar="NAME", help="Of MLflow: only this experiment.")
@click.option("--data", is_flag=True, help="Of MLflow: bring the files that the runs left as well.")
@json_option
def import_(source: str, experiment: str, data: bool, as_json: bool) -> None:
    """Take in the runs of FILE, which `mlops-nb runs export` wrote, or of MLFLOW.

    MLFLOW is a database (`sqlite:///mlflow.db`, or a path that ends like that) or the address of a
    tracking server (`http://localhost:5000`). A token, or user and password, are taken from
    MLFLOW_TRACKING_TOKEN, MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD. What is there
    already is not added again.
    """
    from mlops_nb.core.project import find_project
    from mlops_nb.pipeline.mlflow_import import import_mlflow, is_mlflow, open_tracking
    from mlops_nb.pipeline.portable import import_runs

    from .progress import counting

    project = find_project(Path.cwd())
    if is_mlflow(source):
        with counting("importing from MLflow") as follow:
            tracking = open_tracking(source, os.environ)
            done = import_mlflow(
                project, tracking, experiment=experiment, data=data, follow=follow
            )
    elif experiment or data:
        raise click.UsageError("--experiment and --data are for MLflow; the file has its own data")
    else:
        path = Path(source)
        if not path.is_file():
            hint = "or an address such as http://localhost:5000"
            raise click.UsageError(f"{source}: no such file; name one, {hint}")
        done = import_runs(project, path)
    _arrived(done, as_json=as_json)


COMMANDS = (push, pull, export_, import_)
"""They are added to the group `runs`."""
