"""A pytest plugin: jupyter_kernel_test tests the warm kernel, as it does IPython's."""

import jupyter_kernel_test
import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for case in {item.cls for item in items if isinstance(item, pytest.Function)}:
        if case is not None and issubclass(case, jupyter_kernel_test.KernelTests):
            case.kernel_name = "mlops-nb-warm"
