"""A real JupyterLab server: sessions by REST, cells by the kernel protocol."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_client import BlockingKernelClient

TOKEN = "for-this-test-only"


@dataclass(frozen=True)
class Notebook:
    """A notebook that is open in JupyterLab, with its kernel."""

    client: BlockingKernelClient
    path: Path

    def run(self, source: str) -> str:
        """Run a cell and return what it shows as text; fail if it raises."""
        shown, error = self.try_run(source)
        assert error is None, error
        return shown

    def try_run(self, source: str) -> tuple[str, str | None]:
        """Run a cell; return what it shows, and the name and message of its error."""
        shown: list[str] = []
        error: list[str] = []

        def collect(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                shown.append(content["text"])
            elif message["msg_type"] in ("execute_result", "display_data"):
                shown.append(content["data"].get("text/plain", ""))
            elif message["msg_type"] == "error":
                error.append(f"{content['ename']}: {content['evalue']}")

        self.client.execute_interactive(source, timeout=300, output_hook=collect)
        text = re.sub(r"\x1b\[[0-9;]*m", "", "".join(shown))
        return text, error[0] if error else None

    def run_all(self) -> None:
        """Run every code cell from top to bottom, as `Run All Cells` does."""
        for cell in json.loads(self.path.read_text())["cells"]:
            if cell["cell_type"] == "code":
                self.run("".join(cell["source"]))


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab server on a project."""

    root: Path
    url: str
    runtime: Path

    @contextmanager
    def open(self, notebook: str) -> Iterator[Notebook]:
        """Open a notebook: start its session, give its kernel, and end it."""
        session = self.request(
            "POST",
            "sessions",
            {
                "path": notebook,
                "name": Path(notebook).name,
                "type": "notebook",
                "kernel": {"name": "python3"},
            },
        )
        client = BlockingKernelClient(
            connection_file=str(self.runtime / f"kernel-{session['kernel']['id']}.json")
        )
        client.load_connection_file()
        client.start_channels()
        client.wait_for_ready(timeout=60)
        try:
            yield Notebook(client, self.root / notebook)
        finally:
            client.stop_channels()
            self.request("DELETE", f"sessions/{session['id']}")

    def request(self, method: str, path: str, body: object = None) -> Any:
        """Call the server's REST interface."""
        request = urllib.request.Request(
            f"{self.url}/api/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {TOKEN}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None


@contextmanager
def jupyter_lab(root: Path, runtime: Path, environ: dict[str, str]) -> Iterator[Lab]:
    """Run JupyterLab on `root` until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    runtime.mkdir(parents=True, exist_ok=True)
    options = [
        "--no-browser",
        "--allow-root",
        f"--port={port}",
        "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={TOKEN}",
        f"--ServerApp.root_dir={root}",
    ]
    log = runtime / "server.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options],
            cwd=root,
            env={**environ, "JUPYTER_RUNTIME_DIR": str(runtime), "HOME": str(runtime)},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    lab = Lab(root, f"http://127.0.0.1:{port}", runtime)
    try:
        _wait(lab, server, log)
        yield lab
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait(lab: Lab, server: subprocess.Popen[bytes], log: Path) -> None:
    """Return when the server answers."""
    for _ in range(600):
        assert server.poll() is None, log.read_text()
        try:
            lab.request("GET", "status")
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not start\n{log.read_text()}")
