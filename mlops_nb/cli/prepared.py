"""The command line with everything loaded that executing a notebook takes, for the warm server."""

import importlib
from collections.abc import Callable, Sequence

MODULES = (
    "mlops_nb.cli.app",
    "mlops_nb.cli.progress",
    "mlops_nb.notebook.execute",
    "mlops_nb.notebook.kernel",
    "mlops_nb.notebook.saver",
    "mlops_nb.notebook.supervise",
    "mlops_nb.pipeline.execution",
    "mlops_nb.pipeline.libraries",
    "mlops_nb.warm.provisioner",
    "IPython.paths",
    "encodings.ascii",
    "ipykernel.kernelspec",
    "jupyter_client.asynchronous",
    "nbclient",
    "nbformat",
    "pwd",
    "rich.progress",
    "rich.console",
)
PREPARE = f"{__name__}:prepare"
"""How a server that is started finds what follows."""


def prepare() -> Callable[[Sequence[str]], int]:
    """Load it all, and return the function that runs a command line."""
    from mlops_nb.cli.app import run
    from mlops_nb.notebook.engine import prepare_papermill

    prepare_papermill()  # first, because it hides what costs much
    from jupyter_client.provisioning.factory import KernelProvisionerFactory
    from nbformat.validator import get_validator

    for name in MODULES:
        importlib.import_module(name)
    get_validator(4, 5)  # type: ignore[no-untyped-call]  # compiled on first use
    # It reads what every installed package offers; who installs one more replaces the server.
    KernelProvisionerFactory.instance()
    return run
