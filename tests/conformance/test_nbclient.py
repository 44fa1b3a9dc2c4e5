"""nbclient's own suite on kernels that our provisioner starts."""

from pathlib import Path

import pytest

from tests.conformance.suite import Suite

pytestmark = pytest.mark.slow

OPTIONS = ("-p", "pytest_asyncio.plugin", "-p", "flaky.flaky_pytest_plugin")
SCOPE = ("-o", "asyncio_default_fixture_loop_scope=function")  # a warning else, which is an error
ENVIRON = {"JUPYTER_DEFAULT_PROVISIONER_NAME": "mlops-nb-warm"}
NBCLIENT = Suite("nbclient", (*OPTIONS, *SCOPE, "tests"), ENVIRON)


def test_nbclients_suite_passes_with_our_provisioner(tmp_path: Path) -> None:
    NBCLIENT.check(tmp_path, warm=True)
