"""Commands on the config: `compose`."""

from pathlib import Path

import click

from .show import json_option, print_json


@click.command()
@click.argument("overrides", nargs=-1)
@click.option("--write", is_flag=True, help="Write the result to params.yaml.")
@json_option
def compose(overrides: tuple[str, ...], write: bool, as_json: bool) -> None:
    """Compose conf/ with Hydra OVERRIDES (`train=forest train.max_depth=8`) and print it."""
    from mlops_nb.config.compose import compose as compose_config
    from mlops_nb.config.config import write_config
    from mlops_nb.core.project import find_project

    project = find_project(Path.cwd())
    config = compose_config(*overrides, project=project)
    changed = write_config(project, config) if write else False
    if as_json:
        print_json({**config.to_dict(), "conf_sha": config.conf_sha})
    elif write:
        click.echo(f"params.yaml {'written' if changed else 'was already so'}")
    else:
        click.echo(config.text, nl=False)


COMMANDS = (compose,)
