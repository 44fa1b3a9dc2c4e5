"""A notebook-first reproducibility toolkit: a notebook is a function.

The public names are these; everything else is reached through its own package.
They are imported on first use, so that `import mlops_nb` costs next to nothing.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False  # for type checkers; typing itself would be the dearest import
if TYPE_CHECKING:
    from .magics import load_ipython_extension as load_ipython_extension
    from .notebook.ports import In as In
    from .notebook.ports import Metrics as Metrics
    from .notebook.ports import Out as Out
    from .notebook.ports import Plots as Plots
    from .notebook.ports import Secret as Secret
    from .pipeline.listing import runs as runs  # as it is called: docs/decisions/0014
    from .runs.recorder import record as record

__all__ = ["In", "Metrics", "Out", "Plots", "Secret", "load_ipython_extension", "record", "runs"]

_HOMES = {
    "In": "notebook.ports",
    "Metrics": "notebook.ports",
    "Out": "notebook.ports",
    "Plots": "notebook.ports",
    "Secret": "notebook.ports",
    "load_ipython_extension": "magics",
    "record": "runs.recorder",
    "runs": "runs",
}


def __getattr__(name: str) -> object:
    """Import a public name from its home on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    home = import_module(f"{__name__}.{_HOMES[name]}")
    value = home if name == _HOMES[name] else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
