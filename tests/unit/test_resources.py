import os
import subprocess
import sys

from mlops_nb.notebook.resources import Meter

HUNGRY = "block = b'x' * 100_000_000; print('ready', flush=True); input()"


def test_the_memory_of_a_child_counts() -> None:
    meter = Meter(os.getpid())
    meter.begin()
    alone = meter.end().peak_memory_bytes or 0
    with subprocess.Popen(
        [sys.executable, "-c", HUNGRY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout and child.stdout.readline()
        meter.begin()
        both = meter.end().peak_memory_bytes or 0
        child.communicate(b"\n")
    assert both - alone > 90_000_000


def test_processor_time_is_counted_from_the_begin() -> None:
    meter = Meter(os.getpid())
    meter.begin()
    sum(range(5_000_000))
    assert meter.end().cpu_seconds > 0
    assert meter.total_cpu_seconds > meter.end().cpu_seconds
