"""The benchmarks' own arithmetic, and that the meter counts every process."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.comparison import (
    Command,
    CommandFailed,
    Comparison,
    Finding,
    Goal,
    Sample,
    compare,
    run_once,
    run_until_it_works,
)
from benchmarks.no_op import copy_project
from benchmarks.results import (
    Answer,
    machine,
    markdown,
    read_answers,
    seconds,
    table,
    write_answers,
)
from benchmarks.start_up import COMMANDS

BURN = "import time\nwhile time.process_time() < 0.3: pass\n"
LEFT_BEHIND = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {BURN!r}])"


def python(source: str, folder: Path, says: str = "") -> Command:
    return Command("python", (sys.executable, "-c", source), folder, says=says)


def compared(
    ours: Iterable[float], peer: Iterable[float], goal: Goal | None = None, calls: int = 1
) -> Finding:
    """Compare commands that take these seconds, the warm-ups first."""
    remaining = {"ours": iter(ours), "peer": iter(peer)}
    order: list[str] = []

    def run(command: Command) -> Sample:
        order.append(command.name)
        return Sample(wall=next(remaining[command.name]), cpu=0.0)

    first, second = (Command(name, (), Path()) for name in remaining)
    comparison = Comparison(first, second, {"wall": goal}, rounds=3, calls=calls)
    (finding,) = compare(comparison, run)
    assert order == ["ours", "peer"] * 4
    return finding


def test_the_cpu_time_of_a_command_is_counted(tmp_path: Path) -> None:
    assert run_once(python(BURN, tmp_path)).cpu >= 0.3


def test_the_cpu_time_of_a_process_that_was_left_behind_is_counted(tmp_path: Path) -> None:
    assert run_once(python(LEFT_BEHIND, tmp_path)).cpu >= 0.3


def test_a_peer_that_fails_by_itself_now_and_then_is_tried_again(tmp_path: Path) -> None:
    source = "import pathlib as p; f = p.Path('tried'); f.exists() or (f.touch(), exit(1))"
    command = python(source, tmp_path)
    with pytest.raises(CommandFailed):
        run_until_it_works(command)
    (tmp_path / "tried").unlink()
    assert run_until_it_works(replace(command, tries=2)).cpu > 0


def test_a_number_that_the_command_prints_is_its_own_figure(tmp_path: Path) -> None:
    assert run_once(python("print(0.25)", tmp_path)).own == 0.25


@pytest.mark.parametrize("source", ["raise SystemExit(3)", "print('error: no project')"])
def test_a_command_that_did_not_do_its_work_is_not_measured(tmp_path: Path, source: str) -> None:
    with pytest.raises(CommandFailed):
        run_once(python(source, tmp_path, says="fit together"))


def test_the_ratio_is_that_of_the_medians_and_the_range_that_of_the_pairs() -> None:
    finding = compared(ours=[99, 1, 2, 6], peer=[99, 4, 4, 2])
    assert (finding.ours, finding.peer, finding.ratio) == (2, 4, 0.5)
    assert (finding.lowest, finding.highest) == (0.25, 3)


def test_figures_are_per_call_where_a_command_makes_many() -> None:
    finding = compared(ours=[9, 2, 2, 2], peer=[9, 4, 4, 4], calls=1000)
    assert (finding.ours, finding.peer, finding.ratio) == (0.002, 0.004, 0.5)


def test_a_goal_allows_a_factor_and_an_allowance() -> None:
    goal = Goal(3, allowance=0.25)
    assert goal.is_met(ours=3.25, peer=1)
    assert not goal.is_met(ours=3.26, peer=1)


def test_durations_have_three_digits_and_a_unit() -> None:
    assert [seconds(value) for value in (12.345, 0.2, 0.000042)] == ["12.3 s", "200 ms", "42 µs"]


def test_the_page_says_which_goals_are_met_and_can_be_made_again(tmp_path: Path) -> None:
    met = compared([1] * 4, [2] * 4, Goal(0.6))
    missed = compared([2] * 4, [2] * 4, Goal(0.6))
    free = compared([2] * 4, [2] * 4)
    assert [row[-1] for row in table([met, missed, free])] == ["met", "not met", ""]
    facts = {"date": "2013-01-01", "cores": "2"}
    answers = {
        "one": Answer(table([met, missed]), (), facts),
        "two": Answer(table([free]), [("server, private", "72 MB")], facts | {"cores": "4"}),
    }
    page = markdown(answers.values(), ["DVCLive"])
    assert "1 of 2 goals met" in page
    row = "| ours | peer | wall | 1 s | 2 s | 0.50 | 0.50 to 0.50 | ≤ 0.6 peer | met | 2013-01-01 |"
    assert row in page
    assert "- cores: 2\n" in page and "- DVCLive\n" in page
    assert "## Memory of a warm server at rest\n\n- server, private: 72 MB\n" in page
    write_answers(tmp_path / "results.json", answers)
    kept = read_answers(tmp_path / "results.json")
    assert markdown(kept.values(), ["DVCLive"]) == page


def test_the_machine_is_described() -> None:
    assert {"date", "cores", "CPU", "memory", "Python"} <= set(machine())
    assert all(machine().values())


def test_the_copied_project_is_the_one_on_disk(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "copy")
    assert (project / "dvc.yaml").is_file() and (project / ".git").is_dir()
    assert not (project / ".nbpy").exists()


def test_every_start_up_command_names_what_its_output_must_hold() -> None:
    assert all(COMMANDS.values())
