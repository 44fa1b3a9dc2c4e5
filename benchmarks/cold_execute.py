"""What a cold execution costs, against the command line of papermill."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .comparison import SCRIPTS, Command, Comparison, Goal

TRIVIAL = ("numbers = [1, 2, 3]", "print(sum(numbers))")
IMPORTING = (
    "import matplotlib.pyplot as plt\nimport pandas as pd\n"
    "from sklearn.linear_model import LogisticRegression",
    "LogisticRegression().fit(pd.DataFrame({'x': [0, 1]}), [0, 1]).coef_.shape",
)


def write_notebook(path: Path, *cells: str) -> None:
    """Write a notebook of code cells as JupyterLab would save it."""
    code: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "id": f"cell-{number}",
            "metadata": {},
            "source": source,
            "outputs": [],
            "execution_count": None,
        }
        for number, source in enumerate(cells)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {
        "cells": code,
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.write_text(json.dumps(notebook, indent=1) + "\n", encoding="utf-8")


def comparisons(folder: Path) -> Iterator[Comparison]:
    """Yield the comparisons, on notebooks written to `folder`."""
    environ = {"XDG_STATE_HOME": str(folder / "state"), "IPYTHONDIR": str(folder / "ipython")}
    for name, cells, goal in (
        ("two trivial cells", TRIVIAL, Goal(0.6)),
        ("imports of pandas, matplotlib, scikit-learn", IMPORTING, None),
    ):
        notebook = folder / f"{name.partition(' ')[0]}.ipynb"
        write_notebook(notebook, *cells)
        ours = (str(SCRIPTS / "mlops-nb"), "execute", notebook.name, "-o", "ours.ipynb")
        peer = (str(SCRIPTS / "papermill"), notebook.name, "peer.ipynb")
        yield Comparison(
            Command(f"mlops-nb execute, {name}", ours, folder, environ),
            Command("papermill", peer, folder, environ),
            {"cpu": goal, "wall": None},
        )
