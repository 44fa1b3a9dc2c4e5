"""A pytest plugin: write what became of each test, and of each file that could not be collected."""

import json
import os
from pathlib import Path

import pytest

WORSE = ("passed", "skipped", "failed")


class Recorder:
    """Keep the worst outcome of each test and of each subtest in it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._outcomes: dict[str, str] = {}

    def _note(self, test: str, outcome: str) -> None:
        known = self._outcomes.get(test, "passed")
        self._outcomes[test] = max(known, outcome, key=WORSE.index)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if not report.passed:
            self._note(report.nodeid, report.outcome)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        part = getattr(report, "context", None)  # of a subtest
        names = [] if part is None else [f"{name}={value}" for name, value in part.kwargs.items()]
        self._note(" ".join([report.nodeid, *names]), report.outcome)

    def pytest_sessionfinish(self) -> None:
        self._path.write_text(json.dumps(self._outcomes))


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Recorder(Path(os.environ["CONFORMANCE_REPORT"])))
