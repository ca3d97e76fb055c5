"""The framing of HTTP/1.1 responses, without any I/O: bytes in, a `Response` out. Both transports feed it.

The parser is httptools (llhttp, Node's, in C): http.client and aiohttp each cost more than the whole rest of a lookup
(benchmarks/reader prints it). Here are only the limits, what is refused because it was not asked for, and a quick way for
responses that are whole and plain; connections and time-outs are not here.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from httptools import HttpParserError, HttpResponseParser

MAX_HEAD = 64 * 1024
# DynamoDB answers a BatchGetItem with at most 16 MB of items; JSON adds to it.
MAX_BODY = 64 * 1024 * 1024


# A whole response as DynamoDB sends it: these headers in any order, and no other. One match of it costs less than to be
# called for each header; anything else is httptools' to read and to refuse.
_WHOLE = re.compile(
    rb"HTTP/1\.1 200 OK\r\n"
    rb"(?:(?:[Ss]erver|[Dd]ate|[Cc]ontent-[Tt]ype|x-amzn-[Rr]equest[Ii]d): [ -~]*\r\n"
    rb"|[Cc]ontent-[Ll]ength: ([0-9]{1,8})\r\n|[Cc]onnection: keep-alive\r\n|x-amz-crc32: ([0-9]{1,10})\r\n)+\r\n"
).match


class BadResponse(ValueError):
    """The bytes are no HTTP/1.1 response that this reader takes. Never leaves the package: it becomes `Unavailable`."""


class Response(NamedTuple):
    """A whole response. `crc32` is DynamoDB's checksum of the body, if sent; `keep`: the connection lives."""

    status: int
    body: bytes
    crc32: str | None
    keep: bool


class ResponseParser:
    """One connection's responses, one after the other: `begin`, then `feed` until it gives one."""

    __slots__ = ("_crc32", "_fed", "_framed", "_headed", "_parser", "_pieces", "_response", "_wrong")

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self.begin()

    def begin(self) -> None:
        """A request was sent: the next bytes are its response."""
        self._response: Response | None = None
        self._fed = 0
        self._wrong = ""
        self.on_message_begin()

    def feed(self, data: bytes) -> Response | None:
        """The response when `data` completed it, else None. Raises BadResponse."""
        if not self._fed:
            whole = _at_once(data)
            if whole is not None:
                return whole
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            raise BadResponse(self._wrong or f"{error}, at {data[:40]!r}") from None
        self._fed += len(data)
        if not self._headed and self._fed > MAX_HEAD:
            self._wrong = "endless headers"
        elif self._fed > MAX_HEAD + MAX_BODY:
            self._wrong = "endless body"
        if self._wrong:
            raise BadResponse(self._wrong)
        return self._response

    def end(self) -> Response | None:
        """The other side closed: the response when its body ran to the close, else None (it was cut)."""
        if not self._headed or self._framed or self._response is not None:
            return None
        return Response(self._parser.get_status_code(), b"".join(self._pieces), self._crc32, False)

    # -- called by httptools

    def on_message_begin(self) -> None:
        if self._response is not None:
            self._wrong = "more bytes than the response has"
        self._headed = self._framed = False
        self._crc32: str | None = None
        self._pieces: list[bytes] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"content-length":
            self._framed = True
            if int(value) > MAX_BODY:
                self._wrong = "an impossible Content-Length"
        elif name == b"x-amz-crc32":
            self._crc32 = value.decode("latin-1")
        elif name == b"transfer-encoding":
            self._framed = True
            if value.lower() != b"chunked":
                self._wrong = f"transfer encoding {value[:40]!r}"
        elif name == b"content-encoding" and value.lower() != b"identity":
            self._wrong = f"content encoding {value[:40]!r}, which was not asked for"

    def on_headers_complete(self) -> None:
        self._headed = True

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:  # 1xx only announces the real one
            return
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._response = Response(status, body, self._crc32, self._parser.should_keep_alive())


def _at_once(data: bytes) -> Response | None:
    """The response when `data` is one of DynamoDB's, from its first byte to its last."""
    found = _WHOLE(data)
    if found is None:
        return None
    (length, crc32), end = found.groups(), found.end()
    # A second Content-Length is httptools' to refuse: the pattern would take the last.
    if length is None or end + int(length) != len(data) or data.count(b"ength: ", 0, end) > 1:
        return None
    return Response(200, data[end:], crc32.decode() if crc32 is not None else None, True)
