"""What one waits for a notebook whose kernel is warm, against papermill and a plain script."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.warm import warm_server

from .cold_execute import IMPORTING, write_notebook
from .comparison import SCRIPTS, Command, Comparison, Goal

ROOT = Path(__file__).parents[1]
LIBRARIES = ("matplotlib.pyplot", "pandas", "sklearn.linear_model")
AT_ONCE = 12
PATIENCE_SECONDS = 300  # papermill waits without end for a kernel that found its port taken
OURS = (str(SCRIPTS / "mlops-nb"), "execute", "importing.ipynb", "-o")
PAPERMILL = (str(SCRIPTS / "papermill"), "importing.ipynb")
SCRIPT = (sys.executable, "importing.py")


def comparisons(folder: Path) -> Iterator[Comparison]:
    """Yield the comparisons, on a notebook written to `folder`, beside a server of its own."""
    write_notebook(folder / "importing.ipynb", *IMPORTING)
    (folder / "importing.py").write_text("\n".join(IMPORTING) + "\n", encoding="utf-8")
    own = {"XDG_STATE_HOME": str(folder / "state"), "IPYTHONDIR": str(folder / "ipython")}
    with warm_server(*LIBRARIES, environ=own) as warm:
        environ = warm.own

        def command(name: str, *words: str) -> Command:
            return Command(name, words, folder, environ)

        ours = command("mlops-nb execute, warm, with imports", *OURS, "ours.ipynb")
        papermill = command("papermill", *PAPERMILL, "peer.ipynb")
        yield Comparison(ours, papermill, {"wall": Goal(0.1)})
        yield Comparison(ours, command("python script.py", *SCRIPT), {"wall": Goal(0.5)})
        many = command(
            f"{AT_ONCE} mlops-nb execute at once, warm", *at_once(*OURS, "ours-{}.ipynb")
        )
        peers = command(f"{AT_ONCE} papermill at once", *at_once(*PAPERMILL, "peer-{}.ipynb"))
        peers = dataclasses.replace(peers, tries=3)  # their kernels may take each other's ports
        yield Comparison(many, peers, {"wall": Goal(0.05)}, rounds=5)


def at_once(*words: str) -> tuple[str, ...]:
    """Return the command line that runs `words` many times at once; `{}` stands for a number."""
    return (sys.executable, "-m", "benchmarks.warm_execute", *words)


def run_at_once(words: list[str]) -> int:
    """Run the command many times at once; return 0 if every one did so, and in time."""
    runs = [
        subprocess.Popen([word.format(number) for word in words], stderr=subprocess.DEVNULL)
        for number in range(AT_ONCE)
    ]
    late = time.monotonic() + PATIENCE_SECONDS
    try:
        return max(abs(run.wait(late - time.monotonic())) for run in runs)
    except subprocess.TimeoutExpired:
        return 1
    finally:
        for run in runs:
            run.kill()


if __name__ == "__main__":
    raise SystemExit(run_at_once(sys.argv[1:]))
