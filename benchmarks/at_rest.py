"""How much memory a warm server takes while nobody asks anything of it."""

from __future__ import annotations

from collections.abc import Iterator

from tests.warm import warm_server

from .comparison import Reading
from .warm_execute import LIBRARIES


def readings() -> Iterator[Reading]:
    """Yield the memory of each process of a server that has loaded what notebooks import."""
    with warm_server(*LIBRARIES) as warm:
        status = warm.status()
    (spare,) = (kernel for kernel in status["zygote"]["kernels"] if kernel["spare"])
    named = {"server": status["server"], "zygote": status["zygote"], "waiting kernel": spare}
    for name, process in named.items():
        yield Reading(f"{name}, private", _megabytes(process["private_bytes"]))
    proportional = sum(process["proportional_bytes"] for process in named.values())
    yield Reading("all three, shared pages counted once", _megabytes(proportional))


def _megabytes(size: int) -> str:
    """Return a number of bytes as people read it."""
    return f"{size / 1e6:.0f} MB"
