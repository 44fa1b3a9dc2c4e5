"""The config of a project: composed by Hydra, checked against the notebooks, frozen in a file."""

from .compose import compose as compose
from .config import Config as Config

__all__ = ["Config", "compose"]
