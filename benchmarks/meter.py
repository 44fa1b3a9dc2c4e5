"""Run one command and say what its whole process tree cost.

A script of its own, started afresh for each measurement: `python meter.py RESULT COMMAND...` writes
`{"wall": s, "cpu": s, "status": n}` to the file RESULT.
"""

import ctypes
import json
import os
import subprocess
import sys
import time

PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends before it (Linux only).

    `wait4` counts a process together with the descendants that it waited for. One that was left
    behind, such as a kernel, would be counted by nobody; so it is left to us.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def measure(command: list[str]) -> dict[str, float]:
    """Run `command` to its end, and every process that it started to theirs."""
    adopt_orphans()
    start = time.perf_counter()
    child = subprocess.Popen(command)
    status, wall, cpu = 0, 0.0, 0.0
    while True:
        try:
            pid, code, usage = os.wait4(-1, 0)
        except ChildProcessError:  # none is left
            return {"wall": wall, "cpu": cpu, "status": status}
        cpu += usage.ru_utime + usage.ru_stime
        if pid == child.pid:
            wall, status = time.perf_counter() - start, os.waitstatus_to_exitcode(code)


if __name__ == "__main__":
    outcome = measure(sys.argv[2:])
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump(outcome, file)
