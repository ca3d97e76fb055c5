"""S3's answers for a scripted HTTP server, and an `ObjectStore` over it: for answers that no emulator would give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
from botocore.config import Config

from kumo_assets.resources.aws import client_config
from kumo_assets.resources.s3_objects import ObjectStore
from kumo_assets_tests.resources.kumo.scripted import Answer, Asked, ScriptedServer

LAST_MODIFIED = "Thu, 30 Nov 2017 10:00:00 GMT"
DONE = Answer(200, b"", {"ETag": '"e"'})


def failure(status: int, code: str) -> Answer:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>so it is</Message></Error>"
    return Answer(status, body.encode(), {"Content-Type": "application/xml"})


IN_PROGRESS = failure(409, "ConditionalRequestConflict")
TOO_LATE = failure(412, "PreconditionFailed")
GONE = failure(404, "NoSuchKey")
BROKEN = failure(500, "InternalError")


def content(data: bytes, **changes: Any) -> Answer:
    return Answer(200, data, {"ETag": '"e"', "Last-Modified": LAST_MODIFIED}, **changes)


def listing(*keys: str) -> bytes:
    items = "".join(
        f"<Contents><Key>{key}</Key><LastModified>2017-11-30T10:00:00Z</LastModified></Contents>" for key in keys
    )
    return f"<?xml version='1.0'?><ListBucketResult><IsTruncated>false</IsTruncated>{items}</ListBucketResult>".encode()


def in_turn(*answers: Answer) -> Callable[[Asked], Answer]:
    """Each answer once, the last one for ever."""
    left = list(answers)
    return lambda asked: left.pop(0) if len(left) > 1 else left[0]


def objects_of(server: ScriptedServer) -> ObjectStore:
    """Through production's client, but for its patience: one retry, and half a second for an answer."""
    config = client_config().merge(Config(read_timeout=0.5, retries={"mode": "standard", "total_max_attempts": 2}))
    return ObjectStore("a-bucket", boto3.client("s3", endpoint_url=server.origin, config=config))
