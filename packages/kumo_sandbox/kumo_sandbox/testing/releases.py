"""Releases without a run: built through the real store of `kumo_assets` as the chain's assets would, in a second instead of
a minute. Nothing of ours is replaced. The one module here that needs `kumo_assets`; the servers are in `servers` and
`zookeeper`."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import boto3
from botocore.config import Config
from kumo_serving.items import encode_item
from kumo_serving.pointer import KeyAttribute

from kumo_assets.config.environment import Environment
from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.names import ReleaseId
from kumo_assets.config.query import PredictiveQuerySpec
from kumo_assets.documents import IMPORT_GATE, Artefact, Details, GateRecord, Opened, Seal, SealCounts, Verdict, utc_now
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.store import SealedRelease

BUCKET = "kumo-releases-test"
ENTITIES = ("1", "2", "3")
GATES = {
    "kumo_warnings": GateRecord(asset="predictions", mode="block"),
    "volume": GateRecord(asset="predictions", mode="block"),
    "list_shape": GateRecord(asset="postprocessed", mode="warn"),
}


def client(service: Literal["s3", "dynamodb"], endpoint: str | None = None) -> Any:
    """A client that fails fast: what retries prove is tested where it matters."""
    return boto3.client(
        service,
        endpoint_url=endpoint,
        config=Config(
            connect_timeout=2,
            read_timeout=5,
            retries={"mode": "standard", "max_attempts": 1},
            s3={"addressing_style": "path"},
            max_pool_connections=64,
        ),
    )


def definition(query: str, **attributes: Any) -> QueryDefinition:
    spec = PredictiveQuerySpec.model_validate(
        {
            "owners": ["team:tests"],
            "raw_logs": ["transactions"],
            "source": {"kumo": {"predictive_query_id": "q", "connector": "c"}},
            "schedule": {"start": "2017-11-01"},
            "retention": {"keep": 1, "min_age_hours": 0, "grace_minutes": 0},
            **attributes,
        }
    )
    return QueryDefinition(name=query, folder=Path("/nowhere"), spec=spec)


def new_query() -> str:
    """A query no other test has: releases are kept by name, so nothing need be cleaned away between tests."""
    return f"q{secrets.token_hex(6)}"


@dataclass
class Shop:
    """One query's context, and releases to put into it."""

    ctx: ReleaseContext
    built: list[str] = field(default_factory=list)

    @property
    def query(self) -> str:
        return self.ctx.query

    def open(
        self,
        partition: str = "2017-11-30",
        *,
        adopted: dict[str, str] | None = None,
        gates: dict[str, GateRecord] | None = None,
        root: str | None = None,
    ) -> Opened:
        """A release that has begun."""
        root = root or secrets.token_hex(16)
        opened = Opened(
            query=self.query,
            environment=self.ctx.names.environment,
            partition=partition,
            release_id=str(ReleaseId.of(partition, root)),
            run_id=root,
            root_run_id=root,
            opened_at=utc_now(),
            code_version="test",
            by="a test",
            adopted=adopted or {},
            gates=GATES if gates is None else gates,
        )
        self.built.append(opened.release_id)
        return self.ctx.store.open(opened)

    def verdict(self, opened: Opened, gate: str, *, passed: bool = True, mode: str = "block", **more: Any) -> Verdict:
        record = opened.gates.get(gate)
        asset = record.asset if record is not None else "dynamodb_table"
        fields: dict[str, Any] = {
            "query": self.query,
            "release_id": opened.release_id,
            "partition": opened.partition,
            "gate": gate,
            "asset": asset,
            "mode": mode,
            "passed": passed,
            "severity": "ok" if passed else "error" if mode == "block" else "warn",
            "message": f"{gate} is {'fine' if passed else 'not fine at all'}",
            "decided_at": utc_now(),
            "run_id": opened.run_id,
        }
        return self.ctx.store.write_verdict(Verdict(**{**fields, **more}))

    def artefact(self, opened: Opened, asset: str, name: str, **details: Any) -> Artefact:
        return self.ctx.store.write_artefact(
            Artefact(
                query=self.query,
                release_id=opened.release_id,
                asset=asset,
                attempt=1,
                name=name,
                rows=len(ENTITIES),
                entities=len(ENTITIES),
                seconds_outside=0.1,
                created_at=utc_now(),
                details=Details(**details),
            )
        )

    def table(self, name: str, release: str, *, tagged: bool = True) -> None:
        """The release's own table, with our tags on it: every entity's first class is the release's id, so that a reader's
        answer tells."""
        tags = self.ctx.names.tags(release) if tagged else {}
        dynamodb = self.ctx.dynamodb
        dynamodb.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": "e", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "e", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            DeletionProtectionEnabled=True,
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )
        for entity in ENTITIES:
            dynamodb.put_item(TableName=name, Item=encode_item(entity, [(release, 0.9), ("milk", 0.5)], "ranking/1"))

    def build(
        self,
        partition: str = "2017-11-30",
        *,
        failed: str | None = None,
        missing: str | None = None,
        seal: bool = True,
        table: bool = True,
        whole: bool = True,
        adopted: dict[str, str] | None = None,
        root: str | None = None,
        statistics: dict[str, Any] | None = None,
    ) -> str:
        """A release built to its end as the chain builds it; its id."""
        opened = self.open(partition, adopted=adopted, root=root)
        release = opened.release_id
        names = self.ctx.names
        for asset in ("predictions", "postprocessed"):
            if asset not in opened.adopted:
                self.artefact(opened, asset, names.warehouse_table(release, asset))
        for gate, record in opened.gates.items():
            if gate != missing and record.asset not in opened.adopted:
                self.verdict(opened, gate, passed=gate != failed, mode=record.mode)
        prefix = names.export_prefix(release)
        self.ctx.objects.client.put_object(Bucket=names.bucket, Key=f"{prefix}part-0.csv.gz", Body=b"rows")
        self.artefact(opened, "s3_export", f"s3://{names.bucket}/{prefix}", prefix=prefix)
        self.ctx.store.put_fallback(release, "ranking/1", [[release, 1.0]])
        name = names.dynamodb_table(release)
        if table:
            self.table(name, release)
        self.artefact(
            opened,
            "dynamodb_table",
            name,
            sample=[{"entity": entity, "p": ""} for entity in ENTITIES],
            region="us-east-1",
        )
        if missing != IMPORT_GATE:
            self.verdict(opened, IMPORT_GATE, passed=failed != IMPORT_GATE)
        if seal:
            self.seal(opened, whole=whole, statistics=statistics)
        return release

    def seal(self, opened: Opened, *, whole: bool = True, statistics: dict[str, Any] | None = None) -> Seal:
        names = self.ctx.names
        count = len(ENTITIES)
        return self.ctx.store.seal(
            Seal(
                query=self.query,
                environment=names.environment,
                release_id=opened.release_id,
                partition=opened.partition,
                sealed_at=utc_now(),
                table=names.dynamodb_table(opened.release_id),
                region="us-east-1",
                key=KeyAttribute(),
                item_format="ranking/1",
                fallback=f"s3://{names.bucket}/{names.release_prefix(opened.release_id)}fallback.json",
                counts=SealCounts(
                    rows=count, entities=count, exported=count, imported=count if whole else count - 1, errors=0
                ),
                artefacts={},
                statistics=statistics or {},
                opened=hashlib.sha256(opened.to_json()).hexdigest(),
            )
        )

    def active(self) -> str:
        found = self.ctx.pointers.read()
        assert found is not None
        return found.pointer.served_release_id

    def edit(self, change: Callable[[str], str]) -> None:
        """A person with an editor."""
        raw = self.ctx.pointers.peek()
        assert raw is not None
        put_raw(self.ctx, change(raw.data.decode()).encode())


def put_raw(ctx: ReleaseContext, data: bytes) -> None:
    """Bytes into the pointer's place, past everything of ours."""
    store: Any = ctx.pointers
    if hasattr(store, "key"):
        ctx.objects.client.put_object(Bucket=store.objects.bucket, Key=store.key, Body=data)
    else:
        store._connected().set(store.path, data)


def shop(
    store: str = "s3",
    zookeeper: str = "",
    query: str | None = None,
    environment: Environment | None = None,
    **attributes: Any,
) -> Shop:
    """A fresh query's context, made from this process's variables."""
    attributes.setdefault("pointer", {})
    attributes["pointer"] = {"store": store, **attributes["pointer"]}
    environment = environment or Environment(name="local", bucket=BUCKET, zookeeper=zookeeper)
    found = definition(query or new_query(), **attributes)
    return Shop(ReleaseContext.from_environment(found, environment, s3=client("s3"), dynamodb=client("dynamodb")))


def sealed(ctx: ReleaseContext, release: str) -> SealedRelease:
    found = ctx.store.sealed(release)
    assert found is not None
    return found


def now() -> datetime:
    return datetime.now(UTC)
