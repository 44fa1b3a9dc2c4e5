"""Commands of a pipeline: an interruption reaches each of them, whenever it comes."""

import signal
import time
from typing import Any

import pytest

from mlops_nb.pipeline import command as command_module
from mlops_nb.pipeline.command import Commands

SLEEP = ["sleep", "60"]


def test_a_command_that_is_started_while_somebody_interrupts_is_interrupted() -> None:
    commands = Commands()
    commands.interrupt()
    assert commands.run(SLEEP, print) == -signal.SIGINT


def test_an_interruption_between_the_start_and_the_note_of_it_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commands, popen = Commands(), command_module.subprocess.Popen

    def start(*words: Any, **how: Any) -> Any:
        process = popen(*words, **how)
        commands.interrupt()
        return process

    monkeypatch.setattr(command_module.subprocess, "Popen", start)
    assert commands.run(SLEEP, print) == -signal.SIGINT


def test_what_an_interrupted_command_has_started_ends_with_it() -> None:
    commands, said = Commands(), []

    def hear(line: str) -> None:
        said.append(line)
        commands.interrupt()

    script = "trap 'exit 7' INT; sleep 60 & echo begun; wait"
    began = time.monotonic()
    assert commands.run(["sh", "-c", script], hear) == 7
    assert said == ["begun"]
    assert time.monotonic() - began < 50
