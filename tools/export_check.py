"""Say which files `nbdev-clean` and `nbdev-export` would change, without touching any of them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

COPIED = ("nbs", "mlops_nb", "pyproject.toml", "settings.ini")
IGNORED = ("__pycache__", ".ipynb_checkpoints")


def main() -> int:
    """Clean and export in a copy of the repository; return 1 if the copy then differs."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="mlops_nb-export-") as folder:
        copy = Path(folder)
        for name in COPIED:
            duplicate(here / name, copy / name)
        for command in ("nbdev-clean", "nbdev-export"):
            done = subprocess.run([command], cwd=copy, capture_output=True, text=True, check=False)
            if done.returncode or "failed" in done.stderr.lower():
                print(f"{command}: {(done.stderr or done.stdout).strip().splitlines()[-1]}")
                return 1
        stale = sorted(differences(here, copy))
    for name in stale:
        print(f"{name}: `nbdev-clean` and `nbdev-export` would change it; run `make save`")
    return 1 if stale else 0


def duplicate(source: Path, target: Path) -> None:
    """Copy a file or a tree."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(*IGNORED))
    else:
        shutil.copy2(source, target)


def differences(here: Path, there: Path) -> Iterator[str]:
    """Yield the names of the notebooks and modules that differ between two repositories."""
    for top, pattern in (("nbs", "*.ipynb"), ("mlops_nb", "*.py")):
        names = {
            path.relative_to(root)
            for root in (here, there)
            for path in (root / top).rglob(pattern)
            if not set(IGNORED) & set(path.parts)
        }
        yield from (
            name.as_posix() for name in names if content(here / name) != content(there / name)
        )


def content(path: Path) -> bytes | None:
    """Return the bytes of a file, none if there is no such file."""
    return path.read_bytes() if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
