"""The framing of one HTTP/1.1 response, without any I/O: bytes in, a `Response` out.

Both transports (`sockets`, `streams`) feed it. It exists because DynamoDB's wire is one kind of POST to one host, and
general parsers cost more than the whole rest of a lookup (http.client 60 us of 85, measured in benchmarks/reader).
Anything unexpected is refused rather than guessed at; connections and time-outs are not here.
"""

from __future__ import annotations

from typing import NamedTuple

MAX_HEAD = 64 * 1024
# DynamoDB answers a BatchGetItem with at most 16 MB of items; JSON adds to it.
MAX_BODY = 64 * 1024 * 1024


class BadResponse(ValueError):
    """The bytes are no HTTP/1.1 response that this reader takes. Never leaves the package: it becomes `Unavailable`."""


class Response(NamedTuple):
    """A whole response. `crc32` is DynamoDB's checksum of the body, if sent; `keep`: the connection lives."""

    status: int
    body: bytes
    crc32: str | None
    keep: bool


class _Head(NamedTuple):
    status: int
    length: int | None
    chunked: bool
    crc32: str | None
    keep: bool


class ResponseParser:
    """Fed with what arrives, answers the response once it is whole. One parser for one response."""

    __slots__ = ("_buffer", "_head", "_start")

    def __init__(self) -> None:
        self._buffer: bytes | bytearray = b""
        self._head: _Head | None = None
        self._start = 0

    def feed(self, data: bytes) -> Response | None:
        """The response when `data` completed it, else None. Raises BadResponse."""
        if not self._buffer:
            self._buffer = data
        else:
            if type(self._buffer) is bytes:
                self._buffer = bytearray(self._buffer)
            self._buffer += data
        while self._head is None:
            end = self._buffer.find(b"\r\n\r\n", self._start)
            if end < 0:
                if len(self._buffer) - self._start > MAX_HEAD:
                    raise BadResponse("endless headers")
                return None
            head = _parse_head(bytes(self._buffer[self._start : end]))
            self._start = end + 4
            if head.status >= 200:  # 1xx only announces the real one
                self._head = head
        return self._body(self._head)

    def end(self) -> Response | None:
        """The other side closed: the response when its body ran to the close, else None (it was cut)."""
        head = self._head
        if head is None or head.chunked or head.length is not None:
            return None
        return Response(head.status, bytes(self._buffer[self._start :]), head.crc32, False)

    def _body(self, head: _Head) -> Response | None:
        if head.chunked:
            return self._chunked(head)
        size = len(self._buffer) - self._start
        if head.length is None:
            if size > MAX_BODY:
                raise BadResponse("endless body")
            return None
        if size < head.length:
            return None
        if size > head.length:
            raise BadResponse("more bytes than the response has")
        return Response(head.status, bytes(self._buffer[self._start :]), head.crc32, head.keep)

    def _chunked(self, head: _Head) -> Response | None:
        # Emulators chunk; DynamoDB does not. So this starts afresh with each arrival rather than keeping a state.
        buffer, position = bytes(self._buffer), self._start
        parts: list[bytes] = []
        if len(buffer) > MAX_BODY:
            raise BadResponse("endless body")
        while True:
            line = buffer.find(b"\r\n", position)
            if line < 0:
                return None
            size = _number(buffer[position:line].split(b";")[0].strip(), 16)
            position = line + 2
            if size == 0:
                # Trailers may follow; an empty line ends them.
                if buffer.startswith(b"\r\n", position):
                    return Response(head.status, b"".join(parts), head.crc32, head.keep)
                if buffer.find(b"\r\n\r\n", position) >= 0:
                    return Response(head.status, b"".join(parts), head.crc32, False)
                return None
            if len(buffer) < position + size + 2:
                return None
            parts.append(buffer[position : position + size])
            position += size + 2


def _number(text: bytes, base: int) -> int:
    # int() would take signs, underscores and spaces.
    if not text or not all(character in b"0123456789abcdefABCDEF" for character in text):
        raise BadResponse(f"a length of {text[:20]!r}")
    try:
        return int(text, base)
    except ValueError:
        raise BadResponse(f"a length of {text[:20]!r}") from None


def _parse_head(head: bytes) -> _Head:
    lines = head.split(b"\r\n")
    first = lines[0]
    if not first.startswith(b"HTTP/1.") or not first[9:12].isdigit():
        raise BadResponse(f"it begins with {first[:40]!r}")
    length: int | None = None
    chunked = False
    crc32 = None
    keep = first.startswith(b"HTTP/1.1")
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        name = name.lower()
        if name == b"content-length":
            stated = _number(value.strip(), 10)
            if stated > MAX_BODY or (length is not None and stated != length):
                raise BadResponse("an impossible Content-Length")
            length = stated
        elif name == b"x-amz-crc32":
            crc32 = value.strip().decode("latin-1")
        elif name == b"connection":
            keep = keep and b"close" not in value.lower()
        elif name == b"transfer-encoding":
            if value.strip().lower() != b"chunked":
                raise BadResponse(f"transfer encoding {value[:40]!r}")
            chunked = True
        elif name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            raise BadResponse(f"content encoding {value[:40]!r}, which was not asked for")
    if chunked and length is not None:
        raise BadResponse("both a length and chunks")
    status = int(first[9:12])
    if status in (204, 304):
        length = 0
    return _Head(status, length, chunked, crc32, keep and (chunked or length is not None))
