"""Least privilege, checked against what really happens: each policy in `deploy/iam` allows every call its party makes on the
sandbox, and nothing that party has no use for; the grants in `deploy/snowflake` cover every kind of statement."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from kumo_serving import Reader, S3Pointer
from snowflake.connector.cursor import SnowflakeCursor

from kumo_assets.config.environment import Environment
from kumo_assets.config.query import Retention
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.operations.hold import hold, preview_unhold, unhold
from kumo_assets.releases.operations.retire import retire
from kumo_assets.releases.operations.rollback import rollback
from kumo_assets.releases.operations.status import releases, report
from kumo_assets.resources.drop import drop_tables
from kumo_assets_tests.chain.conftest import QUERY, Chain, failure
from kumo_assets_tests.security.policies import DEPLOY, Need, Policy, recorded

# Allowed though no call of the pipeline's own is seen here, each with its reason.
UNSEEN_PIPELINE = {
    "s3:ListBucketVersions": "only where the bucket keeps versions",
    "logs:CreateLogGroup": "ImportTable writes its log with the caller's permissions",
    "logs:CreateLogStream": "the same",
    "logs:DescribeLogGroups": "the same",
    "logs:DescribeLogStreams": "the same",
    "logs:PutLogEvents": "the same",
    "logs:PutRetentionPolicy": "the same",
    "dynamodb:GetItem": "the trial lookups: the reader signs its own requests",
    "dynamodb:ListImports": "adopting the import that a killed worker had started",
    "dynamodb:UpdateContinuousBackups": "table.point_in_time_recovery, off by default",
}
# What a statement needs, and the line of grants.sql that gives it.
GRANTS = {
    "SELECT": "GRANT SELECT ON ALL TABLES IN SCHEMA KUMO.RAW TO ROLE KUMO_ASSETS",
    "WITH": "GRANT SELECT ON ALL TABLES IN SCHEMA KUMO.RAW TO ROLE KUMO_ASSETS",
    "CREATE": "GRANT USAGE, CREATE TABLE ON SCHEMA KUMO.PREDICTIONS TO ROLE KUMO_ASSETS",
    "COPY": "GRANT USAGE ON INTEGRATION KUMO_ASSETS_ENV TO ROLE KUMO_ASSETS",
    "DROP": "GRANT ROLE KUMO_CONNECTOR TO ROLE KUMO_ASSETS",
    "DESCRIBE": "GRANT USAGE, CREATE TABLE ON SCHEMA KUMO.PREDICTIONS TO ROLE KUMO_ASSETS",
    "SHOW": "GRANT USAGE ON DATABASE KUMO TO ROLE KUMO_ASSETS",
    "COMMIT": "GRANT ROLE KUMO_ASSETS TO USER KUMO_ASSETS_SERVICE",
    "ALTER": "GRANT ROLE KUMO_ASSETS TO USER KUMO_ASSETS_SERVICE",
}


def denied(policy: Policy, wanted: list[Need]) -> list[Need]:
    return sorted({need for need in wanted if not policy.allows(need)}, key=str)


def test_each_party_may_do_what_it_does_and_no_more(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = chain.ctx().names.bucket
    pipeline = Policy("pipeline.json", bucket, chain.environment)
    operator = Policy("operator.json", bucket, chain.environment)
    reader = Policy("reader.json", bucket, chain.environment)
    statements: set[str] = set()
    execute: Callable[..., Any] = SnowflakeCursor.execute

    tags: set[str] = set()

    def noted(self: Any, command: str, *arguments: Any, **options: Any) -> Any:
        tags.add((options.get("_statement_params") or {}).get("QUERY_TAG", ""))
        statements.add(re.sub(r"--[^\n]*\n", "", command).split()[0].upper())
        return execute(self, command, *arguments, **options)

    monkeypatch.setattr(SnowflakeCursor, "execute", noted)
    with recorded(monkeypatch) as built:
        for _ in range(2):
            result = chain.run()
            assert result.success, failure(result)
            assert chain.promote().success
    # Every statement of a release's step says in Snowflake's history which release that is.
    named = [found for tag in tags if tag.startswith("{") and (found := json.loads(tag))["query"] == QUERY]
    assert {(tag["query"], tag["release"]) for tag in named} == {
        (QUERY, chain.release(result)) for result in chain.runs
    }
    assert {tag["asset"] for tag in named} >= {"predictions", "postprocessed", "s3_export"}
    with recorded(monkeypatch) as operated:
        ctx = chain.ctx()
        report(ctx)
        releases(ctx)
        rollback(ctx, by="ann", reason="odd")
        unhold(ctx, preview_unhold(ctx), by="ann")
        hold(ctx, by="ann", reason="looking")
        ctx.ledger.history()
    assert denied(operator, operated) == []
    unused = operator.actions() - {need.action for need in operated}
    signed_by_the_reader = {"dynamodb:GetItem", "dynamodb:BatchGetItem"}  # lookup and trial
    assert unused <= signed_by_the_reader | {"s3:ListBucketVersions"}, "the last where the bucket keeps versions"

    with recorded(monkeypatch) as retired:
        keep = Retention(keep=1, min_age_hours=0, grace_minutes=0)
        definition = replace(chain.definition, spec=chain.definition.spec.model_copy(update={"retention": keep}))
        old = ReleaseContext.from_environment(definition, Environment.from_variables())
        unhold(old, preview_unhold(old), by="ann")
        assert retire(old, drop_tables, by="a test")
    done = [*built, *retired]
    assert denied(pipeline, done) == []
    assert pipeline.actions() - {need.action for need in done} == set(UNSEEN_PIPELINE)
    assert {"dynamodb.GetItem", "dynamodb.BatchGetItem"} & set(chain.handle.calls())

    chain.handle.calls(forget=True)
    service = Reader(QUERY, pointer=S3Pointer(ctx.pointers.uri), budget_seconds=10.0)
    try:
        service.get(1, budget_seconds=10.0)
        service.get_many([1, 2], budget_seconds=10.0)
    finally:
        service.close()
    made = {f"{call.replace('.', ':')}" for call in chain.handle.calls()}
    assert made <= reader.actions() | {"s3:HeadObject"}
    assert reader.actions() == {"s3:GetObject", "dynamodb:GetItem", "dynamodb:BatchGetItem"}

    grants = (DEPLOY / "snowflake" / "grants.sql").read_text()
    for statement in sorted(statements):
        assert statement in GRANTS, f"{statement} needs a grant that nobody has written down"
        assert GRANTS[statement] in grants, f"{statement} is not granted"


def test_no_party_may_touch_another_environment() -> None:
    for name in ("pipeline.json", "replicas.json", "operator.json", "reader.json", "snowflake-unload.json"):
        policy = Policy(name, "predictions", "staging")
        for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"):
            assert not policy.allows(Need(action, "arn:aws:s3:::predictions/production/q/active.json"))
        for action in ("dynamodb:DeleteTable", "dynamodb:GetItem", "dynamodb:UpdateTable"):
            table = "arn:aws:dynamodb:us-east-1:000000000000:table/production-q-20171130-1a2b3c4d"
            assert not policy.allows(Need(action, table))


@pytest.mark.parametrize(
    ("party", "action", "resource"),
    [
        ("reader.json", "s3:PutObject", "s3:::b/e/q/active.json"),
        ("reader.json", "dynamodb:Scan", "dynamodb:us-east-1:0:table/e-q-20171130-1a2b3c4d"),
        ("operator.json", "s3:PutObject", "s3:::b/e/q/releases/20171130-1a2b3c4d/release.json"),
        ("operator.json", "s3:PutObject", "s3:::b/e/q/releases/20171130-1a2b3c4d/verdicts/volume.json"),
        ("operator.json", "dynamodb:DeleteTable", "dynamodb:us-east-1:0:table/e-q-20171130-1a2b3c4d"),
        ("snowflake-unload.json", "s3:PutObject", "s3:::b/e/q/active.json"),
        ("pipeline.json", "dynamodb:PutItem", "dynamodb:us-east-1:0:table/e-q-20171130-1a2b3c4d"),
    ],
)
def test_what_a_party_must_never_do_is_not_allowed(party: str, action: str, resource: str) -> None:
    assert not Policy(party, "b", "e").allows(Need(action, f"arn:aws:{resource}"))
