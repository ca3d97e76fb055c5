"""A DynamoDB small and fast enough that, beside it, the client is what is measured. In memory, on 127.0.0.1.

Answers GetItem, BatchGetItem, BatchWriteItem and what peers need to make their tables, with DynamoDB's headers and checksum; it
checks no signature. Prints its port. A table that was never created is ResourceNotFound, as the swap benchmark needs.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from typing import Any

HEAD = (
    b"HTTP/1.1 %d OK\r\nServer: Server\r\nDate: Tue, 24 Nov 2026 10:00:00 GMT\r\n"
    b"Content-Type: application/x-amz-json-1.0\r\nContent-Length: %d\r\nConnection: keep-alive\r\n"
    b"x-amzn-RequestId: 5BTRN0RVFJ8GMLMF0000000000000000000000000000000000AS\r\nx-amz-crc32: %d\r\n\r\n"
)
GONE = (
    b'{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"Requested resource not found"}'
)


class Tables:
    """Table -> (key attribute, key -> the item's JSON)."""

    def __init__(self) -> None:
        self.tables: dict[str, tuple[str, dict[str, str]]] = {}

    def answer(self, operation: str, body: bytes) -> tuple[int, bytes]:
        request = json.loads(body)
        try:
            return 200, getattr(self, operation)(request).encode()
        except KeyError:
            return 400, GONE

    def GetItem(self, request: dict[str, Any]) -> str:
        name, items = self.tables[request["TableName"]]
        (value,) = request["Key"][name].values()
        item = items.get(value)
        return "{}" if item is None else f'{{"Item":{item}}}'

    def BatchGetItem(self, request: dict[str, Any]) -> str:
        ((table, wanted),) = request["RequestItems"].items()
        name, items = self.tables[table]
        values = [next(iter(key[name].values())) for key in wanted["Keys"]]
        found = ",".join([items[value] for value in values if value in items])
        return f'{{"Responses":{{{json.dumps(table)}:[{found}]}},"UnprocessedKeys":{{}}}}'

    def BatchWriteItem(self, request: dict[str, Any]) -> str:
        for table, writes in request["RequestItems"].items():
            name, items = self.tables[table]
            for write in writes:
                item = write["PutRequest"]["Item"]
                items[next(iter(item[name].values()))] = json.dumps(item, separators=(",", ":"))
        return '{"UnprocessedItems":{}}'

    def CreateTable(self, request: dict[str, Any]) -> str:
        self.tables[request["TableName"]] = (request["KeySchema"][0]["AttributeName"], {})
        return self.DescribeTable(request).replace('"Table"', '"TableDescription"')

    def DescribeTable(self, request: dict[str, Any]) -> str:
        name = request["TableName"]
        self.tables[name]
        arn = f"arn:aws:dynamodb:us-east-1:000000000000:table/{name}"
        return json.dumps({"Table": {"TableName": name, "TableArn": arn, "TableStatus": "ACTIVE"}})

    def ListTagsOfResource(self, request: dict[str, Any]) -> str:  # Feast asks
        return '{"Tags":[]}'

    def DeleteTable(self, request: dict[str, Any]) -> str:
        del self.tables[request["TableName"]]
        return "{}"


class Connection(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.buffer = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while True:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.buffer[:end].lower()
            if b"expect: 100-continue" in head:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            stop = end + 4 + int(_header(head, b"\r\ncontent-length:") or 0)
            if len(self.buffer) < stop:
                return
            at = head.find(b"\r\nx-amz-target:")
            operation = self.buffer[at : head.find(b"\r\n", at + 2) if head.find(b"\r\n", at + 2) > 0 else end]
            status, body = self.tables.answer(operation.rpartition(b".")[2].decode(), self.buffer[end + 4 : stop])
            self.buffer = self.buffer[stop:]
            self.transport.write(HEAD % (status, len(body), zlib.crc32(body)) + body)


def _header(head: bytes, name: bytes) -> bytes:
    at = head.find(name)
    return head[at + len(name) :].split(b"\r\n", 1)[0].strip() if at >= 0 else b""


async def main() -> None:
    tables = Tables()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(tables), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
