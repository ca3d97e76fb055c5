"""S3 and DynamoDB of many queries with years of releases, from a formula: nothing is stored but what is written to it.

Enough of both for what an operator's commands ask: listings with a prefix, a start and pages of 1,000, objects, conditional
writes, DescribeTable. Requests are counted by operation: GET /_requests gives and forgets them. HTTP is parsed by hand,
because the server shares two cores with what is measured.

    python -m benchmarks.parts.formula_s3 PORT ENVIRONMENT DAYS FILE   (FILE as `years_made` writes it)
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from bisect import bisect_left, bisect_right
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from kumo_sandbox.testing.history import History

PAGE = 1000


class Account:
    """What the two services would answer. Every query of `<environment>/` has the same history."""

    def __init__(self, history: History, environment: str) -> None:
        self.history, self.environment = history, environment
        self.keys, self.requests = list(history.keys), Counter[str]()
        self.own: dict[str, dict[str, tuple[bytes, datetime]]] = {}

    def owned(self, query: str) -> dict[str, tuple[bytes, datetime]]:
        """What is this query's alone, by key below its folder: its pointer, and what was written."""
        if query not in self.own:
            own = self.history.own(query) if query else {}
            self.own[query] = {key: (data, self.history.written) for key, data in own.items()}
        return self.own[query]

    def split(self, key: str) -> tuple[str, str]:
        """Query, and the key below its folder; no query for what belongs to none (`.alarms/`)."""
        query, _, rest = key.removeprefix(f"{self.environment}/").partition("/")
        return ("", key) if query.startswith(".") or (not rest and not key.endswith("/")) else (query, rest)

    def get(self, key: str) -> tuple[bytes, datetime] | None:
        self.requests["GetObject"] += 1
        query, rest = self.split(key)
        if rest in self.owned(query):
            return self.owned(query)[rest]
        if query and rest in self.history.keys:
            return self.history.body(rest, query), self.history.keys[rest][2]
        return None

    def put(self, key: str, data: bytes, *, create: bool) -> bool:
        self.requests["PutObject"] += 1
        query, rest = self.split(key)
        if create and (rest in self.owned(query) or (query and rest in self.history.keys)):
            return False
        self.owned(query)[rest] = (data, datetime.now(UTC))
        return True

    def list(self, prefix: str, after: str, most: int) -> tuple[list[tuple[str, datetime]], bool]:
        """One page of keys, and whether there are more."""
        self.requests["ListObjectsV2"] += 1
        query, rest = self.split(prefix)
        root = f"{self.environment}/{query}/" if query else ""
        after = after.removeprefix(root)
        start = max(bisect_left(self.keys, rest), bisect_right(self.keys, after) if after else 0)
        page = self.keys[start : start + most + 1] if query else []
        found = {key: self.history.keys[key][2] for key in page if key.startswith(rest)}
        found |= {key: at for key, (_, at) in self.owned(query).items() if key.startswith(rest) and key > after}
        ordered = sorted(found.items())
        return [(root + key, at) for key, at in ordered[:most]], len(ordered) > most

    def table(self, name: str) -> dict[str, Any]:
        self.requests["DescribeTable"] += 1
        arn = f"arn:aws:dynamodb:us-east-1:000000000000:table/{name}"
        return {
            "Table": {"TableName": name, "TableArn": arn, "TableStatus": "ACTIVE", "DeletionProtectionEnabled": True}
        }


class Http(asyncio.Protocol):
    """One connection: requests in, answers out."""

    account: Account

    def connection_made(self, transport: Any) -> None:
        self.transport, self.left = transport, b""

    def data_received(self, data: bytes) -> None:
        self.left += data
        while b"\r\n\r\n" in self.left:
            head, _, rest = self.left.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            length = int(headers.get("content-length", 0))
            if len(rest) < length:
                if headers.get("expect"):
                    self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            self.left = rest[length:]
            method, target, _ = first.split(" ", 2)
            self.transport.write(self.answer(method, target, headers, rest[:length]))

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> bytes:
        account, url = self.account, urlsplit(target)
        if url.path == "/_requests":
            counted = json.dumps(account.requests)
            account.requests.clear()
            return reply(200, counted.encode())
        if headers.get("x-amz-target", "").endswith("DescribeTable"):
            return reply(200, json.dumps(account.table(json.loads(body)["TableName"])).encode())
        key = unquote(url.path).lstrip("/").partition("/")[2]
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if method == "GET" and "list-type" in query:
            after = query.get("continuation-token") or query.get("start-after", "")
            return reply(200, listing(*account.list(query.get("prefix", ""), after, int(query.get("max-keys", PAGE)))))
        if method == "PUT":
            done = account.put(key, unchunked(body, headers), create="if-none-match" in headers)
            return reply(200, b"", ETag='"e"') if done else reply(412, error("PreconditionFailed"))
        found = account.get(key)
        if found is None:
            return reply(404, error("NoSuchKey"))
        tag = hashlib.md5(found[0], usedforsecurity=False).hexdigest()
        return reply(200, found[0], ETag=f'"{tag}"', **{"Last-Modified": f"{found[1]:%a, %d %b %Y %H:%M:%S} GMT"})


def listing(page: list[tuple[str, datetime]], more: bool) -> bytes:
    items = "".join(
        f"<Contents><Key>{escape(key)}</Key><LastModified>{at:%Y-%m-%dT%H:%M:%S}.000Z</LastModified>"
        '<ETag>"e"</ETag><Size>1</Size><StorageClass>STANDARD</StorageClass></Contents>'
        for key, at in page
    )
    token = f"<NextContinuationToken>{escape(page[-1][0])}</NextContinuationToken>" if more else ""
    truncated = f"<IsTruncated>{str(more).lower()}</IsTruncated>"
    return f"<?xml version='1.0'?><ListBucketResult>{truncated}{token}{items}</ListBucketResult>".encode()


def error(code: str) -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()


def unchunked(body: bytes, headers: dict[str, str]) -> bytes:
    """The content of a body that the SDK sent in signed chunks; here there is one chunk."""
    if "aws-chunked" not in headers.get("content-encoding", ""):
        return body
    size, _, rest = body.partition(b"\r\n")
    return rest[: int(size.split(b";")[0], 16)]


def reply(status: int, body: bytes, **headers: str) -> bytes:
    kind = "application/xml" if body.startswith(b"<") else "application/json"
    now = datetime.now(UTC)
    head = {
        "Date": f"{now:%a, %d %b %Y %H:%M:%S} GMT",
        "Content-Type": kind,
        "Content-Length": str(len(body)),
        **headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return f"HTTP/1.1 {status} OK\r\n{lines}\r\n".encode() + body


async def serve(port: int, account: Account) -> None:
    Http.account = account
    server = await asyncio.get_running_loop().create_server(Http, "127.0.0.1", port)
    print("listening", flush=True)
    await server.serve_forever()


def main() -> None:
    from benchmarks.parts.years_made import history_from

    port, environment, days, file = sys.argv[1:5]
    asyncio.run(serve(int(port), Account(history_from(Path(file), int(days)), environment)))


if __name__ == "__main__":
    main()
