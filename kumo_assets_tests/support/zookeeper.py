"""A ZooKeeper that a test may kill and start again, on the same port, over the same data; and a TCP proxy before it that
loses one request, or the answer to it."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from kumo_sandbox.testing import ZooKeeper, zookeeper_is_installed


@contextlib.contextmanager
def restartable_zookeeper(home: Path) -> Iterator[ZooKeeper]:
    """A ZooKeeper that runs; a test may kill and start it again. Skips the test where none is installed."""
    if not zookeeper_is_installed():
        pytest.skip("Debian's zookeeper is not installed")
    with ZooKeeper(home) as server:
        yield server


# Request types of ZooKeeper's wire protocol (org.apache.zookeeper.ZooDefs.OpCode).
CREATE, SET_DATA = 1, 5


@dataclass
class Wire:
    """A TCP proxy that knows ZooKeeper's frames: 4 bytes of length, then (but for a connection's first) a request's number
    and type, or the number of the request that is answered."""

    server: int
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    armed: tuple[int, bytes, str] | None = None
    cuts: int = 0
    accepted: int = 0

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def cut(self, kind: int, path: str, when: str) -> None:
        """Cut the connection at the next request of this type on this path: `before` the server has it, or `after`,
        when the server has answered (so has written it to its log) and the client has not heard."""
        self.armed = (kind, path.encode(), when)

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.accepted += 1
                server = socket.create_connection(("127.0.0.1", self.server))
                lost: list[int] = []
                for target in (self._requests, self._answers):
                    threading.Thread(target=target, args=(client, server, lost), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket, lost: list[int]) -> None:
        with _both(client, server):
            for number, frame in enumerate(_frames(client)):
                if number and self.armed is not None:
                    kind, path, when = self.armed
                    if struct.unpack(">i", frame[8:12])[0] == kind and path in frame:
                        self.armed = None
                        self.cuts += 1
                        if when == "before":
                            return
                        lost.append(struct.unpack(">i", frame[4:8])[0])
                server.sendall(frame)

    def _answers(self, client: socket.socket, server: socket.socket, lost: list[int]) -> None:
        with _both(client, server):
            for number, frame in enumerate(_frames(server)):
                if number and struct.unpack(">i", frame[4:8])[0] in lost:
                    return
                client.sendall(frame)


@contextlib.contextmanager
def wire_to(hosts: str) -> Iterator[Wire]:
    made = Wire(int(hosts.rpartition(":")[2]))
    threading.Thread(target=made.serve, daemon=True).start()
    try:
        yield made
    finally:
        with contextlib.suppress(OSError):
            made.listener.shutdown(socket.SHUT_RDWR)
        made.listener.close()


@contextlib.contextmanager
def _both(client: socket.socket, server: socket.socket) -> Iterator[None]:
    """Whichever end is gone, the other hears of it."""
    with contextlib.suppress(OSError):
        yield
    for end in (client, server):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def _frames(source: socket.socket) -> Iterator[bytes]:
    with source.makefile("rb") as stream:
        while len(head := stream.read(4)) == 4:
            yield head + stream.read(struct.unpack(">i", head)[0])
