"""The command `mlops-nb`: its sub-commands, and the one place where errors meet the user."""

import os
import sys
from collections.abc import Sequence

import click

from mlops_nb import __version__
from mlops_nb.errors import CheckFailed, MlopsNbError

from . import config, notebook, pipeline
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


for command in (*notebook.COMMANDS, *config.COMMANDS, *pipeline.COMMANDS):
    cli.add_command(command)


def run(arguments: Sequence[str]) -> int:
    """Run the command line with `arguments` and return its exit code."""
    try:
        result = cli.main(list(arguments), prog_name="mlops-nb", standalone_mode=False)
    except MlopsNbError as error:
        return _report(error, as_json="--json" in arguments)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("error: interrupted", err=True)
        return 130
    except BrokenPipeError:
        # The reader of a pipe has gone; nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return result if isinstance(result, int) else 0


def _report(error: MlopsNbError, *, as_json: bool) -> int:
    """Show an error in one line, and as a document on standard output if that was asked for."""
    findings = error.findings if isinstance(error, CheckFailed) else ()
    for finding in findings:
        click.echo(f"error: {finding}", err=True)
    if not findings:
        click.echo(f"error: {error}", err=True)
    if as_json:
        details = {"findings": list(findings)} if findings else {}
        print_json(
            {
                "error": type(error).__name__,
                "message": error.what,
                "hint": error.hint,
                "exit_code": error.exit_code,
                **details,
            }
        )
    return error.exit_code
