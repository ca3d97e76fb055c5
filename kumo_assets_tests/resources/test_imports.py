"""An import that another run of the release starts between this run's look and its request. AWS is scripted."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from kumo_assets.errors import ImportFailed
from kumo_assets.resources.dynamodb.imports import ImportRequest, adopt_or_import

ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/table1"
IMPORT = f"{ARN}/import/01"
REQUEST = ImportRequest("table1", "bucket", "prefix/", "e", "csv", {})
TABLE = {"Table": {"TableArn": ARN}}
RUNNING = {"ImportTableDescription": {"ImportArn": IMPORT, "TableArn": ARN, "ImportStatus": "IN_PROGRESS"}}
LISTED = {"ImportSummaryList": [{"ImportArn": IMPORT, "TableArn": ARN, "StartTime": "2026-01-01T00:00:00Z"}]}


@pytest.fixture
def client() -> Any:
    return boto3.client("dynamodb", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")


@pytest.mark.parametrize("code", ["ResourceInUseException", "ImportConflictException"])
def test_the_import_of_a_run_beside_this_one_is_adopted(client: Any, code: str) -> None:
    with Stubber(client) as aws:
        aws.add_client_error("describe_table", "ResourceNotFoundException")
        aws.add_client_error("import_table", code)
        aws.add_response("describe_table", TABLE, {"TableName": "table1"})
        aws.add_response("list_imports", LISTED, {"TableArn": ARN, "PageSize": ANY})
        aws.add_response("describe_import", RUNNING, {"ImportArn": IMPORT})
        attempt, state, adopted = adopt_or_import(client, lambda attempt: REQUEST, lambda state: True)
        assert (attempt, state.arn, adopted) == (1, IMPORT, True)
        aws.assert_no_pending_responses()


def test_any_other_refusal_is_raised_without_another_look(client: Any) -> None:
    with Stubber(client) as aws:
        aws.add_client_error("describe_table", "ResourceNotFoundException")
        aws.add_client_error("import_table", "AccessDeniedException")
        with pytest.raises(ImportFailed, match="AccessDeniedException"):
            adopt_or_import(client, lambda attempt: REQUEST, lambda state: True)
        aws.assert_no_pending_responses()
