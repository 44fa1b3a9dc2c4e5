"""What holds for every test: fast ones first, and nothing is skipped where it counts."""

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a shell script
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests press Ctrl-C
os.environ.setdefault("MLOPS_NB_WARM", "0")  # only the tests of it leave a warm server standing

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")  # how long an example takes says something about the machine alone


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what is fast before what is slow, so that a simple mistake shows at once."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run of the delivery checks that skipped a test: there it stands for not tested."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter and reporter.stats.get("skipped"):
        reporter.write_line("")
        reporter.write_line("skipped tests count as failures when CI is set", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
