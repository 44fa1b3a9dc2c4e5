"""Builders that the unit tests share: a signature from source, a notebook file, a small project."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from mlops_nb.core.project import Project
from mlops_nb.notebook.document import Cell, Document
from mlops_nb.notebook.signature import Signature, read_signature


def signature_of(source: str, *earlier: str, root: Path | None = None) -> Signature:
    """Return the signature of a notebook whose parameters cell is `source`."""
    cells = [Cell(n, "code", text, frozenset(), f"c{n}") for n, text in enumerate(earlier, 1)]
    parameters = Cell(len(cells) + 1, "code", source, frozenset({"parameters"}), "p")
    place = (root or Path()) / "nb.ipynb"
    return read_signature(Document(place, (*cells, parameters), "python3", "python"), root)


def notebook_json(*cells: str, parameters: str | None = None) -> dict[str, object]:
    """Return a notebook as JupyterLab saves it; `parameters` becomes the tagged first cell."""
    tagged = [(parameters, ["parameters"])] if parameters is not None else []
    return {
        "cells": [
            {
                "cell_type": "code",
                "execution_count": None,
                "id": f"cell-{number}",
                "metadata": {"tags": tags} if tags else {},
                "outputs": [],
                "source": source.splitlines(keepends=True),
            }
            for number, (source, tags) in enumerate([*tagged, *((cell, []) for cell in cells)])
        ],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def write_project(root: Path, stages: Mapping[str, str], conf: Mapping[str, str]) -> Project:
    """Write a project without git or DVC: its parameters cells by file stem, its conf by name."""
    project = Project(root)
    project.pipeline.mkdir(parents=True, exist_ok=True)
    for stem, parameters in stages.items():
        path = project.pipeline / f"{stem}.ipynb"
        path.write_text(json.dumps(notebook_json(parameters=parameters)), encoding="utf-8")
    for name, text in conf.items():
        path = project.conf / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return project


@pytest.fixture(scope="session")
def read() -> Callable[..., Signature]:
    """Return the builder of signatures."""
    return signature_of


@pytest.fixture(scope="session")
def notebook() -> Callable[..., dict[str, object]]:
    """Return the builder of notebooks, as JSON."""
    return notebook_json


@pytest.fixture(scope="session")
def build() -> Callable[..., Project]:
    """Return the builder of projects."""
    return write_project
