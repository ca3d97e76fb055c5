"""A query whose S3 and DynamoDB are in memory, with everything of ours on top: for tests of what is stored, in milliseconds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kumo_sandbox.testing.releases import BUCKET, Shop, definition, new_query

from kumo_assets.config.environment import Environment
from kumo_assets.releases.context import ReleaseContext
from kumo_assets_tests.support.memory_aws import Memory, answer


@dataclass
class MemoryShop(Shop):
    """One query's context, releases to put into it, and the account that they are in."""

    memory: Memory = field(default_factory=Memory)

    def another_context(self) -> ReleaseContext:
        """As another process has it: nothing that this one has read is remembered."""
        assert self.ctx.definition is not None
        return _context(self.ctx.definition, self.memory)

    def verdict_again(self, release: str, gate: str) -> None:
        """A hand that makes a verdict pass after the seal, past everything of ours."""
        key = f"{self.ctx.names.release_prefix(release)}verdicts/{gate}.json"
        found, modified = self.memory.objects[key]
        passed = {**json.loads(found), "passed": True, "severity": "ok"}
        self.memory.objects[key] = (json.dumps(passed).encode(), modified)

    def refuse(self, part_of_key: str) -> None:
        """From now on S3 takes no object with this in its key; "" lets everything be written again."""
        self.memory.before = _refusing(part_of_key) if part_of_key else lambda operation: None


def memory_shop(memory: Memory | None = None, query: str | None = None, **attributes: Any) -> MemoryShop:
    """A fresh query in an account of its own, or another context of one that is in `memory`."""
    memory = memory or Memory()
    return MemoryShop(_context(definition(query or new_query(), **attributes), memory), memory=memory)


def _context(found: Any, memory: Memory) -> ReleaseContext:
    environment = Environment(name="local", bucket=BUCKET)
    ctx = ReleaseContext.from_environment(found, environment, s3=memory.s3(), dynamodb=memory.dynamodb())
    ctx.trial = lambda seal, sample: {} if seal.table in memory.tables else {"1": "TableGone"}
    return ctx


def _refusing(part_of_key: str) -> Callable[[str], None]:
    def refuse(operation: str) -> None:
        if operation.startswith("PutObject") and part_of_key in operation:
            raise answer("AccessDenied", 403, "PutObject")

    return refuse
