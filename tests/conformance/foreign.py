"""Run a suite that others wrote, as they released it, and hold its results to a list of reasons."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
PLUGINS = HERE / "plugins"
SDISTS = HERE / "sdists.txt"
CACHE = HERE.parents[1] / ".conformance"
LOG = "conformance.log"
PATIENCE_SECONDS = 900

PIN = re.compile(r"^(?P<name>\w+)==(?P<version>\S+) --hash=sha256:(?P<digest>[0-9a-f]{64})$")
ROW = re.compile(r"^\| `(?P<test>[^`]+)` \| (?P<reason>[^|]+) \|$", re.MULTILINE)


# ---- what is to be run ---------------------------------------------------------------------------


def pins(text: str) -> dict[str, tuple[str, str]]:
    """Return the version and the digest of each source distribution named in `text`."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    found = [PIN.match(line) for line in lines]
    return {match["name"]: (match["version"], match["digest"]) for match in found if match}


def source(name: str, into: Path) -> Path:
    """Unpack the source distribution of `name`, fetched if it is not there; return its folder."""
    version, digest = pins(SDISTS.read_text())[name]
    with _alone():
        if not _cached(name, digest):
            _fetch(name)
        path = _cached(name, digest)
    assert path, f"no source distribution of {name} {version} with the digest in {SDISTS.name}"
    with tarfile.open(path) as archive:
        archive.extractall(into, filter="data")
    return into / f"{name}-{version}"


@contextmanager
def _alone() -> Iterator[None]:
    """Let nobody else fetch at the same time."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _cached(name: str, digest: str) -> Path | None:
    """Return the archive of `name` that has this digest, if it has been fetched."""
    for path in CACHE.glob(f"{name}-*.tar.gz"):
        if hashlib.sha256(path.read_bytes()).hexdigest() == digest:
            return path
    return None


def _fetch(name: str) -> None:
    """Let pip fetch the source distribution of `name` and check its digest."""
    line = next(line for line in SDISTS.read_text().splitlines() if line.startswith(f"{name}=="))
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "wanted.txt"
        wanted.write_text(line)
        options = ["--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--require-hashes"]
        command = [sys.executable, "-m", "pip", "download", "--quiet", *options]
        command += ["--requirement", str(wanted), "--dest", str(CACHE)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"pip could not fetch {line.partition(' ')[0]}:\n{done.stderr}"


# ---- running it ----------------------------------------------------------------------------------


def run(folder: Path, arguments: list[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Run pytest in `folder` with no plugins but those named; return the outcome of each test."""
    report = folder / "conformance.json"
    options = [
        "-p",
        "conformance_report",
        "-p",
        "no:cacheprovider",
        "--continue-on-collection-errors",
    ]
    kept = {name: value for name, value in environ.items() if not name.startswith("PYTEST_")}
    own = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "CONFORMANCE_REPORT": str(report)}
    with (folder / LOG).open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *options, *arguments],
            cwd=folder,
            env=kept | own,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(PATIENCE_SECONDS)
        finally:
            _end(process)
    assert report.exists(), f"the suite broke off:\n{log_of(folder)[-4000:]}"
    outcomes: dict[str, str] = json.loads(report.read_text())
    return outcomes


def log_of(folder: Path) -> str:
    """Return what pytest wrote while it ran the suite in `folder`."""
    return (folder / LOG).read_text(errors="replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what the suite has left running in its process group, and the suite itself."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


# ---- holding it to its list ----------------------------------------------------------------------


def reasons(text: str) -> dict[str, str]:
    """Return the tests that a list names, each with the reason why it does not pass."""
    return {match["test"]: match["reason"].strip() for match in ROW.finditer(text)}


def disagreements(outcomes: Mapping[str, str], listed: Mapping[str, str]) -> list[str]:
    """Say where the outcomes of a suite and the list of what does not pass differ."""
    if "passed" not in outcomes.values():
        return ["no test of the suite has passed; was any run?"]
    wrong = [
        f"{test}: {outcome}, and not listed"
        for test, outcome in outcomes.items()
        if outcome != "passed" and test not in listed
    ]
    for test in listed:
        if test not in outcomes:
            wrong.append(f"{test}: listed, but no such test was run")
        elif outcomes[test] == "passed":
            wrong.append(f"{test}: listed, but it passes")
    return sorted(wrong)
