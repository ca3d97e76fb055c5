"""ImportTable: start one import of an S3 prefix into a new table, or adopt the one already started, and wait for its end.

What counts as a whole import is judged in `kumo_assets.gates.import_complete`; tables, tags and protection are in
`tables.py`. Facts used here: an import only makes a new table; its client token is valid for 8 hours; its counters stay 0
while IN_PROGRESS; a FAILED import can leave a table with part of the data, so the import's status decides, never the
table's (AWS: "DynamoDB data import from Amazon S3").
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from kumo_assets.errors import ImportFailed
from kumo_assets.resources.dynamodb.import_errors import failed

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import (
        ImportSummaryTypeDef,
        ImportTableDescriptionTypeDef,
        ImportTableInputTypeDef,
        ListImportsInputTypeDef,
        SSESpecificationTypeDef,
    )

LIVE = ("IN_PROGRESS",)
DONE = ("COMPLETED",)
MOST_ATTEMPTS = 20
# ImportTable's answers where the table exists, or an import into it does (API reference, "Errors").
TAKEN = ("ResourceInUseException", "ImportConflictException", "TableAlreadyExistsException")


@dataclass(frozen=True)
class ImportState:
    """One import as DescribeImport reports it. Sizes are bytes, counts are items."""

    arn: str
    table: str
    status: str
    imported: int
    processed: int
    errors: int
    bytes: int
    failure: str
    source: str


@dataclass(frozen=True)
class ImportRequest:
    """What one import is made of: the objects, their format, and the table's name, key and tags. `sse` is the KMS key of the
    table as `table.sse` has it, `bucket_owner` the account of a bucket that is not ours."""

    table: str
    bucket: str
    prefix: str
    key: str
    format: str
    tags: dict[str, str]
    sse: str | None = None
    bucket_owner: str = ""

    def parameters(self) -> ImportTableInputTypeDef:
        """Keyword arguments of `import_table`."""
        parameters: ImportTableInputTypeDef = {
            "ClientToken": self.token,
            "S3BucketSource": {"S3Bucket": self.bucket, "S3KeyPrefix": self.prefix},
            "InputFormat": "CSV" if self.format == "csv" else "DYNAMODB_JSON",
            "InputCompressionType": "GZIP",
            "TableCreationParameters": {
                "TableName": self.table,
                "AttributeDefinitions": [{"AttributeName": self.key, "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": self.key, "KeyType": "HASH"}],
                "BillingMode": "PAY_PER_REQUEST",
            },
        }
        if self.format == "csv":
            parameters["InputFormatOptions"] = {"Csv": {"Delimiter": ","}}
        if self.bucket_owner:
            parameters["S3BucketSource"]["S3BucketOwner"] = self.bucket_owner
        if self.sse is not None:
            encryption: SSESpecificationTypeDef = {"Enabled": True, "SSEType": "KMS"}
            if self.sse != "aws":
                encryption["KMSMasterKeyId"] = self.sse
            parameters["TableCreationParameters"]["SSESpecification"] = encryption
        return parameters

    @property
    def token(self) -> str:
        """Equal requests have equal tokens, so a replay within 8 hours is answered with the same import."""
        parts = [self.table, self.bucket, self.prefix, self.format, *filter(None, [self.sse, self.bucket_owner])]
        return hashlib.sha256("|".join(parts).encode()).hexdigest()[:36]


def table_arn(client: DynamoDBClient, table: str) -> str | None:
    """The table's ARN, None when there is no such table. ImportFailed when AWS does not answer."""
    try:
        return client.describe_table(TableName=table)["Table"]["TableArn"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return None
        raise failed("look for the table", table, error) from error
    except BotoCoreError as error:
        raise failed("look for the table", table, error) from error


def find_import(client: DynamoDBClient, table: str) -> ImportState | None:
    """The newest import into a table of this name, when the table exists; None when there is no such table.

    Raises ImportFailed when the table exists but no import made it: the name is taken by something that is not ours.
    """
    arn = table_arn(client, table)
    if arn is None:
        return None
    summaries: list[ImportSummaryTypeDef] = []
    page: ListImportsInputTypeDef = {"TableArn": arn, "PageSize": 25}
    while True:
        try:
            answer = client.list_imports(**page)
        except (ClientError, BotoCoreError) as error:
            raise failed("list the imports into", table, error) from error
        summaries += answer.get("ImportSummaryList", [])
        if not answer.get("NextToken"):
            break
        page["NextToken"] = answer["NextToken"]
    # Filter again by table: an emulator or an older SDK may ignore the filter.
    ours = [item for item in summaries if item.get("TableArn") == arn]
    if not ours:
        raise ImportFailed(
            "import into",
            to=table,
            found="a table of that name exists and no import made it",
            next="find out who made it; a release's table name is never reused, so delete that table or build a new release",
        )
    newest = max(ours, key=lambda item: item["StartTime"])
    return describe_import(client, newest["ImportArn"])


class Recorded(Protocol):
    """Where the ARN of each attempt's import is kept from the moment it is known."""

    def read(self, attempt: int) -> str | None: ...

    def write(self, attempt: int, table: str, arn: str) -> None: ...


def adopt_or_import(
    client: DynamoDBClient,
    request_for: Callable[[int], ImportRequest],
    whole: Callable[[ImportState], bool],
    passed_over: Callable[[ImportState], None] = lambda state: None,
    recorded: Recorded | None = None,
) -> tuple[int, ImportState, bool]:
    """(attempt, import, adopted): the live or whole import of the first attempt that has one, else a new one.

    `request_for(attempt)` names that attempt's table. `whole` says whether a completed import's counts are right. An
    import that failed, or whose counts are wrong, is handed to `passed_over`, and opens the next attempt under a new name
    (rule 2).
    """
    for attempt in range(1, MOST_ATTEMPTS + 1):
        request = request_for(attempt)
        known = _recorded(client, recorded.read(attempt), request) if recorded is not None else None
        state, adopted = (known, True) if known is not None else _replay_or_start(client, request)
        if recorded is not None and known is None:
            recorded.write(attempt, state.table, state.arn)
        if state.status in LIVE or (state.status in DONE and whole(state)):
            return attempt, state, adopted
        passed_over(state)
    raise ImportFailed(
        "import into",
        to=request_for(MOST_ATTEMPTS).table,
        found=f"{MOST_ATTEMPTS} attempts of this release have failed",
        next="read the failure of the last one in the DynamoDB console, fix its cause, and build a new release",
    )


def _recorded(client: DynamoDBClient, arn: str | None, request: ImportRequest) -> ImportState | None:
    """The import that was recorded for a request; None when AWS does not know it, or it made another table."""
    if arn is None:
        return None
    try:
        state = _state(client.describe_import(ImportArn=arn)["ImportTableDescription"])
    except (ClientError, BotoCoreError) as error:
        if isinstance(error, ClientError) and error.response["Error"]["Code"] == "ImportNotFoundException":
            return None
        raise failed("read the state of the import", arn, error) from error
    return state if state.table == request.table else None


def _replay_or_start(client: DynamoDBClient, request: ImportRequest) -> tuple[ImportState, bool]:
    """The request's import, and whether it was there before.

    The request itself is sent first, because for 8 hours its token is answered with the import that it started, and
    ListImports may not show one that is still running. When the token is older the table's name is taken, and then the
    import that took it has long been listed.
    """
    existed = table_arn(client, request.table) is not None
    try:
        answer = client.import_table(**request.parameters())
    except (ClientError, BotoCoreError) as error:
        taken = isinstance(error, ClientError) and error.response["Error"]["Code"] in TAKEN
        found = find_import(client, request.table) if taken else None
        if found is None:
            raise failed("start the import into", request.table, error) from error
        return found, True
    state = _state(answer["ImportTableDescription"])
    # ImportTable answers a new import with IN_PROGRESS. Any other status is that of an earlier import with this token,
    # which has ended; a failed one may have left no table.
    return state, existed or state.status not in LIVE


def describe_import(client: DynamoDBClient, arn: str) -> ImportState:
    """The import's current state. ImportFailed when AWS does not answer."""
    try:
        return _state(client.describe_import(ImportArn=arn)["ImportTableDescription"])
    except (ClientError, BotoCoreError) as error:
        raise failed("read the state of the import", arn, error) from error


def wait_for_import(
    client: DynamoDBClient,
    state: ImportState,
    *,
    poll_seconds: float,
    deadline_seconds: float,
    on_progress: Callable[[str], None] = lambda words: None,
    sleep: Callable[[float], None] = time.sleep,
) -> ImportState:
    """Poll until the import ended, whatever the end. ImportFailed when the deadline passes first.

    The API has no way to cancel an import; a later re-run adopts it, whatever its status is then.
    """
    started = time.monotonic()
    wait = min(poll_seconds, 0.5)
    while state.status in LIVE:
        waited = time.monotonic() - started
        if waited > deadline_seconds:
            raise ImportFailed(
                "wait for the import into",
                to=state.table,
                found=f"it is still {state.status} after {waited / 60:.0f} minutes",
                next="re-execute the run when the console shows it ended: the import is adopted, not repeated",
            )
        on_progress(f"Import into {state.table}: {state.status}")
        sleep(wait)
        wait = min(wait * 1.5, poll_seconds)
        state = describe_import(client, state.arn)
    return state


def _state(description: ImportTableDescriptionTypeDef) -> ImportState:
    parameters = description.get("TableCreationParameters", {})
    source = description.get("S3BucketSource", {})
    failure = " ".join(filter(None, [description.get("FailureCode"), description.get("FailureMessage")]))
    return ImportState(
        arn=description["ImportArn"],
        table=parameters.get("TableName") or str(description.get("TableArn", "")).rpartition("/")[2],
        status=description["ImportStatus"],
        imported=int(description.get("ImportedItemCount") or 0),
        processed=int(description.get("ProcessedItemCount") or 0),
        errors=int(description.get("ErrorCount") or 0),
        bytes=int(description.get("ProcessedSizeBytes") or 0),
        failure=failure,
        source=f"s3://{source.get('S3Bucket', '')}/{source.get('S3KeyPrefix', '')}",
    )
