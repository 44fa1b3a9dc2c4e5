"""Processes that all begin the same moment, as those of a sweep do."""

from __future__ import annotations

import subprocess
import sys

_FORK = """
import os, sys
_, count, source, *arguments = sys.argv
{prepare}
waiting, starter = os.pipe()
for number in range(int(count)):
    if os.fork() == 0:
        os.close(starter)
        os.read(waiting, 1)
        exec(source)
        os._exit(0)
os.close(starter)
while True:
    try:
        _, status = os.wait()
    except ChildProcessError:
        break
    assert status == 0, status
"""


def at_once(count: int, prepare: str, source: str, *arguments: object) -> None:
    """Do `source` in so many processes, forked after `prepare`, which wait for one another.

    Both see `arguments`, as texts, and `source` the `number` of its process.
    """
    words = [sys.executable, "-c", _FORK.format(prepare=prepare), str(count), source]
    subprocess.run([*words, *map(str, arguments)], check=True, timeout=300)
