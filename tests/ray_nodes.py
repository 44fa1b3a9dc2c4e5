"""A Ray cluster of two nodes on loopback, each with folders of its own, that leaves no process."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # else Ray listens on all interfaces
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "MLOPS_NB_WARM": "0",
    "DVC_NO_ANALYTICS": "1",
}


STARTS = 4
"""A node that waits for its own parts in vain, on a busy machine, is begun again."""
TOKEN = secrets.token_hex(32)
"""One for all clusters of this process, since Ray reads it once."""
SPARE = {"include_dashboard": False, "no_monitor": True, "include_log_monitor": False}


def free_port() -> int:
    """Return a port of loopback that nobody uses."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass
class Nodes:
    """The cluster: `folders` are those of its nodes, the head's first."""

    cluster: Any
    client: str
    folders: list[Path] = field(default_factory=list)
    nodes: list[Any] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Where it answers."""
        return str(self.cluster.address)

    def add(self, folder: Path) -> None:
        """Add a node whose processes know `folder` as their home."""
        own = {
            "HOME": folder / "home",
            "TMPDIR": folder / "tmp",
            "XDG_CACHE_HOME": folder / "cache",
            "XDG_CONFIG_HOME": folder / "config",
            "XDG_STATE_HOME": folder / "state",
        }
        for path in own.values():
            path.mkdir(parents=True)
        before = Path.cwd()
        os.chdir(folder)
        try:
            environ = {name: str(path) for name, path in own.items()}
            node = self._begun(env_vars=environ, num_cpus=1, **SPARE)
        finally:
            os.chdir(before)
        self.nodes.append(node)
        self.folders.append(folder)

    def _begun(self, **how: Any) -> Any:
        """Return a node that has begun."""
        for attempt in range(1, STARTS + 1):
            try:
                return self.cluster.add_node(**how)
            except Exception:
                if attempt == STARTS:
                    raise
        raise AssertionError

    def serve(self) -> None:
        """Begin the server for Ray's clients, and wait for it."""
        host, _, port = self.client.removeprefix("ray://").partition(":")
        words = [f"--address={self.address}", f"--host={host}", f"--port={port}", "--mode=proxy"]
        words += [f"--node-id={self.nodes[0].node_id}"]
        words += [f"--runtime-env-agent-address={self.nodes[0].runtime_env_agent_address}"]
        subprocess.Popen([sys.executable, "-m", "ray.util.client.server", *words])
        while True:
            with contextlib.suppress(OSError), socket.create_connection((host, int(port))):
                return
            time.sleep(0.2)

    def kill(self, number: int) -> None:
        """Kill a node with all that runs on it, as if its machine had lost its power."""
        node = self.nodes.pop(number)
        self.folders.pop(number)
        raylets = [found.process.pid for found in node.all_processes["raylet"]]
        there = [psutil.Process(pid) for pid in raylets]
        there += [child for one in there for child in one.children(recursive=True)]
        for process in there:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                pass
        self.cluster.remove_node(node, allow_graceful=False)


@contextmanager
def two_nodes(folder: Path) -> Iterator[Nodes]:
    """Give a cluster of two nodes with one processor each."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**ENVIRONMENT, "RAY_AUTH_TOKEN": TOKEN}.items():
            patch.setenv(name, value)
        from ray.cluster_utils import Cluster

        port = free_port()
        nodes = Nodes(Cluster(), f"ray://127.0.0.1:{port}")
        try:
            nodes.add(folder / "one")
            nodes.add(folder / "two")
            nodes.cluster.wait_for_nodes(timeout=120)
            nodes.serve()
            yield nodes
        finally:
            with contextlib.suppress(Exception):  # it has nodes that did not begin
                nodes.cluster.shutdown()
            end_processes_with(TOKEN)


def end_processes_with(token: str) -> None:
    """Kill the processes that have `token` in their environment: those that Ray has left."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("RAY_AUTH_TOKEN") == token:
                process.kill()
                found.append(process)
        except psutil.Error:
            continue
    psutil.wait_procs(found, timeout=60)
