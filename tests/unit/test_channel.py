"""A message that has arrived is noticed, whatever else goes through the socket meanwhile."""

from __future__ import annotations

import asyncio
import queue
import time
from pathlib import Path

import pytest
import zmq
import zmq.asyncio
from jupyter_client.session import Session

from mlops_nb.notebook.channel import ShellChannel


async def received_while_sending(folder: Path, channel_class: type[ShellChannel]) -> str:
    """Return what is received after a reply came while something was sent."""
    session = Session(key=b"")
    with zmq.Context() as context, context.socket(zmq.ROUTER) as kernel:
        kernel.bind(f"ipc://{folder}/s")
        socket = zmq.asyncio.Context(shadow=context).socket(zmq.DEALER)
        socket.connect(f"ipc://{folder}/s")
        channel = channel_class(socket, session)
        channel.send(session.msg("execute_request"))
        who = kernel.recv_multipart()[0]
        waiting = asyncio.ensure_future(channel.get_msg())
        await asyncio.sleep(0.01)  # from here on the loop sees nothing of the socket
        session.send(kernel, "execute_reply", ident=who)
        time.sleep(0.05)
        channel.send(session.msg("comm_msg"))
        try:
            return str((await asyncio.wait_for(waiting, 2))["msg_type"])
        finally:
            socket.close(0)


def test_a_reply_is_noticed_that_came_while_something_was_sent(tmp_path: Path) -> None:
    assert asyncio.run(received_while_sending(tmp_path, ShellChannel)) == "execute_reply"


def test_who_waits_for_some_time_does_not_wait_longer(tmp_path: Path) -> None:
    async def wait() -> None:
        with zmq.asyncio.Context() as context, context.socket(zmq.DEALER) as socket:
            socket.connect(f"ipc://{tmp_path}/nobody")
            socket.linger = 0
            channel = ShellChannel(socket, Session(key=b""))
            for seconds in (0, 0.25):
                begun = time.monotonic()
                with pytest.raises(queue.Empty):
                    await channel.get_msg(seconds)
                assert time.monotonic() - begun >= seconds

    asyncio.run(wait())
