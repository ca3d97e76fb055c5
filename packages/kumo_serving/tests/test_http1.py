"""The response framing: any way the bytes may be cut, and anything that is no response of ours."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from kumo_serving.http1 import BadResponse, Response, ResponseParser

BODY = b'{"Item":{"p":{"S":"[]"}}}'
PLAIN = (
    b"HTTP/1.1 200 OK\r\nServer: Server\r\ncontent-LENGTH: %d\r\nConnection: keep-alive\r\nx-amz-crc32: 12\r\n\r\n"
    % len(BODY)
) + BODY
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nx-amz-crc32: 12\r\n\r\n5;x=1\r\n%s\r\n14\r\n%s\r\n0\r\n\r\n"
    % (
        BODY[:5],
        BODY[5:],
    )
)


@pytest.mark.parametrize(
    "whole", [PLAIN, CHUNKED, b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN], ids=["plain", "chunks", "1xx"]
)
@given(data=st.data())
def test_a_response_is_the_same_however_it_arrives(whole: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(whole) - 1), max_size=6)))
    parser = ResponseParser()
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    results = [parser.feed(piece) for piece in pieces]
    assert results[:-1] == [None] * (len(pieces) - 1)
    assert results[-1] == Response(200, BODY, "12", True)


def test_a_body_without_a_length_ends_with_the_connection_and_ends_it() -> None:
    parser = ResponseParser()
    assert parser.feed(b"HTTP/1.1 503 No\r\n\r\nsorry") is None
    assert parser.end() == Response(503, b"sorry", None, False)


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nConnection: close\r\n", b"HTTP/1.0 200 OK\r\n"])
def test_a_connection_the_server_will_close_is_not_kept(head: bytes) -> None:
    assert ResponseParser().feed(head + b"Content-Length: 2\r\n\r\n{}") == Response(200, b"{}", None, False)


def test_a_response_that_was_cut_is_none() -> None:
    for cut in (PLAIN[:-1], PLAIN[:20], CHUNKED[:-3]):
        parser = ResponseParser()
        assert parser.feed(cut) is None
        assert parser.end() is None


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"a" * 70_000,
    ],
)
def test_what_is_no_response_of_ours_is_refused(data: bytes) -> None:
    with pytest.raises(BadResponse):
        ResponseParser().feed(data)


LINES = st.sampled_from(
    [
        *(b"Server: Server", b"Date: Tue, 24 Nov 2026 10:00:00 GMT", b"Content-Type: application/x-amz-json-1.0"),
        *(b"x-amzn-RequestId: 5BTRN0RV", b"x-amz-crc32: 12", b"X-Amz-Crc32: 13", b"x-amz-crc32: 12a"),
        *(
            b"Content-Length: 2",
            b"content-length: 3",
            b"Content-Length:2",
            b"Content-Length: 02",
            b"Content-Length: 2 ",
        ),
        *(b"Connection: keep-alive", b"Connection: close", b"Transfer-Encoding: chunked", b"Content-Encoding: gzip"),
        *(b"Server: caf\xc3\xa9", b"Date: a\rb", b"Date: a\nb", b" folded", b"Via: 1.1 proxy", b"", b"Server"),
    ]
)


def outcome(pieces: list[bytes]) -> object:
    parser = ResponseParser()
    try:
        return [parser.feed(piece) for piece in pieces][-1]
    except BadResponse:
        return "refused"


@given(
    first=st.sampled_from([b"HTTP/1.1 200 OK", b"HTTP/1.1 200", b"HTTP/1.0 200 OK", b"HTTP/1.1 400 Bad Request"]),
    lines=st.lists(LINES, max_size=8),
    body=st.sampled_from([b"", b"{", b"{}", b"{}\n", b"2\r\n{}\r\n0\r\n\r\n"]),
)
@example(b"HTTP/1.1 200 OK", [b"Content-Length: 3", b"Content-Length: 2"], b"{}")
@example(b"HTTP/1.1 200 OK", [b"Content-Length: 2", b"Transfer-Encoding: chunked"], b"{}")
@example(b"HTTP/1.1 200 OK", [b"Server: Server", b"Content-Length: 2", b"x-amz-crc32: 12"], b"{}")
def test_a_response_in_one_piece_is_what_it_is_in_two(first: bytes, lines: list[bytes], body: bytes) -> None:
    """The quick way for a whole response takes no other, and makes nothing else of it, than the parser does."""
    whole = b"\r\n".join([first, *lines, b"", body])
    assert outcome([whole]) == outcome([whole[:1], whole[1:]])


@given(st.binary(max_size=300))
def test_no_bytes_at_all_raise_anything_else(data: bytes) -> None:
    for prefix in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"):
        try:
            ResponseParser().feed(prefix + data)
        except BadResponse:
            continue


def test_dynamodb_s_own_response_takes_the_quick_way(monkeypatch: pytest.MonkeyPatch) -> None:
    head = b"HTTP/1.1 200 OK\r\nServer: Server\r\nDate: Tue, 24 Nov 2026 10:00:00 GMT\r\nContent-Length: 2\r\n"
    head += b"Content-Type: application/x-amz-json-1.0\r\nConnection: keep-alive\r\nx-amzn-RequestId: 5BTRN0RV\r\n"
    parser = ResponseParser()
    monkeypatch.setattr(parser, "_parser", None)
    assert parser.feed(head + b"x-amz-crc32: 2745614147\r\n\r\n{}") == Response(200, b"{}", "2745614147", True)
