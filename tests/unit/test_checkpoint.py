"""What a checkpoint holds of the outputs comes back."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from mlops_nb.errors import UsageError
from mlops_nb.notebook.basis import Late
from mlops_nb.notebook.copies import TooMuch, copy_outputs, put_outputs_back
from mlops_nb.pipeline.attempts import grounds, wanted

FOREVER = time.monotonic() + 3600


def test_outputs_are_put_back_as_they_were(tmp_path: Path) -> None:
    place, copies = tmp_path / "work", tmp_path / "copies"
    (place / "plots" / "empty").mkdir(parents=True)
    copies.mkdir()
    for name in ("model", "plots/a.csv", "same"):
        (place / name).write_text(name)
    (place / "model").chmod(0o751)
    outputs = ("model", "plots", "same", "absent")
    copied = copy_outputs(place, outputs, copies, FOREVER, 10**6)
    assert [name for name, _, _ in copied] == [
        "plots",
        "plots/empty",
        "model",
        "plots/a.csv",
        "same",
    ]

    cached = tmp_path / "cached"
    os.link(place / "model", cached)  # as DVC may
    (place / "model").write_text("changed in place, in the cache as well")
    shutil.rmtree(place / "plots")
    before = (place / "same").stat()
    assert put_outputs_back(place, outputs, copied, copies) == ""
    assert (place / "plots" / "empty").is_dir()
    assert (place / "model").read_text() == "model" and cached.read_text() != "model"
    assert (place / "model").stat().st_mode & 0o777 == 0o751
    assert (place / "plots" / "a.csv").read_text() == "plots/a.csv"
    assert (place / "same").stat() == before

    (copies / "2").write_text("tampered")
    (place / "model").unlink()
    assert "model is not what was written" in put_outputs_back(place, outputs, copied, copies)


def test_what_was_written_after_the_checkpoint_goes(tmp_path: Path) -> None:
    place, copies = tmp_path / "work", tmp_path / "copies"
    (place / "plots").mkdir(parents=True)
    copies.mkdir()
    (place / "plots" / "a.csv").write_text("a")
    (place / "beside").write_text("no output")
    outputs = ("model", "plots")
    copied = copy_outputs(place, outputs, copies, FOREVER, 10**6)
    (place / "model").write_text("of a later cell")
    (place / "plots" / "new").mkdir()
    (place / "plots" / "new" / "b.csv").write_text("of a later cell")
    assert put_outputs_back(place, outputs, copied, copies) == ""
    left = sorted(str(path.relative_to(place)) for path in place.rglob("*"))
    assert left == ["beside", "plots", "plots/a.csv"]


def test_copies_take_no_longer_than_they_may(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("x")
    with pytest.raises(Late):
        copy_outputs(tmp_path, ("model",), tmp_path, 0.0, 10**6)


def test_more_than_there_is_room_for_is_not_copied(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(bytes(1001))
    with pytest.raises(TooMuch, match="too large"):
        copy_outputs(tmp_path, ("model",), tmp_path, FOREVER, 1000)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("said", "meant"), [("1", "if possible"), ("yes", "if possible"), ("0", "no"), ("", "no")]
)
def test_the_environment_asks_to_resume(said: str, meant: str) -> None:
    assert wanted({"MLOPS_NB_RESUME": said}) == meant and wanted({}) == "no"


@pytest.mark.parametrize("said", ["abc", "-1", "inf"])
def test_a_time_between_checkpoints_that_is_none_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setenv("MLOPS_NB_CHECKPOINT_SECONDS", said)
    with pytest.raises(UsageError, match=f"MLOPS_NB_CHECKPOINT_SECONDS={said} is no number"):
        grounds(tmp_path, None, {}, None)
