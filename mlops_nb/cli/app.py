"""The command `mlops-nb`: its sub-commands, and the one place where errors meet the user."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from mlops_nb import __version__
from mlops_nb.errors import CheckFailed, MlopsNbError

from . import (
    background,
    clean,
    config,
    notebook,
    pipeline,
    places,
    recover,
    repro,
    run as running,
    runs,
    sweep,
    warm,
)
from .show import print_json

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, prog_name="mlops-nb")
def cli() -> None:
    """Execute notebooks as functions, configure them, and run pipelines of them.

    Exit codes: 0 ok, 1 the notebook or a check failed, 2 usage or config error, 3 the kernel
    was killed, 124 timeout, 130 interrupted.
    """


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of SHELL; add it with `eval "$(mlops-nb completion bash)"`."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None  # the choice holds only shells that click knows
    click.echo(found(cli, {}, "mlops-nb", "_MLOPS_NB_COMPLETE").source())


GROUPS = (
    notebook, config, repro, running, runs, places, sweep, background, pipeline, recover, clean, warm,
)  # fmt: skip
for command in (command for group in GROUPS for command in group.COMMANDS):
    cli.add_command(command)


def run(arguments: Sequence[str], watch: Callable[[Any], None] | None = None) -> int:
    """Run the command line with `arguments` and return its exit code.

    `watch` is told what happens to the cells of a notebook that is executed.
    """
    as_json = "--json" in arguments
    try:
        result = cli.main(list(arguments), prog_name="mlops-nb", standalone_mode=False, obj=watch)
        sys.stdout.flush()  # else a full disk would show only at our exit, where nobody can say so
    except MlopsNbError as error:
        findings = error.findings if isinstance(error, CheckFailed) else (str(error),)
        return _fail([f"error: {line}" for line in findings], error.to_json(), as_json=as_json)
    except click.ClickException as error:
        # Usage mistakes are shown as click shows them, with the usage line.
        error.show()
        document = {"error": "UsageError", "message": error.format_message(), "hint": ""}
        return _fail([], document | {"exit_code": error.exit_code}, as_json=as_json)
    except (KeyboardInterrupt, click.Abort):
        document = {"error": "Interrupted", "message": "interrupted", "hint": ""}
        return _fail(["error: interrupted"], document | {"exit_code": 130}, as_json=as_json)
    except OSError as error:
        document = {"error": "OSError", "message": str(error), "hint": ""}
        return _fail([f"error: {error}"], document | {"exit_code": 1}, as_json=as_json)
    return result if isinstance(result, int) else 0


def _fail(lines: Sequence[str], document: Mapping[str, Any], *, as_json: bool) -> int:
    """Show a failure: lines for people and, if asked for, a document; return its exit code."""
    try:
        for line in lines:
            click.echo(line, err=True)
        if as_json:
            print_json(document)
        sys.stdout.flush()
    except OSError:
        # The reader of a pipe or the terminal has gone, or the disk is full; nothing more can be
        # said, also not at our exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return int(document["exit_code"])
