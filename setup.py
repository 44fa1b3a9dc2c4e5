"""Build mlops_nb; every fact about the distribution is read from `settings.ini`."""

from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

parser = ConfigParser(delimiters=["="], interpolation=None)
parser.read(HERE / "settings.ini", encoding="utf-8")
settings = parser["DEFAULT"]


def lines(key: str) -> list[str]:
    """Return the non-empty lines of a multi-line setting."""
    return [line.strip() for line in settings[key].splitlines() if line.strip()]


setup(
    version=settings["version"],
    keywords=settings["keywords"].split(),
    author=settings["author"],
    license=settings["license"],
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    install_requires=lines("requirements"),
    extras_require={
        key.removeprefix("extra."): lines(key) for key in settings if key.startswith("extra.")
    },
    # Hydra finds plugins in the namespace package `hydra_plugins`. It lies beside mlops_nb because
    # nbdev-export puts an `__init__.py` into every folder in there, which would end the namespace.
    # Named, so that an editable install is one line in a .pth file and not a finder to import.
    package_dir={"": "."},
    packages=[*find_packages(include=["mlops_nb", "mlops_nb.*"]), "hydra_plugins"],
    package_data={"mlops_nb": ["py.typed", "warm/kernelspec/kernel.json"]},
    data_files=[("share/jupyter/kernels/mlops-nb-warm", ["mlops_nb/warm/kernelspec/kernel.json"])],
    entry_points={
        "console_scripts": lines("console_scripts"),
        "papermill.engine": ["mlops_nb = mlops_nb.notebook.engine:Engine"],
        "jupyter_client.kernel_provisioners": [
            "mlops-nb-warm = mlops_nb.cli.provisioner:JupyterProvisioner"
        ],
        "nbdev": ["mlops_nb = mlops_nb._modidx:d"],
    },
)
