"""From asking JupyterLab for a kernel to the first result, by the messages that its page sends."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from mlops_nb.warm.install import NAME, install_kernelspec
from tests.e2e.lab import TOKEN, Lab, jupyter_lab
from tests.warm import warm_server

from .cold_execute import IMPORTING
from .comparison import Command, Comparison, Goal
from .warm_execute import LIBRARIES

ROOT = Path(__file__).parents[1]


def comparisons(folder: Path) -> Iterator[Comparison]:
    """Yield the comparison; each command times its own kernel in a JupyterLab that is running."""
    install_kernelspec(prefix=str(folder))
    runtime = folder / "runtime"
    runtime.mkdir()
    # As at home: the terminal of the warm server and JupyterLab have one environment.
    shared = {"HOME": str(runtime), "JUPYTER_RUNTIME_DIR": str(runtime)}
    shared |= {"JUPYTER_PATH": str(folder / "share" / "jupyter")}
    with warm_server(*LIBRARIES, environ=shared) as warm:
        environ = {k: v for k, v in warm.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        with jupyter_lab(folder, runtime, environ) as lab:
            words = (sys.executable, "-m", "benchmarks.lab_kernel", lab.url)
            yield Comparison(
                Command("JupyterLab, warm kernel, first result", (*words, NAME), ROOT),
                Command("JupyterLab, Python 3", (*words, "python3"), ROOT),
                {"own": Goal(0.2)},
            )


def first_result(lab: Lab, kernel: str) -> float:
    """Return the seconds until a new `kernel` has shown the result of a cell with imports."""
    start = time.perf_counter()
    session = {"path": f"{kernel}.ipynb", "name": kernel, "type": "notebook"}
    opened = lab.request("POST", "sessions", session | {"kernel": {"name": kernel}})
    channels = _connect(lab, opened["kernel"]["id"])
    _ask(channels, "kernel_info_request", {}, "kernel_info_reply")
    options = {"silent": False, "store_history": True, "allow_stdin": False}
    code = {"code": "\n".join(IMPORTING), "user_expressions": {}, "stop_on_error": True}
    _ask(channels, "execute_request", code | options, "execute_result")
    took = time.perf_counter() - start
    channels.close()
    lab.request("DELETE", f"sessions/{opened['id']}")
    return took


def _connect(lab: Lab, kernel: str) -> Any:
    """Return a web socket to the channels of a kernel."""
    import websocket

    address = lab.url.replace("http:", "ws:") + f"/api/kernels/{kernel}/channels"
    header = {"Authorization": f"token {TOKEN}"}
    return websocket.create_connection(address, header=header, timeout=60)


def _ask(channels: Any, kind: str, content: Mapping[str, Any], until: str) -> None:
    """Send a message of `kind` on the shell channel; return when one of kind `until` has come."""
    header = {"msg_id": uuid4().hex, "msg_type": kind, "session": "benchmark", "username": "me"}
    message: dict[str, Any] = {"header": header | {"date": "", "version": "5.3"}}
    message |= {"content": content, "channel": "shell"}
    message |= {"parent_header": {}, "metadata": {}, "buffers": []}
    channels.send(json.dumps(message))
    while json.loads(channels.recv())["msg_type"] != until:
        pass


if __name__ == "__main__":
    url, name = sys.argv[1:]
    print(first_result(Lab(Path(os.devnull), url, Path(os.devnull)), name))
