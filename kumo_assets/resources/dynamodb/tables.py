"""A table's life after its import: what it is, protection, tags, readiness before a swap, sampled items, deletion.

ImportTable takes none of tags, deletion protection, point-in-time recovery or warm throughput: they are set here, after
the import and before the swap. No TTL, ever: an expiring item would be an empty answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from kumo_assets.errors import ReleaseError
from kumo_assets.resources.aws import explain_error

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import (
        CreateReplicationGroupMemberActionTypeDef,
        KeysAndAttributesUnionTypeDef,
        ListTablesInputTypeDef,
        ListTagsOfResourceInputTypeDef,
        UpdateTableInputTypeDef,
        WarmThroughputTypeDef,
    )

    from kumo_assets.config.query import Table

# DynamoDB allows one change of a table at a time. This many tries at the next one take some 9 minutes.
UPDATE_ATTEMPTS = 60


@dataclass(frozen=True)
class TableState:
    """One table as DescribeTable reports it."""

    name: str
    arn: str
    status: str
    protected: bool
    warm_reads: int | None
    warm_status: str
    replicas: Mapping[str, str]


def describe(client: DynamoDBClient, table: str) -> TableState | None:
    """The table's state, None when there is none. ReleaseError when AWS does not answer."""
    try:
        found = client.describe_table(TableName=table)["Table"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return None
        raise _failed("describe the table", table, error) from error
    except (BotoCoreError, OSError) as error:
        raise _failed("describe the table", table, error) from error
    warm = found.get("WarmThroughput") or {}
    return TableState(
        name=table,
        arn=found["TableArn"],
        status=found["TableStatus"],
        protected=bool(found.get("DeletionProtectionEnabled")),
        warm_reads=warm.get("ReadUnitsPerSecond"),
        warm_status=warm.get("Status", ""),
        replicas={item["RegionName"]: item.get("ReplicaStatus", "") for item in found.get("Replicas", [])},
    )


def fault(state: TableState | None, wanted: Table) -> str | None:
    """Why this table must not go live now, None when it may: it must be ACTIVE here, warm enough, and ACTIVE in every
    listed region (AWS: a replica that is still CREATING does not have all items)."""
    if state is None:
        return "does not exist"
    if state.status != "ACTIVE":
        return f"is {state.status}, not ACTIVE"
    for region in wanted.replicas:
        status = state.replicas.get(region, "absent")
        if status != "ACTIVE":
            return f"has a replica in {region} that is {status}, not ACTIVE"
    if wanted.reads_per_second is not None:
        if state.warm_status not in ("", "ACTIVE"):
            return f"has a warm throughput that is {state.warm_status}"
        # A new on-demand table serves 12,000 reads a second from the start (AWS: "Warm throughput").
        ready = max(state.warm_reads or 0, 12_000)
        if ready < wanted.reads_per_second:
            return f"is warm for {ready:,} reads a second; {wanted.reads_per_second:,} are wanted"
    return None


def care_for(client: DynamoDBClient, table: str, wanted: Table, tags: Mapping[str, str]) -> None:
    """Tags, deletion protection, and where asked for point-in-time recovery, warm throughput and replicas.

    Safe to repeat. ReleaseError when AWS refuses one of them.
    """
    state = describe(client, table)
    if state is None:
        raise ReleaseError(
            "protect the table", to=table, found="it does not exist", next="materialise dynamodb_table again"
        )
    try:
        client.tag_resource(ResourceArn=state.arn, Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
        if wanted.deletion_protection and not state.protected:
            _update(client, {"TableName": table, "DeletionProtectionEnabled": True})
        if wanted.point_in_time_recovery:
            client.update_continuous_backups(
                TableName=table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
            )
        if wanted.reads_per_second and max(state.warm_reads or 0, 12_000) < wanted.reads_per_second:
            # Warm throughput never falls: the writes are left as the table has them, after an import more than the 4,000
            # of a new one (AWS: "Warm throughput": a smaller value is refused).
            warm: WarmThroughputTypeDef = {"ReadUnitsPerSecond": wanted.reads_per_second}
            _update(client, {"TableName": table, "WarmThroughput": warm})
        for region in wanted.replicas:
            if region not in state.replicas:
                # Encrypted with its region's key of that alias; without one a replica of such a table is refused.
                create: CreateReplicationGroupMemberActionTypeDef = {"RegionName": region}
                if wanted.sse is not None and wanted.sse != "aws":
                    create["KMSMasterKeyId"] = wanted.sse
                _update(client, {"TableName": table, "ReplicaUpdates": [{"Create": create}]})
    except (ClientError, BotoCoreError, OSError) as error:
        raise _failed("protect the table", table, error) from error


def tag(client: DynamoDBClient, table: str, tags: Mapping[str, str]) -> None:
    """Put these tags on the table, if there is one. ReleaseError when AWS refuses."""
    state = describe(client, table)
    if state is None:
        return
    try:
        client.tag_resource(ResourceArn=state.arn, Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
    except (ClientError, BotoCoreError, OSError) as error:
        raise _failed("tag the table", table, error) from error


def tags_of(client: DynamoDBClient, table: str) -> dict[str, str]:
    """The table's tags; none when there is no such table. ReleaseError when AWS does not answer."""
    state = describe(client, table)
    found: dict[str, str] = {}
    start: ListTagsOfResourceInputTypeDef | None = {"ResourceArn": state.arn} if state is not None else None
    try:
        while start is not None:
            answer = client.list_tags_of_resource(**start)
            found |= {item["Key"]: item["Value"] for item in answer.get("Tags", [])}
            more = answer.get("NextToken")
            start = {"ResourceArn": start["ResourceArn"], "NextToken": more} if more else None
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return {}
        raise _failed("read the tags of", table, error) from error
    except (BotoCoreError, OSError) as error:
        raise _failed("read the tags of", table, error) from error
    return found


def wait_until_ready(
    client: DynamoDBClient,
    table: str,
    wanted: Table,
    *,
    deadline_seconds: float,
    poll_seconds: float,
    on_progress: Callable[[str], None] = lambda words: None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return when `fault` finds nothing. ReleaseError with the last fault when the deadline passes first."""
    started = time.monotonic()
    while True:
        found = fault(describe(client, table), wanted)
        if found is None:
            return
        if time.monotonic() - started > deadline_seconds:
            raise ReleaseError(
                "wait for the table",
                to=table,
                found=f"it {found}, after {deadline_seconds / 60:.0f} minutes",
                next="re-execute the run when DynamoDB shows it ready; nothing was promoted",
            )
        on_progress(f"table {table}: {found}")
        sleep(poll_seconds)


def read_items(client: DynamoDBClient, table: str, key: str, entities: list[str]) -> dict[str, str]:
    """`p` by entity, read consistently, for the entities that are there. Unprocessed keys are retried."""
    found: dict[str, str] = {}
    for start in range(0, len(entities), 100):
        request: Mapping[str, KeysAndAttributesUnionTypeDef] = {
            table: {"Keys": [{key: {"S": entity}} for entity in entities[start : start + 100]], "ConsistentRead": True}
        }
        for attempt in range(10):
            try:
                answer = client.batch_get_item(RequestItems=request)
            except (ClientError, BotoCoreError, OSError) as error:
                raise _failed("read sampled items of", table, error) from error
            for item in answer["Responses"].get(table, []):
                found[str(item[key]["S"])] = str(item.get("p", {}).get("S", ""))
            request = answer.get("UnprocessedKeys", {})
            if not request:
                break
            time.sleep(min(0.05 * 2**attempt, 2))
        else:
            raise ReleaseError(
                "read sampled items of", to=table, found="keys stay unprocessed after 10 tries", next="try again"
            )
    return found


def delete(client: DynamoDBClient, table: str) -> None:
    """Delete its replicas, lift deletion protection and delete; return when the table is going or gone.

    DeleteTable leaves the replicas of other regions standing, as tables of their own (AWS: "Deleting replicas"). And AWS
    refuses to delete a table that a replica was made from in the last 24 hours: `retention.min_age_hours` is longer.
    ReleaseError when AWS refuses, or a replica is still there after some 9 minutes.
    """
    for attempt in range(UPDATE_ATTEMPTS):
        state = describe(client, table)
        if state is None or state.status == "DELETING":
            return
        try:
            if state.replicas:
                for region in (region for region, status in state.replicas.items() if status != "DELETING"):
                    _update(client, {"TableName": table, "ReplicaUpdates": [{"Delete": {"RegionName": region}}]})
                time.sleep(min(0.2 * 2**attempt, 10))
                continue
            if state.protected:
                _update(client, {"TableName": table, "DeletionProtectionEnabled": False})
            client.delete_table(TableName=table)
            return
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "ResourceNotFoundException":
                return
            # The table is still UPDATING from its protection being lifted, or CREATING.
            if code != "ResourceInUseException" or attempt == UPDATE_ATTEMPTS - 1:
                raise _failed("delete the table", table, error) from error
            time.sleep(min(0.2 * 2**attempt, 10))
        except (BotoCoreError, OSError) as error:
            raise _failed("delete the table", table, error) from error
    raise ReleaseError(
        "delete the table", to=table, found="its replicas in other regions are still there", next="run it again later"
    )


def list_tables(client: DynamoDBClient, prefix: str) -> list[str]:
    """Names of the tables that start with `prefix`, sorted. Every table is listed (2,500 at most by default, 25 calls):
    AWS promises no order in which one could start or stop."""
    found: list[str] = []
    start: ListTablesInputTypeDef = {}
    try:
        while True:
            answer = client.list_tables(**start)
            found += [name for name in answer.get("TableNames", []) if name.startswith(prefix)]
            last = answer.get("LastEvaluatedTableName")
            if not last:
                return sorted(found)
            start = {"ExclusiveStartTableName": last}
    except (ClientError, BotoCoreError, OSError) as error:
        raise _failed("list the tables of", prefix, error) from error


def _update(client: DynamoDBClient, change: UpdateTableInputTypeDef) -> None:
    """One UpdateTable, retried while another change of the same table is under way."""
    for attempt in range(UPDATE_ATTEMPTS):
        try:
            client.update_table(**change)
            return
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceInUseException" or attempt == UPDATE_ATTEMPTS - 1:
                raise
            time.sleep(min(0.2 * 2**attempt, 10))


def _failed(doing: str, what: str, error: Exception) -> ReleaseError:
    found, following = explain_error(error, "try again")
    return ReleaseError(doing, to=what, found=found, next=following)
