"""The exact code becomes a commit, and neither the working tree nor the index is touched."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_nb.core.git import Git
from mlops_nb.errors import ProjectError
from mlops_nb.pipeline.snapshot import Snapshot, take_snapshot


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    """Return a repository with a commit, where nobody has said who they are."""
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.delenv(f"GIT_{role}_NAME", raising=False)
        monkeypatch.delenv(f"GIT_{role}_EMAIL", raising=False)
    root = tmp_path / "project"
    root.mkdir()
    git = Git(root)
    git.run("init", "--quiet", "--initial-branch=main")
    (root / "code.py").write_text("x = 1\n")
    (root / ".gitignore").write_text("data/\n")
    commit(git)
    return git


def commit(git: Git, *options: str) -> None:
    git.run("add", "--all")
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@localhost")
    git.run(*who, "commit", "--quiet", "--message", "all", *options)


def files(git: Git, snapshot: Snapshot) -> dict[str, bytes]:
    """Return what the snapshot holds."""
    names = git.run("ls-tree", "-r", "-z", "--name-only", snapshot.commit).split(b"\0")[:-1]
    return {os.fsdecode(n): git.run("show", f"{snapshot.commit}:{os.fsdecode(n)}") for n in names}


def untouched(git: Git) -> tuple[bytes, bytes, list[str]]:
    """Return what must not change: status, index, and what lies in the repository's folder."""
    status = git.run("status", "--porcelain=v2", "--branch", "-z")
    return status, (git.root / ".git" / "index").read_bytes(), sorted(os.listdir(git.root / ".git"))


def test_where_nothing_differs_the_snapshot_is_the_commit(git: Git) -> None:
    snapshot = take_snapshot(git.root, "a run")
    assert snapshot.commit == snapshot.base == git.text("rev-parse", "HEAD")
    assert (snapshot.is_dirty, snapshot.branch) == (False, "main")


def test_everything_is_as_in_the_working_tree_and_nothing_is_touched(git: Git) -> None:
    (git.root / "gone.py").write_text("")
    (git.root / "run.sh").write_text("")
    commit(git)
    (git.root / "code.py").write_text("x = 2\n")
    git.run("add", "code.py")
    (git.root / "code.py").write_text("x = 3\n")
    (git.root / "gone.py").unlink()
    (git.root / "run.sh").chmod(0o755)
    (git.root / "new.py").write_text("y = 1\n")
    (git.root / "link").symlink_to("code.py")
    (git.root / "data").mkdir()
    (git.root / "data" / "table.csv").write_text("1")
    before = untouched(git)
    snapshot = take_snapshot(git.root, "a run")
    assert untouched(git) == before
    assert files(git, snapshot) == {
        ".gitignore": b"data/\n", "code.py": b"x = 3\n", "link": b"code.py", "new.py": b"y = 1\n",
        "run.sh": b"",
    }  # fmt: skip
    modes = git.text("ls-tree", snapshot.commit, "run.sh", "link")
    assert "100755" in modes and "120000" in modes
    assert git.text("rev-parse", f"{snapshot.commit}^") == snapshot.base


NAMES = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(names=st.sets(NAMES.filter(lambda n: n.strip(". ") and len(n.encode()) < 200), max_size=4))
def test_any_name_of_a_file_will_do(git: Git, names: set[str]) -> None:
    kept = {name for name in names if name.lower() not in (".git", ".gitignore", "code.py", "data")}
    for name in kept:
        (git.root / name).write_text("content")
    try:
        assert kept <= files(git, take_snapshot(git.root, "a run")).keys()
    finally:
        for name in kept:
            (git.root / name).unlink()


def test_a_large_untracked_file_is_named_and_not_copied(git: Git) -> None:
    with (git.root / "weights.bin").open("wb") as file:
        file.truncate(2 * 2**30)
    snapshot = take_snapshot(git.root, "a run")
    (left,) = snapshot.left_out
    assert left.path == "weights.bin" and "2,147,483,648 bytes" in left.reason
    assert "weights.bin" not in files(git, snapshot)
    size = subprocess.run(["du", "-sk", git.root / ".git"], capture_output=True, check=True).stdout
    assert int(size.split()[0]) < 2000


def test_before_the_first_commit_there_is_no_base(tmp_path: Path) -> None:
    git = Git(tmp_path)
    git.run("init", "--quiet", "--initial-branch=main")
    (tmp_path / "code.py").write_text("x = 1\n")
    snapshot = take_snapshot(tmp_path, "a run")
    assert (snapshot.base, snapshot.branch, snapshot.is_dirty) == (None, "main", True)
    assert files(git, snapshot) == {"code.py": b"x = 1\n"}


def test_a_detached_head_has_no_branch(git: Git) -> None:
    git.run("checkout", "--quiet", "--detach")
    assert take_snapshot(git.root, "a run").branch is None


def test_the_whole_repository_counts_wherever_the_project_lies_in_it(git: Git) -> None:
    (git.root / "deep").mkdir()
    (git.root / "new.py").write_text("")
    assert "new.py" in files(git, take_snapshot(git.root / "deep", "a run"))


def test_a_repository_inside_is_its_commit_if_it_is_a_submodule(git: Git, tmp_path: Path) -> None:
    inner = Git(tmp_path / "inner")
    inner.root.mkdir()
    inner.run("init", "--quiet")
    (inner.root / "a.py").write_text("")
    commit(inner)
    git.run("-c", "protocol.file.allow=always", "submodule", "add", "--quiet", str(inner.root), "s")
    commit(git)
    strange = Git(git.root / "strange")
    strange.root.mkdir()
    strange.run("init", "--quiet")
    (strange.root / "b.py").write_text("")
    commit(strange)
    (git.root / "new.py").write_text("")
    snapshot = take_snapshot(git.root, "a run")
    assert [left.path for left in snapshot.left_out] == ["strange/"]
    assert "160000" in git.text("ls-tree", snapshot.commit, "s")


def test_a_shallow_clone_and_a_linked_working_tree_are_repositories_too(
    git: Git, tmp_path: Path
) -> None:
    (git.root / "code.py").write_text("x = 2\n")
    commit(git)
    subprocess.run(
        ["git", "clone", "--quiet", "--depth=1", f"file://{git.root}", tmp_path / "shallow"],
        check=True,
    )
    git.run("worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"))
    for name in ("shallow", "linked"):
        other = Git(tmp_path / name)
        (other.root / "new.py").write_text("y = 1\n")
        before = other.run("status", "--porcelain=v2", "--branch", "-z")
        snapshot = take_snapshot(other.root, "a run")
        assert "new.py" in files(other, snapshot)
        assert other.run("status", "--porcelain=v2", "--branch", "-z") == before


def test_variables_of_a_hook_do_not_lead_to_another_repository(
    git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", "/is/not/there")
    monkeypatch.setenv("GIT_INDEX_FILE", "/is/not/there")
    assert take_snapshot(git.root, "a run").branch == "main"


def test_outside_of_a_repository_it_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="not a git repository") as refused:
        take_snapshot(tmp_path, "a run")
    assert "\n" not in str(refused.value)


def test_a_file_edited_in_the_same_second_as_it_was_staged_is_taken_as_it_is(git: Git) -> None:
    git.run("config", "core.trustctime", "false")
    code, moment = git.root / "code.py", 1_000_000_000
    code.write_text("x = 2\n")
    os.utime(code, (moment, moment))
    git.run("add", "code.py")
    os.utime(git.root / ".git" / "index", (moment, moment))
    code.write_text("x = 3\n")
    os.utime(code, (moment, moment))
    assert files(git, take_snapshot(git.root, "a run"))["code.py"] == b"x = 3\n"
