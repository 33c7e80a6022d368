"""A kernel's shell channel, for those who want to say something and be gone.

tell(file, "import os; os.abort()")   # nobody waits for an answer that may never come
answers(file)                         # until the kernel has answered
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zmq
from jupyter_client.session import Session

from support.jupyter import DEADLINE_SECONDS


@contextlib.contextmanager
def _channel(connection_file: Path, linger_seconds: float) -> Iterator[tuple[Session, Any]]:
    file = json.loads(connection_file.read_text())
    session = Session(key=file["key"].encode(), signature_scheme=file["signature_scheme"])
    between = "-" if file["transport"] == "ipc" else ":"
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    try:
        socket.connect(f"{file['transport']}://{file['ip']}{between}{file['shell_port']}")
        yield session, socket
    finally:
        context.destroy(linger=int(linger_seconds * 1000))


def tell(connection_file: Path, code: str) -> None:
    """Have a cell run in a kernel that is idle, and do not wait for its end."""
    with _channel(connection_file, 2.0) as (session, socket):
        session.send(socket, "kernel_info_request", {})
        _reply(session, socket, DEADLINE_SECONDS)  # so that the line is up
        session.send(socket, "execute_request", _cell(code))


def ask(connection_file: Path, code: str, within: float = DEADLINE_SECONDS) -> dict[str, Any]:
    """Have a cell run, and wait for its end; the content of the reply."""
    with _channel(connection_file, 0.0) as (session, socket):
        session.send(socket, "execute_request", _cell(code))
        return _reply(session, socket, within)


def answers(connection_file: Path, within: float = DEADLINE_SECONDS) -> None:
    """Wait until a kernel answers."""
    with _channel(connection_file, 0.0) as (session, socket):
        session.send(socket, "kernel_info_request", {})
        _reply(session, socket, within)


def _cell(code: str) -> dict[str, Any]:
    return {
        "code": code,
        "silent": False,
        "store_history": False,
        "user_expressions": {},
        "allow_stdin": False,
        "stop_on_error": False,
    }


def _reply(session: Session, socket: Any, within: float) -> dict[str, Any]:
    assert socket.poll(int(within * 1000)), f"no answer within {within:g} s"
    _, message = session.recv(socket)
    assert message is not None
    return dict(message["content"])
