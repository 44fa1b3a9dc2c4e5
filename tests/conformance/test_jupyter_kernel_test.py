"""The suite for kernels of the Jupyter project, on the kernel that `warm install` installs."""

from pathlib import Path

import pytest

from tests.conformance.suite import Suite, install_kernel

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("start", ["warm", "cold"])
def test_the_warm_kernel_speaks_the_protocol(tmp_path: Path, start: str) -> None:
    arguments = ("-p", "conformance_kernel", "test_ipykernel.py")
    suite = Suite("jupyter_kernel_test", arguments, install_kernel(tmp_path / "prefix"))
    suite.check(tmp_path, warm=start == "warm")
