"""What no reader can go below: signing, the loopback round trip and decoding, each measured by itself; and what two
libraries take for the round trip alone, signing and decoding left out: the reason for a transport of the reader's own.

`python floor.py floor|http.client|aiohttp URL SECONDS` prints one JSON object of CPU microseconds.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time

from peers import BATCH, CONCURRENT, REGION, TABLE, cpu, cpu_async, hundred

# As long as a signed request's; the server checks no signature.
HEADERS = {
    "X-Amz-Target": "DynamoDB_20120810.GetItem",
    "X-Amz-Date": "20171130T000000Z",
    "Authorization": "AWS4-HMAC-SHA256 " + "x" * 180,
    "Content-Type": "application/x-amz-json-1.0",
}
BODY = json.dumps({"TableName": TABLE, "Key": {"e": {"S": "1"}}}).encode()


def floor(url: str, seconds: float) -> dict[str, float]:
    from kumo_serving.aws import Account
    from kumo_serving.http1 import ResponseParser
    from kumo_serving.items import decode, decode_batch
    from kumo_serving.pointer import KeyAttribute
    from kumo_serving.sockets import Pool
    from kumo_serving.streams import Pool as AsyncPool
    from kumo_serving.wire import TableWire

    account = Account(endpoint_url=url)
    account.refresh()
    endpoint = account.endpoint(REGION)
    requests = TableWire(account, endpoint, TABLE, KeyAttribute())
    sock = socket.create_connection(endpoint.address())
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    parser = ResponseParser()

    def trip(request: bytes) -> bytes:
        sock.sendall(request)
        data = b""
        parser.begin()
        while True:
            piece = sock.recv(262144)
            data += piece
            if parser.feed(piece) is not None:
                return data

    one, many = requests.get("1"), requests.batch(hundred(1))
    answer, answers = trip(one), trip(many)

    def decode_one(_: int) -> None:
        parser.begin()
        response = parser.feed(answer)
        assert response is not None
        text = requests.read_get(response)
        assert isinstance(text, str)
        decode(text, "ranking/1")

    def decode_many(_: int) -> None:
        parser.begin()
        response = parser.feed(answers)
        assert response is not None
        batch = requests.read_batch(response)
        assert isinstance(batch, tuple)
        assert len(decode_batch(batch[1], "ranking/1") or ()) == BATCH

    def blind(request: bytes, size: int) -> None:
        sock.sendall(request)
        left = size
        while left:
            left -= len(sock.recv(262144))

    pool, until = Pool(1), time.monotonic() + 3600

    async def pooled() -> dict[str, float]:
        streams = AsyncPool(CONCURRENT)

        async def call(_: int) -> None:
            await streams.one(endpoint, one, until)

        return {
            "transport, AsyncReader's": await cpu_async(call, seconds, 1),
            "transport, AsyncReader's, concurrent": await cpu_async(call, seconds, CONCURRENT),
        }

    return {
        "sign, get": cpu(lambda number: requests.get(str(number)), seconds),
        "sign, many": cpu(lambda number: requests.batch(hundred(number)), seconds),
        "round trip, get": cpu(lambda _: blind(one, len(answer)), seconds),
        "round trip, many": cpu(lambda _: blind(many, len(answers)), seconds),
        "round trip, async get": asyncio.run(blindly(endpoint.address(), one, len(answer), seconds, 1)),
        "round trip, async get, concurrent": asyncio.run(
            blindly(endpoint.address(), one, len(answer), seconds, CONCURRENT)
        ),
        "decode, get": cpu(decode_one, seconds),
        "decode, many": cpu(decode_many, seconds),
        "transport, Reader's": cpu(lambda _: pool.one(endpoint, one, until), seconds),
        **asyncio.run(pooled()),
    }


async def blindly(address: tuple[str, int], request: bytes, size: int, seconds: float, concurrent: int) -> float:
    """asyncio's own floor: bytes out, so many bytes in, looked at by nobody."""

    class Blind(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.left -= len(data)
            if self.left == 0:
                self.done.set_result(None)

        async def trip(self) -> None:
            self.left, self.done = size, asyncio.get_running_loop().create_future()
            self.transport.write(request)  # type: ignore[attr-defined]
            await self.done

    loop = asyncio.get_running_loop()
    idle = [(await loop.create_connection(Blind, *address))[1] for _ in range(concurrent)]

    async def call(_: int) -> None:
        connection = idle.pop()
        await connection.trip()
        idle.append(connection)

    return await cpu_async(call, seconds, concurrent)


def http_client(url: str, seconds: float) -> dict[str, float]:
    import http.client

    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def call(_: int) -> None:
        connection.request("POST", "/", BODY, HEADERS)
        assert b"Item" in connection.getresponse().read()

    return {"transport, http.client": cpu(call, seconds)}


def with_aiohttp(url: str, seconds: float) -> dict[str, float]:
    import aiohttp
    import yarl

    async def measure() -> dict[str, float]:
        options = {"cookie_jar": aiohttp.DummyCookieJar(), "auto_decompress": False}
        connector, address = aiohttp.TCPConnector(limit=CONCURRENT), yarl.URL(url + "/")
        async with aiohttp.ClientSession(connector=connector, **options) as session:

            async def call(_: int) -> None:
                async with session.post(address, data=BODY, headers=HEADERS) as response:
                    assert b"Item" in await response.read()

            return {
                "transport, aiohttp": await cpu_async(call, seconds, 1),
                "transport, aiohttp, concurrent": await cpu_async(call, seconds, CONCURRENT),
            }

    return asyncio.run(measure())


PARTS = {"floor": floor, "http.client": http_client, "aiohttp": with_aiohttp}

if __name__ == "__main__":
    print(json.dumps(PARTS[sys.argv[1]](sys.argv[2], float(sys.argv[3]))))
