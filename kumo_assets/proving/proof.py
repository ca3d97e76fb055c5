"""One proof at work: its names, its clients, its lease and its report, which every area works through."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kumo_assets.config.environment import Environment, is_loopback
from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.names import PROOF
from kumo_assets.config.query import PredictiveQuerySpec
from kumo_assets.proving.lease import Lease, begin
from kumo_assets.proving.names import ProofNames, names_of
from kumo_assets.proving.report import Report
from kumo_assets.proving.values import TOP_K, Lists, broken_lists, plain_lists
from kumo_assets.resources.aws import Sessions
from kumo_assets.resources.s3_objects import ObjectStore
from kumo_assets.resources.waiting import Narrator

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

EMULATED = "the emulator enforces no permissions"
# What each import is made of: as with a query, an attempt of the same release.
PLAIN, BROKEN, SPOILED = 1, 2, 3


@dataclass(frozen=True)
class Options:
    """What a person asked for beside the areas."""

    with_kumo_job: bool = False
    with_replicas: bool = False


@dataclass
class Proof:
    """A proof of `environment`, for the queries that are defined there."""

    environment: Environment
    queries: Sequence[QueryDefinition]
    options: Options
    report: Report
    narrator: Narrator
    names: ProofNames = field(init=False)
    partition: str = field(init=False)
    lease: Lease = field(init=False)
    # The prefixes that Snowflake unloaded to, by attempt.
    unloaded: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.names = names_of(self.environment.name, self.environment.bucket, secrets.token_hex(4))
        self.partition = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()

    def begin(self) -> None:
        """Take the lease, before anything is made."""
        self.lease = begin(self.names, self.partition, self.objects)

    def makes(self, **more: object) -> None:
        """Say in the lease what more will be made, before it is."""
        self.lease = self.lease.model_copy(update=more)
        self.objects.put(self.names.lease_key, self.lease.to_json())

    @property
    def release(self) -> str:
        return self.names.release(self.partition)

    @cached_property
    def sessions(self) -> Sessions:
        return Sessions()

    @cached_property
    def objects(self) -> ObjectStore:
        return ObjectStore(self.names.bucket, self.sessions.s3())

    @cached_property
    def dynamodb(self) -> DynamoDBClient:
        return self.sessions.dynamodb()

    @cached_property
    def definition(self) -> QueryDefinition:
        """The proof as a query: what it asks of Snowflake and DynamoDB, and nothing of Kumo."""
        spec = PredictiveQuerySpec.model_validate(
            {
                "owners": ["team:proof"],
                "raw_logs": [PROOF],
                "source": {"kumo": {"predictive_query_id": PROOF, "connector": PROOF}},
                "schedule": {"start": "2017-11-01"},
                "top_k": TOP_K,
                "table": {"point_in_time_recovery": True, "poll_seconds": 5, "import_deadline_minutes": 60},
                "retention": {"keep": 1, "min_age_hours": 0, "grace_minutes": 0},
            }
        )
        return QueryDefinition(name=PROOF, folder=Path("/nowhere"), spec=spec)

    @property
    def sse(self) -> str | None:
        """The key that the first query asks for that asks for one (`table.sse`)."""
        return next((query.spec.table.sse for query in self.queries if query.spec.table.sse is not None), None)

    def lists(self, attempt: int) -> Lists:
        """What an import is to have."""
        return broken_lists() if attempt == BROKEN else plain_lists()

    @property
    def emulated(self) -> bool:
        """Whether AWS is an emulator on this machine."""
        return is_loopback(urlsplit(self.objects.client.meta.endpoint_url).hostname or "")

    def waiting(self, what: str) -> Callable[[str], None]:
        """Takes the state of something that is waited for, and says it when it changes."""
        from kumo_assets.assets.progress import changes

        return changes(lambda line: self.narrator(f"{what}: {line}"))
