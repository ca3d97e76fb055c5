"""DynamoDB's actions that MiniStack answers differently from AWS: ImportTable, its descriptions, and warm throughput.

Each handler sends the request on and corrects the answer. What is remembered of an import is in `imports.py`, of warm
throughput in `warm.py`; every other action passes through `proxy.py` untouched.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import boto3
from aiohttp import web
from botocore.config import Config

from kumo_sandbox.aws.faults import error_response
from kumo_sandbox.aws.imports import Imports, fingerprint, shadow
from kumo_sandbox.aws.upstream import MiniStack
from kumo_sandbox.aws.warm import Warm

Handler = Callable[[web.Request, bytes], Awaitable[web.Response]]


class DynamoDB:
    """The corrected actions of one MiniStack. `state` is the folder that outlives a restart; None keeps nothing."""

    def __init__(self, ministack: MiniStack, access_key: str, secret_key: str, state: Path | None) -> None:
        self._ministack = ministack
        self._access_key, self._secret_key = access_key, secret_key
        self._imports = Imports(state / "aws-imports.json" if state is not None else None)
        self._warm = Warm(state / "aws-warm.json" if state is not None else None)
        self._importing = asyncio.Lock()
        self.actions: Mapping[str, Handler] = {
            "ImportTable": self._import,
            "DescribeImport": self._describe_import,
            "ListImports": self._list_imports,
            "UpdateTable": self._update_table,
            "DescribeTable": self._describe_table,
        }

    # ---- ImportTable

    async def _import(self, request: web.Request, body: bytes) -> web.Response:
        # One at a time: of two calls with one token at once, AWS starts one import and answers both with it.
        async with self._importing:
            return await self._import_once(request, body)

    async def _import_once(self, request: web.Request, body: bytes) -> web.Response:
        wanted = json.loads(body)
        known = self._imports.under(wanted.get("ClientToken", ""))
        if known is not None:
            if known.fingerprint != fingerprint(wanted):
                return error_response(
                    "dynamodb",
                    400,
                    "IdempotentParameterMismatchException",
                    "The client token was used with other parameters.",
                )
            replay = await self._replay(request, known.arn)
            if replay is not None:
                return replay
            self._imports.forget(known)
        sent, abandoned = await asyncio.to_thread(shadow, self._s3(), wanted)

        def started(answer: dict[str, Any]) -> dict[str, Any]:
            self._imports.remember(wanted, answer["ImportTableDescription"]["ImportArn"], abandoned)
            return self._corrected(answer)

        return await self._ministack.changed(request, json.dumps(sent).encode(), started)

    async def _replay(self, request: web.Request, arn: str) -> web.Response | None:
        """The description of an import that exists; None when MiniStack does not know it."""
        found = await self._ministack.dynamodb(request, "DescribeImport", {"ImportArn": arn})
        if "ImportTableDescription" not in found:
            return None
        return web.json_response(self._corrected(found), content_type="application/x-amz-json-1.0")

    async def _describe_import(self, request: web.Request, body: bytes) -> web.Response:
        return await self._ministack.changed(request, body, self._corrected)

    def _corrected(self, answer: dict[str, Any]) -> dict[str, Any]:
        return answer | {"ImportTableDescription": self._imports.corrected(answer["ImportTableDescription"])}

    async def _list_imports(self, request: web.Request, body: bytes) -> web.Response:
        """MiniStack's page token is a short number; AWS's model, which botocore checks, wants at least 112 characters.

        "Lists completed imports", AWS says: whether one that is running is listed is not documented, so it is not here.
        """

        def padded(answer: dict[str, Any]) -> dict[str, Any]:
            ended = [one for one in answer.get("ImportSummaryList", []) if one.get("ImportStatus") != "IN_PROGRESS"]
            answer |= {"ImportSummaryList": ended}
            return answer | ({"NextToken": answer["NextToken"].zfill(112)} if "NextToken" in answer else {})

        return await self._ministack.changed(request, body, padded)

    def _s3(self) -> Any:
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self._ministack.url,
            aws_access_key_id=self._access_key,
            aws_secret_access_key=self._secret_key,
            config=Config(s3={"addressing_style": "path"}),
        )

    # ---- warm throughput

    async def _update_table(self, request: web.Request, body: bytes) -> web.Response:
        wanted = json.loads(body).get("WarmThroughput")

        def described(answer: dict[str, Any]) -> dict[str, Any]:
            table = answer["TableDescription"]
            if wanted:
                self._warm.ask(wanted, table["TableArn"])
            return answer | {"TableDescription": self._warm.described(table)}

        return await self._ministack.changed(request, body, described)

    async def _describe_table(self, request: web.Request, body: bytes) -> web.Response:
        def described(answer: dict[str, Any]) -> dict[str, Any]:
            return answer | {"Table": self._warm.described(answer["Table"])}

        return await self._ministack.changed(request, body, described)
