"""How results are shown: tables for people, one JSON document for machines."""

import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from mlops_nb.core.canonical import readable_json

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document and nothing else."
)


def print_json(value: object) -> None:
    """Print `value` as one JSON document that every JSON reader takes."""
    click.echo(readable_json(_strict(value), indent=2))


def _strict(value: object) -> object:
    """Return `value` with keys as text, and as text too what JSON has no number for: "NaN"."""
    if isinstance(value, dict):
        return {
            key if isinstance(key, str) else json.dumps(key): _strict(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return json.dumps(value)
    return value


_WIDEST = 1000
"""The width of a table that is piped: whoever reads it wants no path broken in two."""


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table if it has rows; cells are plain text, so no value can pass for markup."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    if not table.rows:
        return
    console = Console(width=table_width())
    with console.capture() as printed:
        console.print(table)
    for line in printed.get().splitlines():
        click.echo(line.rstrip())


def table_width() -> int:
    """Return how many characters there is room for in a line of a table."""
    from rich.console import Console

    # not what `rich` takes for a terminal: Jupyter's FORCE_COLOR makes it one of every cell
    return Console().width if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDEST


def print_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print comma-separated values under the names of their columns; lists are JSON."""
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([json.dumps(cell) if isinstance(cell, list) else cell for cell in row])


_MOST_FINDINGS = 20


def show_findings(outcome: Mapping[str, Any], kind: str, *, strict: bool) -> None:
    """Say on standard error which files were used without being declared, a line each.

    Whoever is `strict` also wants to know if not every file could be seen.
    """
    findings = outcome.get("findings", ())
    for finding in findings[:_MOST_FINDINGS]:
        click.echo(f"{kind}: {outcome['notebook']}, {finding['message']}", err=True)
    if len(findings) > _MOST_FINDINGS:
        click.echo(f"{kind}: and {len(findings) - _MOST_FINDINGS} more of the kind", err=True)
    if strict and outcome.get("capture_reason"):
        seen = {"off": "no files were", "python only": "only what Python opens was"}
        what = seen.get(outcome["capture"], "not everything was")
        click.echo(f"warning: {what} watched ({outcome['capture_reason']})", err=True)


def shown(value: Any) -> str:
    """Return how a JSON value is shown in a table."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
