"""Run the command line: `python -m mlops_nb` and the script `mlops-nb`."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Sequence

TYPE_CHECKING = False  # typing takes longer to import than a warm command does
if TYPE_CHECKING:
    from typing import Any


def main() -> None:
    """Run the command line, warm if it executes a notebook, and exit with its code."""
    given = time.monotonic()
    arguments = sys.argv[1:]
    if arguments[:1] == ["execute"]:
        sys.exit(_run_warm_or_here(arguments, given))
    sys.exit(run_here(arguments))


def run_here(arguments: Sequence[str], watch: Callable[[Any], None] | None = None) -> int:
    """Run the command line in this process; return its exit code.

    `watch` is told of every cell that starts or ends.
    """
    from .cli.app import run

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # A scheduler's request to end, and a terminal that is closed, are a Ctrl-C: what was done is
        # kept, and no kernel is left. (Under `nohup`, a closed terminal is ignored.)
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, signal.SIGTERM)
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
    return run(arguments, watch)


def _run_warm_or_here(arguments: Sequence[str], given: float) -> int:
    """Run the command line in the warm server, or here, and have a server for the next time."""
    from .warm.place import why_off

    if why_off():
        return run_here(arguments)
    from .warm.client import ColdStart, run_warm, stop_server

    try:
        return run_warm(arguments, given)
    except ColdStart as cold:
        if str(cold):
            print(f"cold start: {cold}", file=sys.stderr)
        cells: list[Any] = []
        code = run_here(arguments, cells.append)
        if cold.replace:
            stop_server()
        if cells and (cold.replace or not str(cold)):
            _start_server()
        return code


def _start_server() -> None:
    """Start a server for the next time; that there can be none fails nothing that was done."""
    from .cli.prepared import PREPARE
    from .errors import UsageError
    from .warm.client import start_server, within_execution

    if within_execution():
        return
    try:
        start_server(PREPARE)
    except UsageError as error:
        print(error, file=sys.stderr)


if __name__ == "__main__":
    main()
