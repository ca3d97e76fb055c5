"""What no reader can go below: signing, the loopback round trip and decoding, each measured by itself.

`python floor.py URL SECONDS` prints one JSON object of CPU microseconds.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys

from peers import BATCH, CONCURRENT, REGION, TABLE, cpu, cpu_async, hundred


def main(url: str, seconds: float) -> dict[str, float]:
    from kumo_serving.aws import Account
    from kumo_serving.http1 import ResponseParser
    from kumo_serving.items import decode, decode_batch
    from kumo_serving.pointer import KeyAttribute
    from kumo_serving.wire import TableWire

    account = Account(endpoint_url=url)
    account.refresh()
    endpoint = account.endpoint(REGION)
    key = KeyAttribute()
    requests = TableWire(account, endpoint, TABLE, key)
    sock = socket.create_connection(endpoint.address())
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def receive() -> bytes:
        data, parser = b"", ResponseParser()
        while True:
            piece = sock.recv(262144)
            data += piece
            if parser.feed(piece) is not None:
                return data

    def trip(request: bytes) -> bytes:
        sock.sendall(request)
        return receive()

    one, many = requests.get("1"), requests.batch(hundred(1))
    answer, answers = trip(one), trip(many)

    def decode_one(_: int) -> None:
        response = ResponseParser().feed(answer)
        assert response is not None
        text = requests.read_get(response)
        assert isinstance(text, str)
        decode(text, "ranking/1")

    def decode_many(_: int) -> None:
        response = ResponseParser().feed(answers)
        assert response is not None
        batch = requests.read_batch(response)
        assert isinstance(batch, tuple)
        assert len(decode_batch(list(batch[0].values()), "ranking/1")) == BATCH

    def blind(request: bytes, size: int) -> None:
        sock.sendall(request)
        left = size
        while left:
            left -= len(sock.recv(262144))

    return {
        "sign, get": cpu(lambda number: requests.get(str(number)), seconds),
        "sign, many": cpu(lambda number: requests.batch(hundred(number)), seconds),
        "round trip, get": cpu(lambda _: blind(one, len(answer)), seconds),
        "round trip, many": cpu(lambda _: blind(many, len(answers)), seconds),
        "round trip, async get": asyncio.run(streams(endpoint.address(), one, len(answer), seconds, 1)),
        "round trip, async get, concurrent": asyncio.run(
            streams(endpoint.address(), one, len(answer), seconds, CONCURRENT)
        ),
        "decode, get": cpu(decode_one, seconds),
        "decode, many": cpu(decode_many, seconds),
    }


async def streams(address: tuple[str, int], request: bytes, size: int, seconds: float, concurrent: int) -> float:
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


if __name__ == "__main__":
    os.environ.update(AWS_ACCESS_KEY_ID="AKIDBENCH", AWS_SECRET_ACCESS_KEY="bench", AWS_REGION=REGION)
    print(json.dumps(main(sys.argv[1], float(sys.argv[2]))))
