"""Runs that travel: through a git remote, as one file, and after somebody tampered with them."""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from mlops_nb.core.project import Project
from mlops_nb.errors import UsageError
from mlops_nb.pipeline.portable import export_runs, import_runs
from mlops_nb.pipeline.sharing import pull, push
from mlops_nb.runs.annotations import Annotations
from mlops_nb.runs.run import Run
from mlops_nb.runs.store import Store

from .conftest import Shop

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm")]


@pytest.fixture(scope="module")
def two(finished_shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, Shop]:
    """Return a project with a run and a clone of it by a colleague, with a remote between them."""
    base = tmp_path_factory.mktemp("two")
    shutil.copytree(finished_shop.root, base / "ours", symlinks=True)
    ours, theirs = Shop(base / "ours"), Shop(base / "theirs")
    ours.run("git", "init", "--quiet", "--bare", str(base / "remote"))
    ours.run("git", "remote", "add", "origin", str(base / "remote"))
    ours.run("git", "push", "--quiet", "origin", "HEAD")
    ours.run("git", "clone", "--quiet", str(base / "remote"), str(theirs.root))
    ours.path("shop/extra.py").write_text("not committed = 'half a thought'")
    ours.tool("run", "train.shrink=0.5", "--name", "half", "--tag", "ours")
    ours.path("shop/extra.py").unlink()
    return ours, theirs


def store_of(shop: Shop) -> Store:
    return Store(shop.path(".mlops_nb/runs"))


def only(shop: Shop) -> Run:
    (run,) = store_of(shop).ids()
    record = store_of(shop).read(run)
    assert isinstance(record, Run)
    return record


def test_a_colleague_sees_the_run_its_report_its_code_and_the_experiment(
    two: tuple[Shop, Shop],
) -> None:
    ours, theirs = two
    sent = push(Project(ours.root), "origin")
    assert len(sent.runs) == 1 and sent.experiments == ("half",)
    assert push(Project(ours.root), "origin").runs == sent.runs
    got = pull(Project(theirs.root), "origin")
    assert (got.new, got.refused) == (sent.runs, ())
    assert pull(Project(theirs.root), "origin").new == ()
    run = only(theirs)
    assert run == only(ours) and store_of(theirs).annotations(run.id).name == "half"
    kept = theirs.path(f".mlops_nb/runs/{run.id}/reports/train.ipynb")
    assert (
        kept.read_bytes() == ours.path(f".mlops_nb/runs/{run.id}/reports/train.ipynb").read_bytes()
    )
    code = theirs.run("git", "show", f"{run.code['commit']}:shop/extra.py").stdout
    assert "half a thought" in code
    assert "half" in theirs.run("dvc", "exp", "list", "--all-commits").stdout

    store_of(theirs).annotate(run.id, lambda said: replace(said, tags=frozenset({"theirs"})))
    store_of(ours).annotate(run.id, lambda said: replace(said, tags=said.tags | {"again"}))
    push(Project(ours.root), "origin")
    assert pull(Project(theirs.root), "origin").known == sent.runs
    said = store_of(theirs).annotations(run.id)
    assert said.tags == {"theirs", "again"} and said.name == "half"


def test_both_say_the_same_of_a_run_in_the_end_whoever_was_the_last_to_say_it(
    two: tuple[Shop, Shop],
) -> None:
    ours, theirs = two
    push(Project(ours.root), "origin")
    pull(Project(theirs.root), "origin")
    run = only(ours).id

    def exchange() -> Annotations:
        """Let both send and receive; return what both say."""
        for shop in (ours, theirs):
            push(Project(shop.root), "origin")
        for shop in (ours, theirs):
            pull(Project(shop.root), "origin")
        said, other = (store_of(shop).annotations(run) for shop in (ours, theirs))
        assert said.to_json() == other.to_json()
        return said

    store_of(theirs).annotate(run, lambda said: replace(said, name="theirs", note="of them"))
    store_of(ours).annotate(run, lambda said: replace(said, name="ours", starred=True))
    said = exchange()
    assert (said.name, said.note, said.starred) == ("ours", "of them", True)
    store_of(ours).annotate(run, lambda said: replace(said, tags=frozenset({"kept"}), note=""))
    store_of(theirs).annotate(run, lambda said: replace(said, name="theirs", starred=False))
    said = exchange()
    assert (said.name, said.note, said.starred, said.tags) == ("theirs", "", False, {"kept"})
    assert store_of(theirs).find("theirs") == run


def test_a_remote_that_is_not_there_is_said_in_one_line(two: tuple[Shop, Shop]) -> None:
    with pytest.raises(UsageError, match="no remote `elsewhere`"):
        push(Project(two[0].root), "elsewhere")


def test_runs_travel_as_one_file_with_their_outputs(
    two: tuple[Shop, Shop], finished_shop: Shop, tmp_path: Path
) -> None:
    ours = two[0]
    run = only(ours)
    file = tmp_path / "runs.zip"
    export_runs(Project(ours.root), [run.id], file, data=True)
    third = Shop(tmp_path / "third")
    ours.run("git", "clone", "--quiet", "--no-local", str(finished_shop.root), str(third.root))
    got = import_runs(Project(third.root), file)
    assert (got.new, got.refused) == ((run.id,), ())
    assert import_runs(Project(third.root), file).known == (run.id,)
    assert only(third) == run
    third.run("git", "cat-file", "-e", f"{run.code['commit']}^{{tree}}")
    third.run("dvc", "exp", "apply", "half")
    assert third.path("models/model.json").is_file()


@pytest.mark.parametrize(
    "name", ["../../outside", "reports/../../outside", "/outside", "lock", "reports/a/b/c/outside"]
)
def test_a_file_that_leads_out_of_the_folder_is_not_taken(
    two: tuple[Shop, Shop], tmp_path: Path, name: str
) -> None:
    run = only(two[0])
    file = tmp_path / "runs.zip"
    export_runs(Project(two[0].root), [run.id], file)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(f"runs/{run.id}/{name}", "evil")
    third = tmp_path / "third"
    third.mkdir()
    two[0].run("git", "init", "--quiet", str(third))
    got = import_runs(Project(third), file)
    assert got.new == () and len(got.refused) == 1
    assert [path for path in tmp_path.rglob("outside")] == []


def test_a_record_that_was_changed_on_the_way_is_not_taken(
    two: tuple[Shop, Shop], tmp_path: Path
) -> None:
    run = only(two[0])
    file, forged = tmp_path / "runs.zip", tmp_path / "forged.zip"
    export_runs(Project(two[0].root), [run.id], file)
    with zipfile.ZipFile(file) as archive, zipfile.ZipFile(forged, "w") as copy:
        for info in archive.infolist():
            content = archive.read(info)
            if info.filename.endswith("/run.json"):
                content = content.replace(b'"shrink":0.5', b'"shrink":0.9')
            copy.writestr(info.filename, content)
    third = tmp_path / "third"
    third.mkdir()
    two[0].run("git", "init", "--quiet", str(third))
    got = import_runs(Project(third), forged)
    assert got.new == () and "changed" in got.refused[0]


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 broken"])
def test_what_is_no_archive_is_said_in_one_line(
    two: tuple[Shop, Shop], tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "runs.zip"
    file.write_bytes(content)
    with pytest.raises(UsageError, match="no archive of runs"):
        import_runs(Project(two[0].root), file)
