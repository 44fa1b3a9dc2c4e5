"""The foreign suites: what each is started with, and that it agrees with its list."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from tests.conformance.foreign import HERE, PLUGINS, disagreements, log_of, reasons, run, source
from tests.warm import warm_server


@dataclass(frozen=True)
class Suite:
    """A suite by the name of its distribution; the list is the file of the same name."""

    name: str
    arguments: tuple[str, ...]
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def listed(self) -> dict[str, str]:
        """The tests that do not pass, each with its reason."""
        return reasons((HERE / f"{self.name}.md").read_text())

    def check(self, folder: Path, *, warm: bool) -> None:
        """Run the suite on warm kernels or on cold ones; fail if its list is not true."""
        sources = source(self.name, folder)
        off = {} if warm else {"MLOPS_NB_WARM": "0"}
        environ = {"PYTHONHASHSEED": "0"} | self.environ  # as all that we execute
        with warm_server(path=PLUGINS, environ=environ) as server:
            outcomes = run(sources, list(self.arguments), server.environ | off)
            uses = server.status()["zygote"]["uses"]
        wrong = disagreements(outcomes, self.listed)
        assert not wrong, "\n".join(
            [f"{self.name}.md is not true:", *wrong, log_of(sources)[-8000:]]
        )
        assert (uses > 0) == warm, f"{uses} kernels were started warm"


def install_kernel(prefix: Path) -> dict[str, str]:
    """Install the warm kernel under `prefix`; return the variable by which Jupyter finds it."""
    from mlops_nb.warm.install import install_kernelspec

    kernels = install_kernelspec(str(prefix)).parents[1]
    return {"JUPYTER_PATH": os.pathsep.join([str(kernels), os.environ.get("JUPYTER_PATH", "")])}
