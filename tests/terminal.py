"""A command in a terminal of its own, in which one can press keys."""

from __future__ import annotations

import os
import pty
import re
import time
from pathlib import Path
from typing import Any

from tests.kills import until

CTRL_C = b"\x03"


class Terminal:
    """A command in a terminal of its own."""

    def __init__(self, command: list[str], cwd: Path, environ: dict[str, str]) -> None:
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.chdir(cwd)
            os.execvpe(command[0], command, environ)
        os.set_blocking(self._terminal, False)
        self.shown = b""

    def press(self, keys: bytes) -> None:
        os.write(self._terminal, keys)

    def close(self) -> None:
        """Close the terminal, as one closes a window."""
        os.close(self._terminal)

    def wait_for(self, text: str, seconds: float = 60.0) -> None:
        """Return when `text` has been shown."""
        deadline = time.monotonic() + seconds
        while text not in self.text:
            assert time.monotonic() < deadline, f"not shown: {text}\n{self.text}"
            time.sleep(0.02)
            self._read()

    @property
    def text(self) -> str:
        """What was shown, without colours and movements."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.shown.decode(errors="replace"))

    def end(self, seconds: float = 30.0) -> int:
        """Return the exit code."""

        def ended() -> Any:
            self._read()
            return os.waitpid(self._pid, os.WNOHANG)[1:] if self._is_over() else None

        return os.waitstatus_to_exitcode(until(ended, "the end of the command", seconds)[0])

    def _is_over(self) -> bool:
        return os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _read(self) -> None:
        try:
            self.shown += os.read(self._terminal, 2**16)
        except OSError:  # nothing, or nobody there any more
            return
