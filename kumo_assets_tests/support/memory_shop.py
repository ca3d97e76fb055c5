"""A query's releases on S3 and DynamoDB in memory: the real operations, a hundred times faster than on the sandbox."""

from __future__ import annotations

from typing import Any

from kumo_sandbox.testing.releases import BUCKET, Shop, definition, new_query

from kumo_assets.config.environment import Environment
from kumo_assets.releases.context import ReleaseContext
from kumo_assets_tests.support.memory_aws import Memory


def memory_shop(memory: Memory | None = None, query: str | None = None, **attributes: Any) -> Shop:
    """A fresh query, or another context of one that is in `memory`, as another process would make it."""
    memory = memory or Memory()
    environment = Environment(name="local", bucket=BUCKET)
    found = definition(query or new_query(), **attributes)
    ctx = ReleaseContext.from_environment(found, environment, s3=memory.s3(), dynamodb=memory.dynamodb())
    ctx.trial = lambda seal, sample: {} if seal.table in memory.tables else {"1": "TableGone"}
    return Shop(ctx)


def memory_of(found: Shop) -> Memory:
    """The account that a query is in."""
    memory: Memory = found.ctx.dynamodb.memory  # type: ignore[attr-defined]
    return memory
