"""Progress by cell: live on a terminal, plain lines in a pipe; always on standard error."""

from __future__ import annotations

import contextlib
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from threading import Timer
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import click

if TYPE_CHECKING:
    from mlops_nb.notebook.event import Event


_QUIET_SECONDS = 10.0


class Display:
    """Something live on a terminal, or nothing in a pipe; left with the context."""

    _live: Any = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            with contextlib.suppress(OSError):  # the terminal was closed
                self._live.stop()


class LiveTable(Display, ABC):
    """A table that is drawn anew while things happen, with lines above it; lines alone in a pipe."""

    _console: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._console = Console(stderr=True)  # it is drawn before there is a `_live`
            self._live = Live(
                get_renderable=self._shown, console=self._console, refresh_per_second=4,
                transient=True,
            )  # fmt: skip
            self._live.start()
        return self

    @abstractmethod
    def _shown(self) -> Any:
        """Return what is drawn."""

    def _print(self, line: str) -> None:
        """Print a line, above the table if there is one."""
        if self._live is None:
            click.echo(line, err=True)
        else:
            self._live.console.print(line, markup=False, highlight=False, soft_wrap=True)


class Progress(Display):
    """Shows the events of one execution, which `listener` hears too; a context manager."""

    def __init__(self, name: str, listener: Callable[[Event], None] | None = None) -> None:
        self._name, self._listener = name, listener
        self._task: Any = None

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Live

            self._live = Live(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[title]}", markup=False),
                console=Console(stderr=True),
            )
            self._live.start()
            self._task = self._live.add_task(self._name, title="starting the kernel", total=None)
        return self

    def watch(self, event: Event) -> None:
        """Show one event; that nobody reads any more does not stop the execution."""
        if self._listener:
            self._listener(event)
        with contextlib.suppress(OSError):  # a pipe without reader, a terminal that was closed
            self._show(event)

    def _show(self, event: Event) -> None:
        if event.kind in ("cold", "resumed"):
            self._say(event.title)
            return
        done = event.position - (event.kind == "started")
        cell = f"cell {event.number}" if event.number else "parameters"
        if self._live is not None:
            title = f"{cell}: {event.title}"
            self._live.update(self._task, completed=done, total=event.total, title=title)
        elif event.kind == "finished":
            how = f" ({event.resumed})" if event.resumed else ""
            state = f"{cell} {event.state} {event.wall_seconds:.1f} s{how}"
            click.echo(f"{self._name} [{done}/{event.total}] {state}  {event.title}", err=True)

    def _say(self, text: str) -> None:
        """Show one line, above the progress if it is live."""
        if self._live is not None:
            self._live.console.print(f"{self._name}: {text}", markup=False, highlight=False)
        else:
            click.echo(f"{self._name}: {text}", err=True)


@contextlib.contextmanager
def patience(text: str, after: float = 0.5) -> Iterator[None]:
    """Say `text` on a terminal for as long as something takes that takes longer than `after`."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    status = Console(stderr=True).status(text)
    timer = Timer(after, status.start)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        status.stop()


@contextlib.contextmanager
def counting(text: str, after: float = 1.0) -> Iterator[Callable[[int, int], None]]:
    """Give what shows how many of all are done, if it takes longer than `after` seconds.

    On a terminal that is one line that changes; in a pipe a line a step, at most one in 10 seconds.
    """
    said, is_terminal = time.monotonic(), sys.stderr.isatty()
    status: Any = None
    if is_terminal:
        from rich.console import Console

        status = Console(stderr=True).status(text)
        timer = Timer(after, status.start)
        timer.start()

    def follow(done: int, total: int) -> None:
        nonlocal said
        if is_terminal:
            status.update(f"{text}: {done} of {total}")
        elif time.monotonic() - said > _QUIET_SECONDS:
            said = time.monotonic()
            click.echo(f"{text}: {done} of {total}", err=True)

    try:
        yield follow
    finally:
        if is_terminal:
            timer.cancel()
            timer.join()
            status.stop()
