"""What is asked of Ray, with a stand-in for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from mlops_nb.errors import UsageError
from mlops_nb.sweep import ray as on_ray
from mlops_nb.sweep.ray import connected
from mlops_nb.sweep.ray_executor import RayWorker


def test_who_waits_for_room_asks_once_however_long_that_takes() -> None:
    asked: list[tuple[Any, ...]] = []
    looks = iter([[], [], ["answered"]])

    def remote(*words: Any) -> str:
        asked.append(words)
        return "the answer to come"

    class Nothing(Exception):
        pass

    names = ("RayTaskError", "RayActorError", "RaySystemError", "WorkerCrashedError",
             "ObjectLostError", "NodeDiedError", "RayError")  # fmt: skip
    ray = SimpleNamespace(
        exceptions=SimpleNamespace(**dict.fromkeys(names, Nothing)),
        wait=lambda awaited, timeout: (next(looks), awaited),
    )
    worker = RayWorker(ray, SimpleNamespace(answer=SimpleNamespace(remote=remote)))  # type: ignore[arg-type]
    waited = 0
    while worker.waits_for_room():
        waited += 1
    assert waited == 2 and len(asked) == 1


@pytest.mark.parametrize("mode", [None, "disabled"])
def test_the_token_of_a_ray_of_our_own_is_gone_with_it(
    monkeypatch: pytest.MonkeyPatch, mode: str | None
) -> None:
    seen: list[str | None] = []
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    if mode is None:
        monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    else:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    for fails in (False, True):

        def start(*_: object, fails: bool = fails) -> None:
            seen.append(os.environ["RAY_AUTH_TOKEN"])
            if fails:
                raise RuntimeError("Ray did not start")

        monkeypatch.setattr(on_ray, "_start", start)
        try:
            with connected("", lambda line: None, 1):
                assert os.environ["RAY_AUTH_MODE"] == "token"
        except RuntimeError:
            pass
        assert "RAY_AUTH_TOKEN" not in os.environ and os.environ.get("RAY_AUTH_MODE") == mode
    assert len(set(seen)) == 2 and all(seen)


def test_a_failed_start_leaves_none_of_its_processes_beside_the_next_and_ends_nobody_elses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    part = tmp_path / "ray" / "part.py"
    part.parent.mkdir()
    part.write_text(
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)"
    )
    other = tmp_path / "other.py"
    other.write_text("import time\ntime.sleep(600)")
    began: list[subprocess.Popen[bytes]] = []
    alive: list[int] = []

    def begin(file: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, str(file)])

    def init(**_: object) -> None:
        alive.append(sum(psutil.pid_exists(one.pid) for one in began))
        began.append(begin(part))
        raise RuntimeError("the node was not\nready in its time")

    ray: Any = SimpleNamespace(
        __file__=str(part.with_name("__init__.py")), init=init, shutdown=lambda: None
    )
    monkeypatch.setattr(on_ray, "_END_SECONDS", 0.2)
    earlier, strange = begin(part), begin(other)
    try:
        with pytest.raises(
            UsageError, match="Ray did not start: the node was not ready in its time"
        ):
            on_ray._start(ray, lambda line: None, 1)
        assert len(began) == 5 and alive == [0] * 5
        assert not any(psutil.pid_exists(one.pid) for one in began)
        assert earlier.poll() is None and strange.poll() is None
    finally:
        for one in (*began, earlier, strange):
            one.kill()
            one.wait()
