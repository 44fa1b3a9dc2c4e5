"""How runs look on a terminal: a table that fits it, groups of runs, and everything about one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import click

from .show import print_table, shown, table_width

if TYPE_CHECKING:
    from mlops_nb.runs.groups import Group
    from mlops_nb.runs.view import Page

_WIDEST_CELL = 32
_MOST_LEFT_OUT = 3
_MOST_FILES = 10


def print_runs(page: Page, *, any_at_all: bool) -> None:
    """Print a page of runs; columns for which there is no room are left out and counted."""
    if not page.rows:
        none = "no run matches" if any_at_all else "no runs yet; `mlops-nb run` makes one"
        click.echo(none)
        return
    heads = short_heads(page.columns)
    cells = [[in_short(name, row.get(name)) for name in page.columns] for row in page.rows]
    widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
    kept = fitting_columns(page.columns, widths, table_width())
    print_table("Runs", [heads[at] for at in kept], [[line[at] for at in kept] for line in cells])
    for row in page.rows:
        if "reason" in row:
            click.echo(f"{row['state']}: {row['reason']}", err=True)
    if page.total > len(page.rows):
        click.echo(f"{len(page.rows)} of {page.total} runs; --limit 0 shows all")
    if left := [name for at, name in enumerate(page.columns) if at not in kept]:
        more = ", ..." if len(left) > _MOST_LEFT_OUT else ""
        names = ", ".join(left[:_MOST_LEFT_OUT]) + more
        click.echo(f"no room for {len(left)} more column(s): {names}; choose with -c")


def fitting_columns(names: Sequence[str], widths: Sequence[int], room: int) -> list[int]:
    """Return which columns of these `widths` fit into `room`, in their order; 2 at least.

    Facts come first, then a figure and a parameter in turn: a table of parameters alone says little.
    """
    groups: dict[str, list[int]] = {"metrics": [], "params": [], "": []}
    for at, name in enumerate(names):
        group = name.partition(".")[0]
        groups[group if group in groups else ""].append(at)
    in_turn = zip_longest(groups["metrics"], groups["params"])
    wanted = [*groups[""], *(at for pair in in_turn for at in pair if at is not None)]
    kept: list[int] = []
    taken = 2  # the edges
    for at in wanted:
        taken += widths[at] + 2
        if taken > room and len(kept) >= 2:
            break
        kept.append(at)
    return sorted(kept)


def fitting(widths: Sequence[Sequence[int]], room: int) -> int:
    """Return how many of the columns with cells of these `widths` fit into `room`; 2 at least."""
    taken = 2  # the edges
    for number, column in enumerate(zip(*widths, strict=True)):
        taken += max(column) + 2
        if taken > room and number >= 2:
            return number
    return len(widths[0])


def short_heads(names: Sequence[str]) -> list[str]:
    """Return the heads of columns: without the group, where that leaves no doubt."""
    from mlops_nb.runs.columns import HEADS

    short = [HEADS.get(name, name) for name in names]
    for group in ("params.", "metrics."):
        short = [name.removeprefix(group) for name in short]
    return [
        head if short.count(head) == 1 else name for head, name in zip(short, names, strict=True)
    ]


def in_short(name: str, value: Any) -> str:
    """Return the `value` of a column as a cell."""
    from mlops_nb.runs.run import short_id

    if value is None:
        return ""
    if name == "id":
        return short_id(value)
    if name in ("started", "finished", "removed"):
        return local_time(value)
    if name == "wall_seconds":
        return duration(value)
    text = _value(value)
    return text if len(text) <= _WIDEST_CELL else f"{text[: _WIDEST_CELL - 3]}..."


def _value(value: Any) -> str:
    """Return a value for people: figures with five digits."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    return shown(value)


def local_time(text: str) -> str:
    """Return the time of a record as a clock on the wall shows it."""
    try:
        return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return text


def duration(seconds: float) -> str:
    """Return a span of time for people."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


# ---- groups --------------------------------------------------------------------------------------


def group_table(groups: Sequence[Group]) -> tuple[list[str], list[list[Any]]]:
    """Return groups as columns and rows: each figure has a mean, a deviation and a count."""
    by, figures = _columns_of(groups)
    parts = ("mean", "deviation", "count")
    names = [*by, "n", *(f"{name}.{part}" for name in figures for part in parts)]
    rows = []
    for group in groups:
        row: list[Any] = [*(group.values.get(name) for name in by), group.count]
        for name in figures:
            figure = group.figures.get(name)
            row += [getattr(figure, part) if figure else None for part in parts]
        rows.append(row)
    return names, rows


def print_groups(groups: Sequence[Group]) -> None:
    """Print a table of groups: `mean ± deviation` of each figure."""
    if not groups:
        click.echo("no run matches")
        return
    by, figures = _columns_of(groups)
    columns = [*by, "n", *figures]
    heads = short_heads(columns)
    rows = [
        [
            *(in_short(name, group.values.get(name)) for name in by),
            str(group.count),
            *(_spread(group, name) for name in figures),
        ]
        for group in groups
    ]
    room = max(fitting([list(map(len, line)) for line in (heads, *rows)], table_width()), len(by) + 1)
    print_table("Runs in groups", heads[:room], [row[:room] for row in rows])
    if left := columns[room:]:
        click.echo(f"no room for {len(left)} more figure(s); choose with -c")


def _columns_of(groups: Sequence[Group]) -> tuple[list[str], list[str]]:
    """Return what `groups` are grouped by, and their figures."""
    by = dict.fromkeys(name for group in groups for name in group.values)
    return list(by), list(dict.fromkeys(name for group in groups for name in group.figures))


def _spread(group: Group, name: str) -> str:
    """Return a figure of a group as a cell; how many had it, if not all."""
    figure = group.figures.get(name)
    if figure is None:
        return ""
    spread = "" if figure.deviation is None else f" ± {figure.deviation:.2g}"
    some = "" if figure.count == group.count else f" ({figure.count} of {group.count})"
    return f"{figure.mean:.5g}{spread}{some}"


# ---- one run -------------------------------------------------------------------------------------


def print_run(run: Mapping[str, Any]) -> None:
    """Print everything about a run: the record and what was said about it."""
    for name, text in _facts(run):
        click.echo(f"{name:<11} {text}")
    click.echo()
    stages = [
        [name, stage["state"], stage.get("how"), _seconds(stage), _reason(stage)]
        for name, stage in run.get("stages", {}).items()
    ]
    print_table("Stages", ["stage", "state", "how", "took", "because"], stages)
    for title, group in (("Parameters", "params"), ("Metrics", "metrics")):
        print_table(title, ["name", "value"], _leaves(run.get(group, {})))
    series = [
        [name, found["points"], *(_value(found.get(key)) for key in ("last", "least", "most"))]
        for name, found in run.get("series", {}).items()
    ]
    print_table("Curves", ["name", "points", "last", "least", "most"], series)
    artifacts = [
        [path, found.get("stage"), found.get("size"), found.get("hash")]
        for path, found in run.get("artifacts", {}).items()
    ]
    print_table("Artifacts", ["path", "stage", "bytes", "hash"], artifacts)
    data = list(run.get("data", {}).items())
    print_table("Data", ["path", "hash"], data)


def _facts(run: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield what is to be said of a run line by line, without what there is not."""
    facts = {
        "run": run["id"],
        "name": run.get("name"),
        "state": run["state"] + (", starred" if run.get("starred") else ""),
        "removed": local_time(run["removed"]) if run.get("removed") else "",
        "reason": run.get("reason"),
        "started": local_time(run["started"]) if run.get("started") else "",
        "took": duration(run["wall_seconds"]) if run.get("wall_seconds") is not None else "",
        "origin": ", ".join(f"{value}" for value in run.get("origin", {}).values()),
        "overrides": " ".join(run.get("overrides", ())),
        "by": " on ".join(filter(None, (run.get("who", {}).get("name"), run.get("host")))),
        "code": _code(run.get("code", {})),
        "left out": _left_out(run.get("code", {})),
        "experiment": run.get("experiment", {}).get("name"),
        "failure": run.get("failure", {}).get("message"),
        "tags": ", ".join(run.get("tags", ())),
        "hypothesis": run.get("hypothesis"),
        "note": run.get("note"),
    }
    for name, value in facts.items():
        for number, line in enumerate(str(value or "").splitlines()):
            yield ("" if number else name), line


def _code(code: Mapping[str, Any]) -> str:
    """Return which code it was."""
    if not code.get("commit"):
        return ""
    branch = f" on {code['branch']}" if code.get("branch") else ""
    return f"{code['commit'][:12]}{branch}" + (", with edits" if code.get("dirty") else "")


def _left_out(code: Mapping[str, Any]) -> str:
    """Return a line for each of the first files of the workspace that the code is without."""
    files = code.get("left_out") or []
    lines = [f"{one['path']} ({one['reason']})" for one in files[:_MOST_FILES]]
    more = len(files) - len(lines)
    return "\n".join([*lines, f"and {more} more; `--json` has all"] if more else lines)


def _seconds(stage: Mapping[str, Any]) -> str:
    """Return how long a stage took."""
    return "" if stage.get("seconds") is None else duration(stage["seconds"])


def _reason(stage: Mapping[str, Any]) -> str:
    """Return why a stage was run, or what kept it from ending well."""
    from mlops_nb.runs.failure import cause_in

    message = cause_in(stage) if stage.get("error") else ""
    why = stage.get("why")
    return str(message or (", ".join(map(str, why)) if isinstance(why, list) else why) or "")


def _leaves(values: Mapping[str, Any], prefix: str = "") -> list[list[str]]:
    """Return the values of a nested mapping under dotted names."""
    found = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            found += _leaves(value, f"{prefix}{name}.")
        else:
            found.append([f"{prefix}{name}", _value(value)])
    return found

