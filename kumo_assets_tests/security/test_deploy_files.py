"""The files in `deploy/`, by themselves: policies that AWS accepts, SQL that Snowflake's grammar knows, and the grants that
no call of the sandbox shows, because the sandbox asks nobody for permission. What calls need is in `test_permissions`."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from botocore.session import Session
from sqlglot import exp

from kumo_assets_tests.security.policies import DEPLOY, Need, Policy

POLICIES = sorted((DEPLOY / "iam").rglob("*.json"))
# Permissions that are no operation of the API ("Service Authorization Reference").
NO_OPERATION = {"dynamodb:CreateTableReplica", "dynamodb:DeleteTableReplica", "s3:ListBucketVersions", "s3:ListBucket"}
NO_OPERATION |= {"kms:ReEncryptFrom", "kms:ReEncryptTo"}
OF_A_BUCKET = {"s3:ListBucket", "s3:ListBucketVersions", "s3:GetBucketLocation"}
# What sqlglot reads as a bare command, in Snowflake's syntax ("CREATE ROLE", "GRANT <privileges>", "GRANT ROLE").
NAME = r"[A-Z_]+(?:\.[A-Z_]+)*"
COMMANDS = [
    rf"CREATE ROLE IF NOT EXISTS {NAME}",
    rf"GRANT SELECT ON (?:ALL|FUTURE) (?:TABLES|VIEWS) IN SCHEMA {NAME} TO ROLE {NAME}",
    rf"GRANT ROLE {NAME} TO (?:ROLE|USER) {NAME}",
]


def many(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.relative_to(DEPLOY).as_posix())
def test_a_policy_is_one_that_aws_accepts(path: Path) -> None:
    text = path.read_text()
    policy = json.loads(text)
    assert policy["Version"] == "2012-10-17"
    assert len(re.sub(r"\s", "", text)) < 6_144, "the limit of a managed policy"
    sids = [statement["Sid"] for statement in policy["Statement"]]
    assert len(set(sids)) == len(sids)
    assert all(re.fullmatch("[A-Za-z0-9]+", sid) for sid in sids), "AWS allows nothing else in a Sid"
    for statement in policy["Statement"]:
        assert statement["Effect"] == "Allow"
        for action in many(statement["Action"]):
            service, _, operation = action.partition(":")
            known = Session().get_service_model(service).operation_names
            assert action in NO_OPERATION or operation in known, f"{action} is no permission of AWS"
            for resource in many(statement.get("Resource", [])):
                if service == "s3":
                    assert (action in OF_A_BUCKET) == (resource == "arn:aws:s3:::BUCKET"), f"{action} of {resource}"


@pytest.mark.parametrize("party", ["pipeline", "operator", "snowflake-unload"])
def test_a_listing_shows_one_environments_keys_only(party: str) -> None:
    policy, bucket = Policy(f"{party}.json", "b", "staging"), "arn:aws:s3:::b"
    assert policy.allows(Need("s3:ListBucket", bucket, "staging/q/releases/"))
    assert not policy.allows(Need("s3:ListBucket", bucket, "production/q/releases/"))
    assert not policy.allows(Need("s3:ListBucket", bucket, None)), "a listing without a prefix shows everybody's keys"


@pytest.mark.parametrize("party", ["pipeline", "operator", "reader", "snowflake-unload"])
def test_a_customers_key_is_used_through_s3_and_dynamodb_alone(party: str) -> None:
    statements = json.loads((DEPLOY / "iam" / "kms" / f"{party}.json").read_text())["Statement"]
    through: dict[str, set[str]] = {"s3": set(), "dynamodb": set()}
    for statement in statements:
        for service in many(statement["Condition"]["StringLike"]["kms:ViaService"]):
            name, _, rest = service.partition(".")
            assert rest == "*.amazonaws.com"
            through[name] |= set(many(statement["Action"]))
    writes, own_tables = party != "reader", party == "pipeline"
    assert through["s3"] == {"kms:Decrypt", *(["kms:GenerateDataKey"] if writes else [])}
    assert ("kms:CreateGrant" in through["dynamodb"]) == own_tables
    assert ("kms:Decrypt" in through["dynamodb"]) == (party != "snowflake-unload"), "DynamoDB asks for whoever reads"


def test_the_unload_role_is_assumed_with_the_external_id_that_the_integration_names() -> None:
    (trust,) = json.loads((DEPLOY / "iam" / "snowflake-unload-trust.json").read_text())["Statement"]
    assert trust["Action"] == "sts:AssumeRole"
    assert trust["Principal"] == {"AWS": "STORAGE_AWS_IAM_USER_ARN"}
    assert trust["Condition"] == {"StringEquals": {"sts:ExternalId": "EXTERNAL_ID"}}
    grants = (DEPLOY / "snowflake" / "grants.sql").read_text()
    assert "STORAGE_AWS_EXTERNAL_ID = 'EXTERNAL_ID'" in grants
    assert "DESCRIBE INTEGRATION" in grants, "its answer names the principal"


@pytest.mark.parametrize("path", sorted((DEPLOY / "snowflake").glob("*.sql")), ids=lambda path: path.name)
def test_each_statement_is_snowflakes(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "sqlglot")  # it warns of what it knows as a bare command
    text = path.read_text()
    # What is commented out for some accounts only must parse as well.
    text += "\n" + "\n".join(
        line.removeprefix("-- ") for line in text.splitlines() if re.match(r"-- [A-Z ,]+ ON ", line)
    )
    for statement in filter(None, sqlglot.parse(text, dialect="snowflake")):
        if isinstance(statement, exp.Command):
            said = " ".join(statement.sql("snowflake", comments=False).split())
            assert any(re.fullmatch(pattern, said) for pattern in COMMANDS), said


@pytest.mark.parametrize("role", ["KUMO_ASSETS", "KUMO_CONNECTOR"])
@pytest.mark.parametrize(
    "grant",
    [
        "GRANT USAGE ON WAREHOUSE TRANSFORMING TO ROLE {role};",
        "GRANT USAGE ON DATABASE KUMO TO ROLE {role};",
        "GRANT USAGE ON SCHEMA KUMO.RAW TO ROLE {role};",
        "GRANT SELECT ON FUTURE TABLES IN SCHEMA KUMO.RAW TO ROLE {role};",
        "GRANT SELECT ON ALL VIEWS IN SCHEMA KUMO.RAW TO ROLE {role};",
        "GRANT SELECT ON FUTURE VIEWS IN SCHEMA KUMO.RAW TO ROLE {role};",
        "GRANT USAGE, CREATE TABLE ON SCHEMA KUMO.PREDICTIONS TO ROLE {role};",
        "GRANT ROLE {role} TO USER {role}_SERVICE;",
    ],
)
def test_the_pipeline_and_kumos_connector_each_have_all_that_reading_and_writing_takes(role: str, grant: str) -> None:
    assert "\n" + grant.format(role=role) in (DEPLOY / "snowflake" / "grants.sql").read_text()
