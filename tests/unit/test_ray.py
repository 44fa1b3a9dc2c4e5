"""What is asked of Ray, with a stand-in for it."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest

from mlops_nb.sweep import ray as on_ray
from mlops_nb.sweep.ray import RayWorker, connected


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
