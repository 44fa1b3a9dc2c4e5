"""Commands on the warm server: `warm start`, `status`, `stop`, `install`."""

from pathlib import Path
from typing import Any

import click

from .show import json_option, print_json, print_table


@click.group()
def warm() -> None:
    """Keep Python and its libraries loaded, so that notebooks start at once.

    A server starts by itself after the first `execute`, and ends when nobody has needed it for a
    quarter of an hour. MLOPS_NB_WARM=0 leaves it out.
    """


@warm.command()
@json_option
def start(as_json: bool) -> None:
    """Start the server, and load what the stages of this project import."""
    from rich.console import Console

    from mlops_nb.core.project import enclosing_project
    from mlops_nb.notebook.stage import read_stages
    from mlops_nb.pipeline.libraries import libraries
    from mlops_nb.warm.standing import start_and_wait

    from .prepared import PREPARE

    project = enclosing_project(Path.cwd())
    documents = [stage.document for stage in read_stages(project)] if project else []
    with Console(stderr=True).status("loading libraries"):
        imports = libraries(documents, project.root if project else None)
        found = start_and_wait(PREPARE, imports)
    _show(found, as_json=as_json)


@warm.command()
@click.option("--all", "every", is_flag=True, help="Name every module that is loaded or was not.")
@json_option
def status(every: bool, as_json: bool) -> None:
    """Show whether the server runs, what it has loaded, its memory and how often it was used."""
    from mlops_nb.warm.standing import standing

    _show(standing(), every=every, as_json=as_json)


@warm.command()
@json_option
def stop(as_json: bool) -> None:
    """Stop the server; what is running goes on."""
    from mlops_nb.warm.client import stop_server

    stopped = stop_server()
    if as_json:
        print_json({"stopped": stopped})
    else:
        click.echo("stopped" if stopped else "no warm server was running")


@warm.command()
@json_option
def install(as_json: bool) -> None:
    """Offer warm kernels in JupyterLab as "Python 3 (warm)", and as `papermill --kernel`."""
    from mlops_nb.warm.install import NAME, install_kernelspec

    folder = install_kernelspec()
    if as_json:
        print_json({"kernel": NAME, "folder": str(folder)})
    else:
        click.echo(f"kernel {NAME} installed in {folder}")


def _show(found: dict[str, Any], *, as_json: bool, every: bool = False) -> None:
    """Show how the server stands."""
    if as_json:
        print_json(found)
        return
    if not found["running"]:
        click.echo("no warm server is running; `mlops-nb warm start` starts one")
        return
    server, zygote = found["server"], found["zygote"]
    named = [("server", server, server["uses"]), ("zygote", zygote, zygote["uses"])]
    named += [("spare" if k["spare"] else "kernel", k, "") for k in zygote["kernels"]]
    rows = [
        [name, part["pid"], _size(part["private_bytes"]), _size(part["proportional_bytes"]), uses]
        for name, part, uses in named
    ]
    print_table("Warm server", ["process", "pid", "private", "proportional", "uses"], rows)
    click.echo(f"loaded: {_names(zygote['loaded'], every=every)}")
    reasons: dict[str, list[str]] = {}
    for name, reason in zygote["refused"].items():
        reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        click.echo(f"not loaded: {_names(names, every=every)}: {reason}")
    for reason in filter(None, (server["trouble"], zygote["trouble"])):
        click.echo(f"starts cold: {reason}")


def _names(modules: list[str], *, every: bool) -> str:
    """Return the names of modules, or how many there are of which packages."""
    if every or len(modules) < _FEW:
        return ", ".join(modules) or "nothing"
    packages = sorted({name.partition(".")[0] for name in modules})
    return f"{len(modules)} modules of {', '.join(packages)} (`mlops-nb warm status --all` names them)"


_FEW = 5


def _size(number: int | None) -> str:
    """Return a number of bytes in words."""
    from mlops_nb.notebook.limits import size_in_words

    return "?" if number is None else size_in_words(number)


COMMANDS = (warm,)
