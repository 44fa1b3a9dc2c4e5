"""What is recorded of a run; `mlops_nb.runs()` is the table of all of them (docs/decisions/0014)."""

from __future__ import annotations

import sys
from types import ModuleType

TYPE_CHECKING = False  # for type checkers; typing itself would be the dearest import
if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pandas as pd


class _Runs(ModuleType):
    """The type of this package, so that it can be called like the function that it is named for."""

    def __call__(
        self,
        where: str = "",
        *,
        sort: str = "",
        columns: str | Iterable[str] = (),
        limit: int | None = None,
        differs: bool = False,
        removed: bool = False,
        project: Path | str | None = None,
    ) -> pd.DataFrame:
        """Return the runs of a project as a data frame, newest first, a column for each value.

        Parameters
        ----------
        where
            A filter such as `auc > 0.7 and train.family == "forest"`; all runs if empty.
        sort
            Names of columns, with a `-` before those that descend, such as `-auc,started`.
        columns
            Names and patterns of columns, such as `params.*`; all but the config if there are none.
        limit
            How many rows to return at most.
        differs
            Whether to leave out the columns in which the runs do not differ.
        removed
            Whether runs that were removed count.
        project
            A folder in the project; the current directory if there is none.

        Raises
        ------
        ProjectError
            If there is no project.
        UsageError
            If a name or the filter has no meaning.
        """
        from mlops_nb.pipeline.listing import runs

        return runs(
            where, sort=sort, columns=columns, limit=limit, differs=differs, removed=removed,
            project=project,
        )  # fmt: skip


sys.modules[__name__].__class__ = _Runs
