"""Run the command line: `python -m mlops_nb` and the script `mlops-nb`."""

import contextlib
import os
import signal
import sys
from collections.abc import Sequence


def main() -> None:
    """Run the command line, warm if it executes a notebook, and exit with its code."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["execute"] and sys.platform == "linux":
        sys.exit(_run_warm_or_here(arguments))
    sys.exit(run_here(arguments))


def run_here(arguments: Sequence[str]) -> int:
    """Run the command line in this process; return its exit code."""
    from .cli.app import run

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # A scheduler's request to end, and a terminal that is closed, are a Ctrl-C: what was done is
        # kept, and no kernel is left. (Under `nohup`, a closed terminal is ignored.)
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, signal.SIGTERM)
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
    return run(arguments)


def _run_warm_or_here(arguments: Sequence[str]) -> int:
    """Run the command line in the warm server, or here, and have a server for the next time."""
    if os.environ.get("MLOPS_NB_WARM") == "0":
        return run_here(arguments)
    from .warm.client import ColdStart, run_warm, start_server, stop_server

    try:
        return run_warm(arguments)
    except ColdStart as cold:
        if str(cold):
            print(f"cold start: {cold}", file=sys.stderr)
        code = run_here(arguments)
        if cold.replace:
            stop_server()
        if cold.replace or not str(cold):
            with contextlib.suppress(OSError):  # there is nowhere to put it
                start_server()
        return code


if __name__ == "__main__":
    main()
