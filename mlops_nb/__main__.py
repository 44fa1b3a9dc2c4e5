"""Run the command line: `python -m mlops_nb` and the script `mlops-nb`."""

import signal
import sys


def main() -> None:
    """Run the command line and exit with its code."""
    from .cli.app import run

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # A scheduler's request to end is a Ctrl-C: what was done is kept, and no kernel is left.
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
