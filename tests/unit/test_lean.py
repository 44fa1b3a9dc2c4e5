"""What nobody needs is not imported, whichever way the notebook libraries come in."""

import subprocess
import sys

import pytest

WAYS = {
    "the warm server": "from mlops_nb.cli.prepared import prepare; prepare()",
    "a replay": "from mlops_nb.notebook.replay import _client; _client({'cells': []})",
    "an old notebook": (
        "from mlops_nb.notebook.document import _upgraded\n"
        '_upgraded(\'{"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": []}\', "nb")'
    ),
    "papermill": ("from mlops_nb.notebook.engine import prepare_papermill; prepare_papermill()"),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_grammar_of_resource_identifiers_is_not_compiled(way: str) -> None:
    code = f"{WAYS[way]}\nimport sys; print('nbformat' in sys.modules, 'lark' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]
