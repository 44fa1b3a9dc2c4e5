"""The provisioner that Jupyter finds by name: where no warm server runs, it starts one."""

from mlops_nb.warm.provisioner import WarmProvisioner

from .prepared import PREPARE


class JupyterProvisioner(WarmProvisioner):
    """Start a kernel warm for JupyterLab, nbclient or papermill, from the next time on at least."""

    prepare = PREPARE
