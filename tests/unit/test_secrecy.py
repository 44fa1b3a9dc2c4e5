"""An override that holds a secret itself is refused, whichever way it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlops_nb.config.compose import compose, compose_each
from mlops_nb.config.multirun import expand
from mlops_nb.core.project import Project
from mlops_nb.errors import ConfigError, MlopsNbError
from tests.e2e.conftest import write_stage

PARAMETERS = """
from dataclasses import dataclass, field

from mlops_nb import Metrics, Secret

@dataclass
class Account:
    user: str = "ada"
    key: Secret = "env:KEY"

metrics: Metrics = "metrics/publish.json"
token: Secret = "env:TOKEN"
other: Secret | None = None
many: list[Secret] = []
account: Account = Account()
rows: int = 3
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    write_stage(tmp_path / "nbs/pipeline/10_publish.ipynb", "Publish", PARAMETERS)
    (tmp_path / "conf/publish").mkdir(parents=True)
    (tmp_path / "conf/config.yaml").write_text("defaults: [stages, publish: fast, _self_]\n")
    for name in ("fast", "slow"):
        (tmp_path / f"conf/publish/{name}.yaml").write_text("rows: 4\n")
    return Project(tmp_path)


@pytest.mark.parametrize(
    "override",
    [
        "publish.token=hush",
        "++publish.token=hush",
        "publish.token='hush'",
        "publish.token=env:TOKEN,hush",
        "publish.token=choice(hush,env:TOKEN)",
        "publish.token=[hush",
        "publish.token=${oc.env:A}hush",
        "publish.other=hush",
        "publish.many=[env:A,hush]",
        "publish.account.key=hush",
        "publish.account={key: hush}",
        "publish.account={user: eve, key: hush}",
        "publish={token: hush}",
    ],
)
def test_a_literal_is_refused_and_not_repeated_also_if_a_later_override_replaces_it(
    project: Project, override: str
) -> None:
    given = (override, "publish.token=env:TOKEN", "publish.account.key=env:KEY")
    calls = (
        lambda: compose(*given, project=project),
        lambda: compose_each([given, given[1:]], project),
        lambda: expand(given, project),
    )
    for call in calls:
        with pytest.raises(MlopsNbError, match="secret `publish") as refused:
            call()
        assert "hush" not in str(refused.value) and isinstance(refused.value, ConfigError)


@pytest.mark.parametrize(
    "override",
    [
        "publish.token=env:OTHER",
        "publish.token='file:a b.txt'",
        "publish.token=${publish.account.key}",
        "publish.other=null",
        "publish.other=env:A",
        "publish.many=[env:A,file:b]",
        "publish.account.user=hush",
        "publish.account={user: hush, key: env:B}",
        "publish=slow",
        "publish.rows=5",
    ],
)
def test_a_reference_and_what_is_no_secret_are_taken(project: Project, override: str) -> None:
    assert compose(override, project=project)["publish"]
    (expanded,) = expand([override], project)
    assert compose(*expanded, project=project) == compose(override, project=project)


def test_references_may_be_swept_over(project: Project) -> None:
    assert len(expand(["publish.token=env:A,env:B", "publish=fast,slow"], project)) == 4
