"""Starting and adopting an import, against a DynamoDB that answers as scripted: what AWS does and no emulator of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import boto3
import pytest

from kumo_assets.config.query import Table
from kumo_assets.errors import ImportFailed
from kumo_assets.resources.dynamodb import tables
from kumo_assets.resources.dynamodb.imports import ImportRequest, ImportState, adopt_or_import
from kumo_assets_tests.resources.kumo.scripted import Answer, Asked, ScriptedServer, ok

TABLE = "local-q-20171130-1a2b3c4d"
TABLE_ARN = f"arn:aws:dynamodb:us-east-1:000000000000:table/{TABLE}"
ARN = f"{TABLE_ARN}/import/01511980000000-{'a' * 8}"


def request_for(attempt: int) -> ImportRequest:
    name = TABLE if attempt == 1 else f"{TABLE}-a{attempt}"
    return ImportRequest(name, "a-bucket", f"export-{attempt}/", "e", "csv", {})


def description(status: str, arn: str = ARN, table: str = TABLE) -> Answer:
    made = {"ImportArn": arn, "ImportStatus": status, "TableArn": TABLE_ARN, "TableCreationParameters": {}}
    made["TableCreationParameters"] = {"TableName": table, "AttributeDefinitions": [], "KeySchema": []}
    return ok({"ImportTableDescription": {**made, "StartTime": 1.5e9, "ImportedItemCount": 3}})


def refusal(code: str, message: str = "no") -> Answer:
    return Answer(400, f'{{"__type": "com.amazonaws.dynamodb.v20120810#{code}", "message": "{message}"}}'.encode())


@dataclass
class Account:
    """An account's answers by operation, of a list one after another, and the operations that were called."""

    answers: dict[str, Answer | list[Answer]]
    called: list[str] = field(default_factory=list)
    bodies: dict[str, Any] = field(default_factory=dict)

    def __call__(self, asked: Asked) -> Answer:
        operation = asked.headers["x-amz-target"].rpartition(".")[2]
        self.called.append(operation)
        self.bodies[operation] = asked.body
        answer = self.answers[operation]
        return answer.pop(0) if isinstance(answer, list) else answer


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[Any, Account]]]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x" * 20)
    with ScriptedServer() as server:

        def of(**answers: Answer | list[Answer]) -> tuple[Any, Account]:
            made = Account(answers)
            server.script = made
            return boto3.client("dynamodb", region_name="us-east-1", endpoint_url=server.origin), made

        yield of


class Records:
    """What is kept of each attempt's import."""

    def __init__(self, **kept: str) -> None:
        self.kept = {int(attempt.removeprefix("a")): arn for attempt, arn in kept.items()}

    def read(self, attempt: int) -> str | None:
        return self.kept.get(attempt)

    def write(self, attempt: int, table: str, arn: str) -> None:
        self.kept[attempt] = arn


THERE = ok({"Table": {"TableName": TABLE, "TableArn": TABLE_ARN, "TableStatus": "CREATING"}})
NO_TABLE = refusal("ResourceNotFoundException")
NONE_LISTED = ok({"ImportSummaryList": []})


def whole(state: ImportState) -> bool:
    return state.imported == 3


def test_an_import_that_is_running_and_not_listed_is_found_by_its_token(account: Any) -> None:
    """AWS does not say that ListImports shows an import before it has ended."""
    client, made = account(DescribeTable=THERE, ListImports=NONE_LISTED, ImportTable=description("IN_PROGRESS"))
    attempt, state, adopted = adopt_or_import(client, request_for, whole)
    assert (attempt, state.arn, adopted) == (1, ARN, True)
    assert "ListImports" not in made.called


def test_a_recorded_import_is_read_and_nothing_is_sent_again(account: Any) -> None:
    client, made = account(DescribeImport=description("IN_PROGRESS"))
    records = Records(a1=ARN)
    _, state, adopted = adopt_or_import(client, request_for, whole, recorded=records)
    assert (state.arn, adopted) == (ARN, True)
    assert made.called == ["DescribeImport"]


def test_the_arn_is_recorded_the_moment_it_is_known(account: Any) -> None:
    client, _ = account(DescribeTable=NO_TABLE, ImportTable=description("IN_PROGRESS"))
    records = Records()
    assert adopt_or_import(client, request_for, whole, recorded=records)[2] is False
    assert records.kept == {1: ARN}


def test_a_token_that_has_expired_leads_to_the_imports_of_the_table(account: Any) -> None:
    listed = ok({"ImportSummaryList": [{"ImportArn": ARN, "TableArn": TABLE_ARN, "StartTime": 1.5e9}]})
    client, _ = account(
        DescribeTable=THERE,
        ListImports=listed,
        ImportTable=refusal("ResourceInUseException"),
        DescribeImport=description("COMPLETED"),
    )
    _, state, adopted = adopt_or_import(client, request_for, whole)
    assert (state.arn, state.status, adopted) == (ARN, "COMPLETED", True)


@pytest.mark.parametrize("code", ["ResourceInUseException", "ImportConflictException"])
def test_the_import_of_a_run_beside_this_one_is_adopted(account: Any, code: str) -> None:
    client, _ = account(
        DescribeTable=[NO_TABLE, THERE],
        ListImports=ok({"ImportSummaryList": [{"ImportArn": ARN, "TableArn": TABLE_ARN, "StartTime": 1.5e9}]}),
        ImportTable=refusal(code),
        DescribeImport=description("IN_PROGRESS"),
    )
    _, state, adopted = adopt_or_import(client, request_for, whole)
    assert (state.arn, adopted) == (ARN, True)


def test_any_other_refusal_is_raised_without_another_look(account: Any) -> None:
    client, made = account(DescribeTable=NO_TABLE, ImportTable=refusal("AccessDeniedException"))
    with pytest.raises(ImportFailed, match="AccessDeniedException"):
        adopt_or_import(client, request_for, whole)
    assert made.called[-1] == "ImportTable"


def test_a_record_of_an_import_that_aws_does_not_know_is_passed_over(account: Any) -> None:
    client, made = account(
        DescribeImport=refusal("ImportNotFoundException"),
        DescribeTable=NO_TABLE,
        ImportTable=description("IN_PROGRESS"),
    )
    assert adopt_or_import(client, request_for, whole, recorded=Records(a1=ARN))[1].arn == ARN
    assert made.called[-1] == "ImportTable"


def test_a_table_that_no_import_made_is_not_taken(account: Any) -> None:
    client, _ = account(DescribeTable=THERE, ListImports=NONE_LISTED, ImportTable=refusal("ResourceInUseException"))
    with pytest.raises(ImportFailed, match="no import made it"):
        adopt_or_import(client, request_for, whole)


def test_warm_throughput_never_asks_for_fewer_writes_than_the_table_has(account: Any) -> None:
    warm = {"ReadUnitsPerSecond": 12_000, "WriteUnitsPerSecond": 40_000, "Status": "ACTIVE"}
    there = {"TableName": TABLE, "TableArn": TABLE_ARN, "TableStatus": "ACTIVE", "DeletionProtectionEnabled": True}
    client, made = account(
        DescribeTable=ok({"Table": there | {"WarmThroughput": warm}}),
        TagResource=ok({}),
        UpdateTable=ok({"TableDescription": {}}),
    )
    tables.care_for(client, TABLE, Table(reads_per_second=50_000), {})
    asked = made.bodies["UpdateTable"]["WarmThroughput"]
    assert asked["ReadUnitsPerSecond"] == 50_000
    assert asked.get("WriteUnitsPerSecond", 40_000) >= 40_000


def test_a_customers_key_and_a_bucket_of_another_account_are_part_of_the_request(account: Any) -> None:
    client, made = account(DescribeTable=NO_TABLE, ImportTable=description("IN_PROGRESS"))
    plain = request_for(1)
    theirs = replace(plain, sse="alias/predictions", bucket_owner="111122223333")
    adopt_or_import(client, lambda attempt: theirs, whole)
    sent = made.bodies["ImportTable"]
    assert sent["S3BucketSource"]["S3BucketOwner"] == "111122223333"
    wanted = {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": "alias/predictions"}
    assert sent["TableCreationParameters"]["SSESpecification"] == wanted
    assert replace(plain, sse="aws").parameters()["TableCreationParameters"]["SSESpecification"] == {
        "Enabled": True,
        "SSEType": "KMS",
    }
    # Within 8 hours AWS refuses a token with other parameters.
    assert len({one.token for one in (plain, theirs, replace(plain, sse="aws"))}) == 3
    assert "SSESpecification" not in plain.parameters()["TableCreationParameters"]


def test_a_replica_of_an_encrypted_table_has_the_key_of_its_own_region(account: Any) -> None:
    state = ok({"Table": {"TableName": TABLE, "TableArn": TABLE_ARN, "TableStatus": "ACTIVE"}})
    client, made = account(DescribeTable=state, TagResource=ok({}), UpdateTable=ok({"TableDescription": {}}))
    wanted = Table(replicas=["eu-west-1"], sse="alias/predictions", deletion_protection=False)
    tables.care_for(client, TABLE, wanted, {"a": "b"})
    create = {"RegionName": "eu-west-1", "KMSMasterKeyId": "alias/predictions"}
    assert made.bodies["UpdateTable"]["ReplicaUpdates"] == [{"Create": create}]


@pytest.mark.parametrize(
    "sse", ["1234abcd-12ab-34cd-56ef-1234567890ab", "arn:aws:kms:us-east-1:111122223333:key/1234abcd"]
)
def test_a_key_of_one_region_is_refused_for_a_table_with_replicas(sse: str) -> None:
    assert Table(sse=sse).sse == sse
    with pytest.raises(ValueError, match="name the key by an alias"):
        Table(sse=sse, replicas=["eu-west-1"])


@pytest.mark.parametrize("sse", ["", "AES256", "my key", "alias/", "arn:aws:s3:::bucket"])
def test_what_is_no_key_is_refused(sse: str) -> None:
    with pytest.raises(ValueError, match="sse"):
        Table(sse=sse)
