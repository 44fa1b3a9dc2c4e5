"""The config of a project: composed by Hydra, checked against the notebooks, frozen in a file."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .compose import compose as compose
    from .config import Config as Config

__all__ = ["Config", "compose"]


def __getattr__(name: str) -> object:
    """Import a public name on first use (PEP 562): Hydra is slow to load."""
    from importlib import import_module

    homes = {"Config": "config", "compose": "compose"}
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{homes[name]}"), name)
