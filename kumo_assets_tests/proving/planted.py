"""The sandbox's AWS proxy with a difference planted: what an account would show on which one assumption does not hold.

Each difference is made at the HTTP boundary, behind the check of signatures, and all else is passed on to the MiniStack of
the session's sandbox.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import boto3
from aiohttp import web
from botocore.config import Config
from kumo_sandbox.aws.proxy import Proxy, application
from kumo_sandbox.aws.upstream import HOP
from kumo_sandbox.testing import SandboxHandle

CONDITIONS = ("If-Match", "If-None-Match")
# A number as the export writes a score: behind the class, up to the end of its pair.
SCORE = re.compile(r",(-?[0-9.]+(?:E-?[0-9]+)?)\]")


class Planted(Proxy):
    """A proxy with one difference; `handle` is given each request before the real one is."""

    def __init__(self, sandbox: SandboxHandle) -> None:
        env = sandbox.env
        super().__init__(sandbox.url["ministack"], env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"])
        self.s3 = boto3.session.Session().client(
            "s3", endpoint_url=sandbox.url["ministack"], config=Config(s3={"addressing_style": "path"})
        )

    async def handle(self, request: web.Request) -> web.StreamResponse:
        target = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        return await self.planted(target, request, await request.read())

    async def planted(self, action: str, request: web.Request, body: bytes) -> web.StreamResponse:
        return await super().handle(request)

    def rewrite(self, bucket: str, prefix: str, change: Callable[[str], str]) -> None:
        """Change every export's object under a prefix, in MiniStack itself."""
        for item in self.s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", []):
            if item["Key"].endswith(".gz"):
                text = gzip.decompress(self.s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()).decode()
                if change(text) != text:
                    self.s3.put_object(
                        Bucket=bucket,
                        Key=item["Key"],
                        Body=gzip.compress(change(text).encode()),
                        ServerSideEncryption="AES256",
                    )

    def rewrite_source(self, body: bytes, change: Callable[[str], str]) -> None:
        source = json.loads(body)["S3BucketSource"]
        self.rewrite(source["S3Bucket"], source["S3KeyPrefix"], change)


class CompareAndSetIgnored(Planted):
    """A store that writes whatever the condition says, as many that call themselves compatible with S3."""

    async def planted(self, action: str, request: web.Request, body: bytes) -> web.StreamResponse:
        if request.method != "PUT" or not any(name in request.headers for name in CONDITIONS):
            return await super().planted(action, request, body)
        headers = {name: value for name, value in request.headers.items() if name not in CONDITIONS}
        unconditional: Any = SimpleNamespace(method=request.method, raw_path=request.raw_path, headers=headers)
        return await self.ministack.forward(unconditional, body)


class ScoresShortened(Planted):
    """An unload that writes floats with 10 digits."""

    async def planted(self, action: str, request: web.Request, body: bytes) -> web.StreamResponse:
        prefix = request.query.get("prefix", "")
        if request.method == "GET" and "/export" in prefix:
            bucket = request.path.strip("/").partition("/")[0]
            await asyncio.to_thread(self.rewrite, bucket, prefix, self.shortened)
        return await super().planted(action, request, body)

    @staticmethod
    def shortened(text: str) -> str:
        return SCORE.sub(lambda found: f",{float(found[1]):.10g}]", text)


class TokenStartsAnother(Planted):
    """An ImportTable that does not know its token again: each request starts an import of its own."""

    seen = 0

    async def planted(self, action: str, request: web.Request, body: bytes) -> web.StreamResponse:
        if action != "ImportTable":
            return await super().planted(action, request, body)
        wanted = json.loads(body)
        name = wanted["TableCreationParameters"]["TableName"]
        if "-a" not in name[-4:]:
            self.seen += 1
            if self.seen > 1:
                wanted["ClientToken"] = f"another-{self.seen}"
                wanted["TableCreationParameters"]["TableName"] = f"{name}-a{10 + self.seen}"
        return await self.dynamodb.actions["ImportTable"](request, json.dumps(wanted).encode())


class LineBreaksChanged(Planted):
    """An import that reads CRLF as LF."""

    async def planted(self, action: str, request: web.Request, body: bytes) -> web.StreamResponse:
        if action == "ImportTable":
            await asyncio.to_thread(self.rewrite_source, body, lambda text: text.replace("\r\n", "\n"))
        return await super().planted(action, request, body)


class DuplicatesCounted(Planted):
    """An import that takes one row twice, and counts it twice."""

    async def planted(self, action: str, request: web.Request, body: bytes) -> web.StreamResponse:
        answer = await super().planted(action, request, body)
        if action != "DescribeImport" or not isinstance(answer, web.Response) or answer.status != 200:
            return answer
        found: dict[str, Any] = json.loads(answer.body)  # type: ignore[arg-type]
        description = found["ImportTableDescription"]
        if description["ImportStatus"] == "COMPLETED":
            for counter in ("ImportedItemCount", "ProcessedItemCount"):
                description[counter] += 1
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP}
        return web.Response(body=json.dumps(found).encode(), headers=kept)


@contextmanager
def served(proxy: Planted) -> Iterator[str]:
    """The address of the proxy, in a thread of its own until the block ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="planted-proxy", daemon=True)
    thread.start()

    async def start() -> tuple[web.AppRunner, int]:
        runner = web.AppRunner(application(proxy), access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return runner, int(runner.addresses[0][1])

    runner, port = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()
