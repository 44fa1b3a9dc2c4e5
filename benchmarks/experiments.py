"""A list of 1,000 DVC experiments that nobody has listed before, against `dvc exp show`."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.conftest import environment

from .comparison import Command, Comparison, Goal

COUNT = 1000
STAGES = ("prepare", "train", "evaluate")
CODE = {"prepare": "prepare.py", "train": "train.py", "evaluate": "evaluate.py"}

FORGET = """
import shutil, subprocess, sys
shutil.rmtree(".mlops_nb", ignore_errors=True)
refs = subprocess.run(["git", "for-each-ref", "--format=delete %(refname)", "refs/mlops_nb"],
                      capture_output=True, check=True).stdout
subprocess.run(["git", "update-ref", "--stdin"], input=refs, check=True)
"""
"""What makes it so that nobody has listed them before; it runs outside what is measured."""


def comparisons(folder: Path) -> Iterator[Comparison]:
    """Yield the comparison, on two copies of a repository with experiments in `folder`."""
    places = {name: folder / name for name in ("ours", "peer")}
    make_experiments(places["ours"], COUNT)
    shutil.copytree(places["ours"], places["peer"], symlinks=True)
    environ = {"PATH": environment()["PATH"], "DVC_NO_ANALYTICS": "1"}
    tool = (sys.executable, "-m", "mlops_nb", "runs", "--json")
    show = (sys.executable, "-m", "dvc", "exp", "show", "--json")
    yield Comparison(
        Command(
            f"mlops-nb runs --json, {COUNT} experiments never listed",
            tool, places["ours"], environ, says=f"exp-{COUNT - 1}",
            before=(sys.executable, "-c", FORGET),
        ),
        Command(
            "dvc exp show --json", show, places["peer"], environ, says=f"exp-{COUNT - 1}",
            before=("rm", "-rf", ".dvc/tmp/exps/cache"),
        ),
        {"wall": Goal(1 / 20), "cpu": None},
        rounds=3,
    )  # fmt: skip


def make_experiments(place: Path, count: int) -> None:
    """Make a repository at `place` with one commit and `count` experiments of it."""
    place.mkdir(parents=True)
    for words in (["git", "init", "--quiet"], [sys.executable, "-m", "dvc", "init", "--quiet"]):
        subprocess.run(words, cwd=place, env=environment(), check=True)
    for path, content in files_of(0).items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_text(content)
    (place / ".gitignore").write_text(".mlops_nb/\n/model.bin\n/features.parquet\n")
    for words in (["add", "--all"], ["commit", "--quiet", "--message", "The pipeline"]):
        subprocess.run(["git", *words], cwd=place, env=environment(), check=True)
    base = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=place, capture_output=True, text=True, check=True
    ).stdout.strip()
    stream = b"".join(commit(base, number) for number in range(1, count + 1))
    subprocess.run(["git", "fast-import", "--quiet"], cwd=place, input=stream, check=True)


def commit(base: str, number: int) -> bytes:
    """Return what git's fast-import makes the commit of one experiment of."""
    name, when = f"exp-{number - 1}", 1_700_000_000 + 60 * number
    who = f"A Tester <tester@example.org> {when} +0000"
    ref = f"refs/exps/{base[:2]}/{base[2:]}/{name}"
    text = f"dvc: commit experiment {hashlib.sha256(name.encode()).hexdigest()}"
    lines = [f"commit {ref}", f"author {who}", f"committer {who}", f"data {len(text)}", text]
    lines.append(f"from {base}")
    parts = ["\n".join(lines) + "\n"]
    for path, content in files_of(number).items():
        if path not in CODE.values():
            parts.append(f"M 100644 inline {path}\ndata {len(content.encode())}\n{content}\n")
    return "".join(parts).encode()


def files_of(number: int) -> dict[str, str]:
    """Return the files of one experiment: three stages, 19 parameters, a lock, 14 metrics."""
    chance = random.Random(number)
    train = {f"option_{n}": chance.randrange(9) for n in range(14)}
    train |= {"family": chance.choice(["forest", "mlp"]), "rate": chance.random(), "seed": number}
    params = {"prepare": {"split": 0.2, "seed": 1}, "train": train}
    figures = {f"figure_{n}": chance.random() for n in range(11)} | {"auc": chance.random()}
    lines = [f"{part}:\n" + "".join(f"  {k}: {v}\n" for k, v in section.items())
             for part, section in params.items()]  # fmt: skip
    return {
        **{path: f"print({stage!r})\n" for stage, path in CODE.items()},
        "dvc.yaml": PIPELINE,
        "params.yaml": "".join(lines),
        "dvc.lock": lock(number, params),
        "metrics/train.json": json.dumps({"loss": chance.random(), "epochs": 10}),
        "metrics/evaluate.json": json.dumps(figures),
    }


PIPELINE = """stages:
  prepare:
    cmd: python prepare.py
    deps: [prepare.py]
    params: [prepare]
    outs: [features.parquet]
  train:
    cmd: python train.py
    deps: [train.py, features.parquet]
    params: [train]
    outs: [model.bin]
    metrics: [{metrics/train.json: {cache: false}}]
  evaluate:
    cmd: python evaluate.py
    deps: [evaluate.py, features.parquet, model.bin]
    metrics: [{metrics/evaluate.json: {cache: false}}]
"""


def lock(number: int, params: dict[str, dict[str, object]]) -> str:
    """Return the `dvc.lock` of one experiment, as DVC writes it."""

    def entry(path: str, seed: object) -> str:
        digest = hashlib.md5(f"{path}{seed}".encode(), usedforsecurity=False).hexdigest()
        return f"    - path: {path}\n      hash: md5\n      md5: {digest}\n      size: 1234\n"

    used = {"prepare": [], "train": ["features.parquet"],
            "evaluate": ["features.parquet", "model.bin"]}  # fmt: skip
    made = {"prepare": ["features.parquet"], "train": ["metrics/train.json", "model.bin"],
            "evaluate": ["metrics/evaluate.json"]}  # fmt: skip
    text = "schema: '2.0'\nstages:\n"
    for stage in STAGES:
        text += f"  {stage}:\n    cmd: python {CODE[stage]}\n    deps:\n" + entry(CODE[stage], 0)
        text += "".join(entry(path, 0 if path[0] == "f" else number) for path in used[stage])
        if stage in params:
            text += f"    params:\n      params.yaml:\n        {stage}:\n"
            text += "".join(f"          {k}: {v}\n" for k, v in sorted(params[stage].items()))
        text += "    outs:\n" + "".join(
            entry(path, 0 if path[0] == "f" else number) for path in made[stage]
        )
    return text
