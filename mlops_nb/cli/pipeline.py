"""Commands on the pipeline: `plan`, `pipeline`, `check`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .show import json_option, print_json, print_table, shown

if TYPE_CHECKING:
    from mlops_nb.pipeline.state import StageState


@click.command()
@json_option
def plan(as_json: bool) -> None:
    """Compose params.yaml if its sources changed, and write one code fingerprint per stage."""
    from mlops_nb.core.project import find_project
    from mlops_nb.pipeline.plan import make_plan

    made = make_plan(find_project(Path.cwd()))
    if as_json:
        print_json(
            {"recomposed": made.recomposed, "changed": made.changed, "code": {**made.fingerprints}}
        )
        return
    click.echo(f"params.yaml {'composed anew' if made.recomposed else 'kept'}")
    click.echo(f"code changed: {', '.join(made.changed) or 'none'}")


@click.group()
def pipeline() -> None:
    """Show the pipeline, and keep dvc.yaml in step with the notebooks."""


@pipeline.command()
@json_option
def sync(as_json: bool) -> None:
    """Render dvc.yaml from the ports of the stage notebooks; hand-added keys survive."""
    from mlops_nb.core.project import find_project
    from mlops_nb.pipeline.dvcyaml import sync as sync_dvc_yaml

    changes = sync_dvc_yaml(find_project(Path.cwd()))
    if as_json:
        print_json({"changed": changes.changed, "differences": list(changes.differences)})
        return
    for line in changes.differences:
        click.echo(line)
    click.echo("dvc.yaml written" if changes.changed else "dvc.yaml was already in step")


@pipeline.command()
@click.option("--mermaid", is_flag=True, help="Print the graph as a Mermaid diagram.")
@json_option
def show(mermaid: bool, as_json: bool) -> None:
    """Show each stage with what it reads and writes, and whether it is stale and why."""
    from mlops_nb.core.project import find_project
    from mlops_nb.notebook.stage import read_stages
    from mlops_nb.pipeline.graph import mermaid as diagram
    from mlops_nb.pipeline.state import stage_states

    project = find_project(Path.cwd())
    stages = read_stages(project)
    if mermaid and as_json:
        print_json({"mermaid": diagram(stages)})
        return
    if mermaid:
        click.echo(diagram(stages))
        return
    states = stage_states(project, stages)
    rows: list[dict[str, Any]] = [
        {
            "stage": stage.name,
            "notebook": stage.where,
            "reads": list(stage.signature.paths("in")),
            "writes": list(stage.signature.paths("out", "metrics", "plots")),
            "state": states[stage.name].state,
            "why": list(states[stage.name].why),
        }
        for stage in stages
    ]
    if as_json:
        print_json(rows)
        return
    print_table(
        "Pipeline",
        ["stage", "reads", "writes", "state"],
        [
            [
                r["stage"],
                "\n".join(r["reads"]),
                "\n".join(r["writes"]),
                _state_in_short(states[r["stage"]]),
            ]
            for r in rows
        ],
    )


def _state_in_short(found: "StageState") -> str:
    """Return a state and its first reasons, one a line; `--json` has all of them."""
    reasons = list(found.why)
    if len(reasons) > 3:
        reasons[2:] = [f"and {len(reasons) - 2} more"]
    return "\n".join([f"{found.state}: {reasons[0]}", *reasons[1:]]) if reasons else found.state


@pipeline.command()
@json_option
def metrics(as_json: bool) -> None:
    """Show the headline of what each stage recorded; `dvc metrics show` has all of it."""
    from mlops_nb.core.project import find_project
    from mlops_nb.notebook.stage import read_stages
    from mlops_nb.pipeline.headlines import headlines

    project = find_project(Path.cwd())
    found = headlines(project, read_stages(project))
    if as_json:
        print_json({name: {**stage.headline.values} for name, stage in found.items()})
        return
    rows: list[list[str]] = []
    for name, stage in found.items():
        rows += [[name, key, shown(value)] for key, value in stage.headline.values.items()]
        if stage.headline.deeper:
            rows.append([name, f"and {stage.headline.deeper} more", stage.path])
    print_table("Metrics", ["stage", "metric", "value"], rows)


@click.command()
@json_option
def check(as_json: bool) -> None:
    """Check that notebooks, config and dvc.yaml fit together; run nothing.

    A note names code that a stage may run and that its fingerprint cannot cover.
    """
    from mlops_nb.pipeline.check import check_project

    checked = check_project(Path.cwd())
    if as_json:
        print_json({"findings": [], "notes": list(checked.notes), "stages": list(checked.stages)})
        return
    for note in checked.notes:
        click.echo(f"note: {note}", err=True)
    click.echo(f"the pipeline fits together: {', '.join(checked.stages)}")


COMMANDS = (plan, pipeline, check)
