"""What is assumed of a table after its import: tags, protection, recovery, warm throughput, replicas, and what is denied."""

from __future__ import annotations

import time
from collections.abc import Mapping

from botocore.exceptions import ClientError

from kumo_assets.assets.dynamodb_table import KEY
from kumo_assets.config.query import Table
from kumo_assets.proving.denials import must_be_denied
from kumo_assets.proving.imports import Imports
from kumo_assets.proving.proof import BROKEN, EMULATED, PLAIN, SPOILED, Proof
from kumo_assets.proving.report import Differs, NotTried
from kumo_assets.resources.dynamodb.tables import care_for, describe, tags_of, wait_until_ready

# What a new on-demand table serves from the start, in reads a second (DynamoDB developer guide, "Warm throughput").
NEW_TABLE_READS = 12_000
READY_SECONDS, POLL_SECONDS = 1_200.0, 1.0
PROTECTED = "ValidationException"
RECOVERY_TRIES, RECOVERY_PAUSE = 20, 3.0


def prove_tables(imports: Imports) -> None:
    """Try every row that is about a table, on those that the imports made."""
    proof = imports.proof
    report, client, tags = proof.report, proof.dynamodb, proof.names.tags(proof.release)
    table = imports.request(PLAIN).table
    with report.trying("table-tags") as trial:
        for attempt in imports.states:
            imports.wait(attempt)
            name = imports.request(attempt).table
            care_for(client, name, Table(deletion_protection=False), tags)
            if not tags.items() <= tags_of(client, name).items():
                raise Differs(f"{name} has {tags_of(client, name)}")
        trial.seen = ", ".join(tags)
    with report.trying("table-encryption") as trial:
        trial.seen = encryption_as_asked(proof, table)
    with report.trying("table-protection") as trial:
        # On a table that no later row needs.
        spare = imports.request(SPOILED if SPOILED in imports.states else PLAIN).table
        care_for(client, spare, Table(), tags)
        try:
            client.delete_table(TableName=spare)
        except ClientError as error:
            if error.response["Error"]["Code"] != PROTECTED:
                raise
            trial.seen = PROTECTED
        else:
            raise Differs(f"{spare} was protected, and deleted")
    with report.trying("table-recovery") as trial:
        trial.seen = _recovery(proof, table, tags)
    with report.trying("table-warm") as trial:
        before = describe(client, table)
        reads = max((before.warm_reads if before is not None else 0) or 0, NEW_TABLE_READS) + 1
        _care_and_wait(proof, table, Table(reads_per_second=reads), tags)
        after = describe(client, table)
        trial.seen = f"{after.warm_reads if after is not None else 0:,} reads a second"
    with report.trying("table-replicas") as trial:
        regions = sorted({region for query in proof.queries for region in query.spec.table.replicas})
        if not proof.options.with_replicas:
            raise NotTried("--with-replicas was not given")
        if not regions:
            raise NotTried("no query has table.replicas")
        _care_and_wait(proof, table, Table(replicas=regions, sse=proof.sse), tags)
        trial.seen = ", ".join(regions)
    _denials(proof, imports.request(BROKEN if BROKEN in imports.states else PLAIN).table)


def encryption_as_asked(proof: Proof, table: str) -> str:
    """How the table is encrypted. NotTried where no query asks for a key: the table then has AWS's own, and AWS describes
    none (DynamoDB API reference, "SSEDescription")."""
    if proof.sse is None:
        raise NotTried("no query has table.sse")
    found = proof.dynamodb.describe_table(TableName=table)["Table"].get("SSEDescription", {})
    status, kind, key = found.get("Status", "none"), found.get("SSEType", "none"), found.get("KMSMasterKeyArn", "")
    if (status, kind) != ("ENABLED", "KMS"):
        raise Differs(f"it is {status} with {kind}")
    # A key is reported by its ARN: one that was named by its alias cannot be told from another here.
    if proof.sse != "aws" and "alias/" not in proof.sse and proof.sse.rpartition("/")[2] != key.rpartition("/")[2]:
        raise Differs(f"its key is {key or 'not reported'} instead of {proof.sse}")
    return f"{kind} {key}".strip()


def _care_and_wait(proof: Proof, table: str, wanted: Table, tags: Mapping[str, str]) -> None:
    """Care for a table and wait for it, as the chain does before it seals a release."""
    care_for(proof.dynamodb, table, wanted, tags)
    with proof.narrator.waiting_for(f"DynamoDB to have {table} ready (minutes on AWS)"):
        wait_until_ready(
            proof.dynamodb,
            table,
            wanted,
            deadline_seconds=READY_SECONDS,
            poll_seconds=POLL_SECONDS,
        )


def _recovery(proof: Proof, table: str, tags: Mapping[str, str]) -> str:
    care_for(proof.dynamodb, table, Table(point_in_time_recovery=True), tags)
    status = ""
    for _ in range(RECOVERY_TRIES):
        # Asked again, because the pipeline's role may set it and not describe it.
        answer = proof.dynamodb.update_continuous_backups(
            TableName=table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )["ContinuousBackupsDescription"]
        status = answer.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus", "")
        if status == "ENABLED":
            return status
        time.sleep(RECOVERY_PAUSE)
    raise Differs(f"it is {status or 'not reported'}")


def _denials(proof: Proof, table: str) -> None:
    report, client = proof.report, proof.dynamodb
    with report.trying("denied-item-write") as trial:
        if proof.emulated:
            raise NotTried(EMULATED)
        if any(query.spec.table.replicas for query in proof.queries):
            raise NotTried("a query has replicas, and AWS wants whoever makes them to be allowed to write items")
        must_be_denied(trial, lambda: client.put_item(TableName=table, Item={KEY: {"S": "denied"}}))
    with report.trying("denied-expiry") as trial:
        if proof.emulated:
            raise NotTried(EMULATED)
        must_be_denied(
            trial,
            lambda: client.update_time_to_live(
                TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
            ),
        )
