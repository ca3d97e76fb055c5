"""S3 and DynamoDB through boto3, as our own code speaks to them: what the proxy adds to MiniStack, and that all else
passes through."""

from __future__ import annotations

import gzip
import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ConnectionError
from kumo_sandbox.settings import BUCKET
from kumo_sandbox.testing import SandboxHandle

pytestmark = pytest.mark.sandbox

ONCE = Config(retries={"total_max_attempts": 1})


@dataclass
class Imported:
    """A prefix with objects, a table name, and the import of one into the other."""

    name: str
    format: str = "CSV"

    def put(self, number: int, text: str) -> None:
        boto3.Session().client("s3").put_object(
            Bucket=BUCKET, Key=f"{self.name}/{number}.gz", Body=gzip.compress(text.encode())
        )

    def start(self, token: str, table: str = "") -> dict[str, Any]:
        answer: dict[str, Any] = (
            boto3.Session()
            .client("dynamodb", config=ONCE)
            .import_table(
                ClientToken=token,
                S3BucketSource={"S3Bucket": BUCKET, "S3KeyPrefix": f"{self.name}/"},
                InputFormat=self.format,
                InputCompressionType="GZIP",
                TableCreationParameters={
                    "TableName": table or self.name,
                    "AttributeDefinitions": [{"AttributeName": "e", "AttributeType": "S"}],
                    "KeySchema": [{"AttributeName": "e", "KeyType": "HASH"}],
                    "BillingMode": "PAY_PER_REQUEST",
                },
            )["ImportTableDescription"]
        )
        return answer

    def end(self, arn: str) -> dict[str, Any]:
        client = boto3.Session().client("dynamodb")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found: dict[str, Any] = client.describe_import(ImportArn=arn)["ImportTableDescription"]
            if found["ImportStatus"] != "IN_PROGRESS":
                return found
            time.sleep(0.1)
        raise AssertionError("the import did not end")

    def entities(self) -> set[str]:
        items = boto3.Session().client("dynamodb").scan(TableName=self.name)["Items"]
        return {item["e"]["S"] for item in items}


@pytest.fixture
def imported(sandbox: SandboxHandle) -> Any:
    found = Imported(f"proxy-{uuid.uuid4().hex[:12]}")
    yield found
    client = boto3.Session().client("dynamodb")
    if found.name in client.list_tables()["TableNames"]:
        client.delete_table(TableName=found.name)


# ---- ImportTable


def test_same_token_again_is_answered_with_the_same_import(imported: Imported) -> None:
    imported.put(0, '"e","p"\n"1","a"\n')
    first = imported.start("token-" + imported.name)
    imported.end(first["ImportArn"])
    again = imported.start("token-" + imported.name)
    assert again["ImportArn"] == first["ImportArn"]
    assert again["ImportStatus"] == "COMPLETED"


def test_same_token_from_many_at_once_starts_one_import(imported: Imported) -> None:
    imported.put(0, '"e","p"\n"1","a"\n')
    with ThreadPoolExecutor(8) as pool:
        arns = {one["ImportArn"] for one in pool.map(imported.start, ["token-" + imported.name] * 8)}
    assert len(arns) == 1


def test_token_with_other_parameters_is_a_conflict(imported: Imported) -> None:
    imported.put(0, '"e","p"\n"1","a"\n')
    imported.start("token-" + imported.name)
    with pytest.raises(ClientError) as refused:
        imported.start("token-" + imported.name, table=imported.name + "-2")
    assert refused.value.response["Error"]["Code"] == "IdempotentParameterMismatchException"


def test_taken_table_name_is_refused_under_a_new_token(imported: Imported) -> None:
    imported.put(0, '"e","p"\n"1","a"\n')
    imported.end(imported.start("one-" + imported.name)["ImportArn"])
    with pytest.raises(ClientError) as refused:
        imported.start("two-" + imported.name)
    assert refused.value.response["Error"]["Code"] == "ResourceInUseException"


def test_imports_are_listed_page_by_page_with_tokens_that_the_sdk_takes(imported: Imported) -> None:
    imported.put(0, "e,p\n1,[]\n")
    arns = {imported.start(f"{imported.name}-{table}", f"{imported.name}-{table}")["ImportArn"] for table in "abc"}
    for arn in arns:
        imported.end(arn)  # one that is running may not be listed
    client = boto3.Session().client("dynamodb", config=ONCE)
    found, page, pages = [], {"PageSize": 2}, 0
    while True:
        answer = client.list_imports(**page)
        found += [item["ImportArn"] for item in answer["ImportSummaryList"]]
        pages += 1
        if "NextToken" not in answer:
            break
        page["NextToken"] = answer["NextToken"]
    assert pages > 1
    assert arns <= set(found)
    assert len(found) == len(set(found))


def test_bad_line_abandons_the_rest_of_its_object_and_counts_once(imported: Imported) -> None:
    imported.put(0, '"e","p"\n"1","a"\n"2","b"\n')
    imported.put(1, '"e","p"\n"3","c"\n"broken"\n"4","d"\n"5","e"\n')
    found = imported.end(imported.start(imported.name)["ImportArn"])
    assert (found["ImportedItemCount"], found["ProcessedItemCount"], found["ErrorCount"]) == (3, 4, 1)
    assert imported.entities() == {"1", "2", "3"}
    # The import still says that it read the caller's own objects.
    assert found["S3BucketSource"]["S3KeyPrefix"] == f"{imported.name}/"


def test_bad_line_of_json_does_the_same(imported: Imported) -> None:
    imported.format = "DYNAMODB_JSON"
    good = [json.dumps({"Item": {"e": {"S": str(n)}, "p": {"S": "x"}}}) for n in range(4)]
    imported.put(0, "\n".join([good[0], good[1], "{", good[2], good[3]]) + "\n")
    found = imported.end(imported.start(imported.name)["ImportArn"])
    assert (found["ImportedItemCount"], found["ErrorCount"]) == (2, 1)
    assert imported.entities() == {"0", "1"}


def test_a_line_of_json_ends_at_a_line_feed_alone(imported: Imported) -> None:
    imported.format = "DYNAMODB_JSON"
    entities = {f"a{separator}b" for separator in ("\u0085", "\u2028", "\u2029")} | {"plain"}
    lines = [json.dumps({"Item": {"e": {"S": entity}}}, ensure_ascii=False) for entity in sorted(entities)]
    imported.put(0, "\n".join(lines) + "\n")
    found = imported.end(imported.start(imported.name)["ImportArn"])
    assert (found["ImportedItemCount"], found["ErrorCount"]) == (4, 0)
    assert imported.entities() == entities


# ---- credentials


def client_with(sandbox: SandboxHandle, service: str, key: str, secret: str) -> Any:
    return boto3.Session().client(service, aws_access_key_id=key, aws_secret_access_key=secret, config=ONCE)


@pytest.mark.parametrize(
    ("service", "wrong", "code"),
    [
        ("s3", "key", "InvalidAccessKeyId"),
        ("s3", "secret", "SignatureDoesNotMatch"),
        ("dynamodb", "key", "UnrecognizedClientException"),
        ("dynamodb", "secret", "InvalidSignatureException"),
    ],
)
def test_wrong_credentials_are_refused_with_the_services_own_code(
    sandbox: SandboxHandle, service: str, wrong: str, code: str
) -> None:
    key = "AKIAWRONG" if wrong == "key" else sandbox.settings.access_key
    secret = "wrong" if wrong == "secret" else sandbox.settings.secret_key
    client = client_with(sandbox, service, key, secret)
    with pytest.raises(ClientError) as refused:
        client.list_buckets() if service == "s3" else client.list_tables()
    assert refused.value.response["Error"]["Code"] == code


def test_request_without_a_signature_is_refused(sandbox: SandboxHandle) -> None:
    answer = httpx.get(f"{sandbox.url['aws']}/{BUCKET}/anything", trust_env=False)
    assert answer.status_code == 403
    assert "AccessDenied" in answer.text


# ---- what passes through


def test_conditional_writes_and_awkward_keys_pass_through(sandbox: SandboxHandle) -> None:
    s3 = boto3.Session().client("s3")
    key = f"proxy tests/{uuid.uuid4().hex}/a b+c=d&é?.json"
    tag = s3.put_object(Bucket=BUCKET, Key=key, Body=b"1", IfNoneMatch="*")["ETag"]
    with pytest.raises(ClientError) as lost:
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"2", IfNoneMatch="*")
    assert lost.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"3", IfMatch=tag)
    with pytest.raises(ClientError):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"4", IfMatch=tag)
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"3"
    assert s3.head_object(Bucket=BUCKET, Key=key)["ContentLength"] == 1
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=key.rpartition("/")[0])["Contents"]
    assert [item["Key"] for item in listed] == [key]


def test_large_object_comes_back_byte_for_byte(sandbox: SandboxHandle) -> None:
    s3 = boto3.Session().client("s3")
    body = bytes(range(256)) * 40_000
    s3.put_object(Bucket=BUCKET, Key="proxy tests/large", Body=body)
    assert s3.get_object(Bucket=BUCKET, Key="proxy tests/large")["Body"].read() == body


# ---- faults on demand, and counting


def test_fault_answers_as_the_service_would_and_only_as_often_as_asked(sandbox: SandboxHandle) -> None:
    client = boto3.Session().client("dynamodb", config=ONCE)
    sandbox.aws_faults(
        {"service": "dynamodb", "operation": "ListTables", "status": 400, "code": "ThrottlingException", "times": 2}
    )
    for _ in range(2):
        with pytest.raises(ClientError) as thrown:
            client.list_tables()
        assert thrown.value.response["Error"]["Code"] == "ThrottlingException"
    client.list_tables()


def test_fault_is_for_the_requests_that_match_alone(sandbox: SandboxHandle) -> None:
    s3 = boto3.Session().client("s3", config=ONCE)
    sandbox.aws_faults(
        {"service": "s3", "operation": "PutObject", "match": "victim", "status": 503, "code": "SlowDown"}
    )
    s3.put_object(Bucket=BUCKET, Key="proxy tests/other", Body=b"")
    with pytest.raises(ClientError, match="SlowDown"):
        s3.put_object(Bucket=BUCKET, Key="proxy tests/victim", Body=b"")


@pytest.mark.parametrize(("cut", "arrived"), [("before", False), ("after", True)])
def test_cut_connection_loses_the_request_or_only_its_answer(sandbox: SandboxHandle, cut: str, arrived: bool) -> None:
    s3 = boto3.Session().client("s3", config=ONCE)
    key = f"proxy tests/{uuid.uuid4().hex}"
    sandbox.aws_faults({"service": "s3", "operation": "PutObject", "cut": cut})
    with pytest.raises((ConnectionError, ConnectionClosedError)):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    assert s3.list_objects_v2(Bucket=BUCKET, Prefix=key)["KeyCount"] == int(arrived)


def test_unknown_field_of_a_fault_is_named_and_nothing_is_set(sandbox: SandboxHandle) -> None:
    answer = httpx.post(
        sandbox.url["aws"] + "/_sandbox/faults", json=[{"service": "s3"}, {"verb": "GET"}], trust_env=False
    )
    assert answer.status_code == 400
    assert "'verb'" in answer.json()["error"]
    assert "operation" in answer.json()["error"]
    assert httpx.get(sandbox.url["aws"] + "/_sandbox/faults", trust_env=False).json() == []


def test_calls_are_counted_by_operation(sandbox: SandboxHandle) -> None:
    s3 = boto3.Session().client("s3")
    sandbox.calls(forget=True)
    s3.put_object(Bucket=BUCKET, Key="proxy tests/counted", Body=b"")
    s3.get_object(Bucket=BUCKET, Key="proxy tests/counted")
    boto3.Session().client("dynamodb").list_tables()
    assert sandbox.calls() == {"s3.PutObject": 1, "s3.GetObject": 1, "dynamodb.ListTables": 1}
