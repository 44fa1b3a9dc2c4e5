"""What is recorded is searched for secrets, and a file that holds one is taken back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlops_nb.pipeline.leaks import withdraw_leaks

SECRET = 'hunter2 & "co"'
PORTS = {"metrics": "metrics/train.json", "plots": "plots/train"}


def record(root: Path, path: str, text: str) -> Path:
    """Write what a stage records."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def test_files_without_a_secret_stay(tmp_path: Path) -> None:
    files = [
        record(tmp_path, "metrics/train.json", '{"auc": 0.9}'),
        record(tmp_path, "plots/train/loss.csv", "step,loss\n0,1\n"),
    ]
    (tmp_path / "plots/train/roc.png").write_bytes(b"\x89PNG\xff" + SECRET.encode())
    assert withdraw_leaks(tmp_path, PORTS, [SECRET]) == ()
    assert all(file.exists() for file in files)


def test_a_file_with_a_secret_is_removed_and_named_without_the_value(tmp_path: Path) -> None:
    metrics = record(tmp_path, "metrics/train.json", json.dumps({"url": f"https://{SECRET}@host"}))
    page = record(tmp_path, "plots/train/deep/page.html", '<b>hunter2 &amp; "co"</b>')
    kept = record(tmp_path, "plots/train/loss.csv", "step,loss\n0,1\n")
    said = withdraw_leaks(tmp_path, PORTS, ["unrelated", SECRET])
    assert not metrics.exists() and not page.exists() and kept.exists()
    assert said == (
        "metrics/train.json (port `metrics`: it held a secret and was removed)",
        "plots/train/deep/page.html (port `plots`: it held a secret and was removed)",
    )
    assert withdraw_leaks(tmp_path, PORTS, [SECRET]) == ()


def test_a_file_called_by_a_secret_is_removed_too(tmp_path: Path) -> None:
    record(tmp_path, "plots/train/hunter2.csv", "step,x\n0,1\n")
    (said,) = withdraw_leaks(tmp_path, PORTS, ["hunter2"])
    assert said.startswith("plots/train/***.csv (") and "hunter2" not in said
    assert list((tmp_path / "plots/train").iterdir()) == []


def test_other_files_are_not_looked_at(tmp_path: Path) -> None:
    other = record(tmp_path, "data/table.csv", SECRET)
    assert withdraw_leaks(tmp_path, PORTS, [SECRET]) == () and other.exists()


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ('{"auc": 0.81234}', False),
        ('{"rows": 12345}', False),
        ('{"share": 1234.5}', False),
        ("step,loss\n0,1234\n", True),
        ('{"pin": 1234}', True),
        ('{"note": "pin 1234."}', True),
        ('{"note": "x1234y"}', True),
    ],
)
def test_digits_within_a_longer_number_are_no_secret(tmp_path: Path, text: str, held: bool) -> None:
    file = record(tmp_path, "metrics/train.json", text)
    assert bool(withdraw_leaks(tmp_path, PORTS, ["1234"])) == held
    assert file.exists() != held


def test_without_secrets_nothing_is_searched(tmp_path: Path) -> None:
    record(tmp_path, "metrics/train.json", "{}")
    assert withdraw_leaks(tmp_path, PORTS, []) == withdraw_leaks(tmp_path, PORTS, [""]) == ()
