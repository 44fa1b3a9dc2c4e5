"""Give Hydra the schema of the project at hand, whoever composes.

Hydra imports every module of the namespace package `hydra_plugins`. So `dvc exp run -S`, which
composes on its own, refuses the keys and types that `mlops-nb compose` refuses.
"""

from mlops_nb.config.compose import register_here

register_here()
