"""What the reader's tests run against besides real servers: a small server that answers as DynamoDB does and fails on
demand, and a pointer store in memory. MiniStack and ZooKeeper come from `kumo_sandbox.testing`.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import botocore.session
from kumo_serving.errors import PointerError, PointerMissing
from kumo_serving.items import encode_item
from kumo_serving.pointer import Pointer, Previous, dump_pointer
from kumo_serving.pointer_stores import PointerBytes

OLD = "local-shop-20171129-0a0b0c0d"
NEW = "local-shop-20171130-1a2b3c4d"
NEWER = "local-shop-20171201-2b3c4d5e"
RANKING = [("milk", 0.9), ("bread", 0.5)]


def client(service: str) -> Any:
    return botocore.session.get_session().create_client(service)


def make_table(name: str, items: dict[str, list[tuple[str, float]]], *, key_type: str = "S") -> None:
    dynamodb = client("dynamodb")
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "e", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "e", "AttributeType": key_type}],
        BillingMode="PAY_PER_REQUEST",
    )
    for entity, ranking in items.items():
        item = encode_item(entity, ranking, "ranking/1")
        dynamodb.put_item(TableName=name, Item={**item, "e": {key_type: entity}})


# -- a DynamoDB that fails on demand -----------------------------------------------------------------------------


@dataclass
class FakeDynamoDB:
    """Answers GetItem and BatchGetItem as DynamoDB does. `faults` are used up, one a request, before real answers."""

    tables: dict[str, dict[str, str]] = field(default_factory=dict)
    faults: deque[Any] = field(default_factory=deque)
    always: Any = None
    requests: list[tuple[str, dict[str, Any], dict[str, str]]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    connections: int = 0
    open: set[Any] = field(default_factory=set)
    url: str = ""
    chunked: bool = False
    delay: float = 0.0

    def put(self, table: str, **items: list[tuple[str, float]]) -> None:
        self.tables[table] = {
            entity: encode_item(entity, ranking, "ranking/1")["p"]["S"] for entity, ranking in items.items()
        }

    def tables_asked(self) -> list[str]:
        return [body.get("TableName") or next(iter(body["RequestItems"])) for _, body, _ in self.requests]

    def cut_connections(self) -> None:
        """What a restart of the server looks like to its clients."""
        for sock in list(self.open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


def refusal(kind: str, message: str = "", status: int = 400) -> tuple[int, bytes]:
    body = {"__type": f"com.amazonaws.dynamodb.v20120810#{kind}", "message": message}
    return status, json.dumps(body).encode()


THROTTLE = refusal("ProvisionedThroughputExceededException", "too fast")
GONE = refusal("ResourceNotFoundException", "Requested resource not found")
BROKEN = refusal("InternalServerError", "oops", 500)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server.fake.connections += 1
        self.server.fake.open.add(self.connection)

    def finish(self) -> None:
        self.server.fake.open.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_POST(self) -> None:
        fake: FakeDynamoDB = self.server.fake
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        operation = self.headers["X-Amz-Target"].rpartition(".")[2]
        document = json.loads(raw)
        fake.requests.append((operation, document, {**dict(self.headers.items()), "raw": raw.decode()}))
        fault = fake.faults.popleft() if fake.faults else fake.always
        if fake.delay:
            time.sleep(fake.delay)
        if callable(fault):
            fault = fault(self)
        if fault == "done":
            return
        status, body = fault if isinstance(fault, tuple) else self.answer(operation, document, fault)
        self.reply(status, body)

    def reply(self, status: int, body: bytes, crc32: int | None = None) -> None:
        chunks = self.server.fake.chunked
        head = [f"HTTP/1.1 {status} X", f"x-amz-crc32: {zlib.crc32(body) if crc32 is None else crc32}"]
        head += ["Transfer-Encoding: chunked" if chunks else f"Content-Length: {len(body)}", "", ""]
        if chunks:
            half = len(body) // 2
            parts = [part for part in (body[:half], body[half:]) if part]
            body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        self.wfile.write("\r\n".join(head).encode() + body)

    def answer(self, operation: str, document: dict[str, Any], fault: Any) -> tuple[int, bytes]:
        tables = self.server.fake.tables
        if operation == "GetItem":
            if document["TableName"] not in tables:
                self.server.fake.refused.add("gone")
                return GONE
            entity = document["Key"]["e"]["S"]
            found = tables[document["TableName"]].get(entity)
            return 200, json.dumps({} if found is None else {"Item": item(entity, found)}).encode()
        (table, request), *_ = document["RequestItems"].items()
        if table not in tables:
            self.server.fake.refused.add("gone")
            return GONE
        keys = request["Keys"]
        assert len(keys) <= 100
        assert len({key["e"]["S"] for key in keys}) == len(keys)
        left = fault if isinstance(fault, int) else 0  # how many keys to leave unprocessed
        asked, unprocessed = keys[: len(keys) - left], keys[len(keys) - left :]
        rows = [item(key["e"]["S"], tables[table][key["e"]["S"]]) for key in asked if key["e"]["S"] in tables[table]]
        answer: dict[str, Any] = {"Responses": {table: rows}, "UnprocessedKeys": {}}
        if unprocessed:
            answer["UnprocessedKeys"] = {table: {"Keys": unprocessed}}
        return 200, json.dumps(answer).encode()


def item(entity: str, text: str) -> dict[str, Any]:
    return {"e": {"S": entity}, "p": {"S": text}}


def hang(seconds: float) -> Callable[[Any], str]:
    """Say nothing for a while, then close."""

    def fault(handler: Any) -> str:
        time.sleep(seconds)
        handler.close_connection = True
        return "done"

    return fault


def reset(handler: Any) -> str:
    """Cut the connection with a TCP reset."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.connection.close()
    return "done"


def half(handler: Any) -> str:
    """Close in the middle of the body."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    handler.close_connection = True
    return "done"


def damaged(handler: Any) -> str:
    """A body that is not what its checksum says."""
    handler.reply(200, b"{}", crc32=1)
    return "done"


def unsigned(body: bytes) -> Callable[[Any], str]:
    """A 200 without DynamoDB's headers: what a proxy or a health page in its place answers."""

    def fault(handler: Any) -> str:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        return "done"

    return fault


# -- an S3 that remembers who asked ------------------------------------------------------------------------------


@dataclass
class FakeS3:
    """Answers GETs of objects as S3 does, and remembers each request. It may be reached directly or as a proxy."""

    objects: dict[str, bytes] = field(default_factory=dict)
    # (the host that was asked for, the path, headers)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    # Hosts of CONNECT requests, when it stands for a proxy.
    tunnels: list[str] = field(default_factory=list)
    # A certificate: tunnels lead to this same S3, by TLS.
    certificate: Path | None = None
    url: str = ""

    def signed_by(self) -> list[str]:
        """The access key that signed each request."""
        signed = [headers.get("Authorization", "") for _, _, headers in self.requests]
        return [text.partition("Credential=")[2].partition("/")[0] for text in signed]


class S3Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        fake: FakeS3 = self.server.fake
        parts = urlsplit(self.path)
        fake.requests.append((parts.netloc or self.headers["Host"], parts.path, dict(self.headers.items())))
        body = fake.objects.get(parts.path)
        etag = f'"{zlib.crc32(body or b"")}"'
        if body is None:
            self.send_response(404)
            body = b"<Error><Code>NoSuchKey</Code></Error>"
        elif self.headers["If-None-Match"] == etag:
            self.send_response(304)
            body = b""
        else:
            self.send_response(200)
        self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_CONNECT(self) -> None:
        fake: FakeS3 = self.server.fake
        fake.tunnels.append(self.path)
        if fake.certificate is None:
            self.send_error(502, "this proxy lets nobody through")
            return
        self.send_response(200)
        self.end_headers()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(fake.certificate)
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", buffering=0)
        self.close_connection = False


# -- a pointer store in memory -----------------------------------------------------------------------------------


class MemoryPointer:
    """A store whose content a test sets, and which can be down. (S3 and ZooKeeper have tests of their own.)"""

    uri = "memory://shop"
    poll_seconds = 0.02

    def __init__(self, pointer: Pointer | bytes | None = None) -> None:
        self.version = 0
        self.reads = 0
        self.error: Exception | None = None
        self.threads: set[str] = set()
        self.data: bytes | None = None
        if pointer is not None:
            self.set(pointer)

    def set(self, pointer: Pointer | bytes) -> None:
        self.data = pointer if isinstance(pointer, bytes) else dump_pointer(pointer)
        self.version += 1

    def read(self, known: str | None = None) -> PointerBytes | None:
        self.reads += 1
        self.threads.add(threading.current_thread().name)
        if self.error is not None:
            raise self.error
        if self.data is None:
            raise PointerMissing("read the active pointer", to=self.uri, found="nothing is there")
        return None if known == str(self.version) else PointerBytes(self.data, str(self.version))

    def watch(self, changed: Callable[[], None]) -> None:
        """Nothing to watch."""

    def close(self) -> None:
        """Nothing to close."""


DOWN = PointerError("read the active pointer", to="memory://shop", found="it is down")


def pointer_to(table: str, *previous: str, **changes: Any) -> Pointer:
    release = table.removeprefix("local-shop-")
    fields: dict[str, Any] = {
        "query": "shop",
        "table": table,
        "environment": "local",
        "generation": 1,
        "release_id": release,
        "partition": f"{release[:4]}-{release[4:6]}-{release[6:8]}",
        "region": "us-east-1",
        "previous": tuple(Previous(old.removeprefix("local-shop-"), "", old) for old in previous),
    }
    return Pointer(**{**fields, **changes})
