"""What it costs to lose nothing of much output, against nbclient, which saves nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tests.warm import warm_server

from .cold_execute import write_notebook
from .comparison import SCRIPTS, Command, Comparison, Goal

CELLS, LINES = 100, 2000
PRINT = "for line in range({lines}):\n    print(f'{{line:06d}}', '{number:03d}' * 30, 'x')"
"""Prints lines of 100 characters."""
NBCLIENT = """
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read("much.ipynb", as_version=4)
NotebookClient(notebook, kernel_name="python3").execute()
"""


def comparisons(folder: Path) -> Iterator[Comparison]:
    """Yield the comparisons, on a notebook of 100 cells that print 200 kB each."""
    cells = [PRINT.format(lines=LINES, number=number) for number in range(CELLS)]
    write_notebook(folder / "much.ipynb", *cells)
    words = (str(SCRIPTS / "mlops-nb"), "execute", "much.ipynb", "-o", "ours.ipynb")
    own = {"XDG_STATE_HOME": str(folder / "state"), "IPYTHONDIR": str(folder / "ipython")}
    with warm_server(environ=own) as warm:
        environ = warm.own
        peer = Command("nbclient", (sys.executable, "-c", NBCLIENT), folder, environ)
        ours = Command("mlops-nb execute, 20 MB of output, warm", words, folder, environ)
        yield Comparison(ours, peer, {"wall": Goal(1.3)})
        cold = Command(
            "mlops-nb execute, 20 MB of output, cold",
            words,
            folder,
            environ | {"MLOPS_NB_WARM": "0"},
        )
        yield Comparison(cold, peer, {"wall": None, "cpu": None})
