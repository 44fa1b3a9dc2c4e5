"""A pytest plugin: papermill executes with our engine where none is named."""

from typing import Any

import papermill.engines
import pytest

from mlops_nb.notebook.engine import Engine

papermill.engines.papermill_engines.register(None, Engine)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the tests that start papermill as a command do so with our engine as well."""
    modules = {item.module for item in items if isinstance(item, pytest.Function)}
    for module in modules:
        if hasattr(module, "papermill_cli"):
            module.papermill_cli = _with_engine(module.papermill_cli)


def _with_engine(command: Any) -> Any:
    def run(arguments: Any = None, **options: Any) -> Any:
        return command(["--engine", "mlops_nb", *(arguments or ())], **options)

    return run
