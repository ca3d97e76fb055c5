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
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from kumo_assets.errors import ImportFailed
from kumo_assets.resources.aws import explain_error

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import (
        ImportSummaryTypeDef,
        ImportTableDescriptionTypeDef,
        ImportTableInputTypeDef,
        ListImportsInputTypeDef,
    )

LIVE = ("IN_PROGRESS",)
DONE = ("COMPLETED",)
MOST_ATTEMPTS = 20


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
    """What one import is made of: the objects, their format, and the table's name, key and tags."""

    table: str
    bucket: str
    prefix: str
    key: str
    format: str
    tags: dict[str, str]

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
        return parameters

    @property
    def token(self) -> str:
        """Equal requests have equal tokens, so a replay within 8 hours is answered with the same import."""
        return hashlib.sha256(f"{self.table}|{self.bucket}|{self.prefix}|{self.format}".encode()).hexdigest()[:36]


def find_import(client: DynamoDBClient, table: str) -> ImportState | None:
    """The newest import into a table of this name, when the table exists; None when there is no such table.

    Raises ImportFailed when the table exists but no import made it: the name is taken by something that is not ours.
    """
    try:
        arn = client.describe_table(TableName=table)["Table"]["TableArn"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return None
        raise _failed("look for the table", table, error) from error
    except BotoCoreError as error:
        raise _failed("look for the table", table, error) from error
    summaries: list[ImportSummaryTypeDef] = []
    page: ListImportsInputTypeDef = {"TableArn": arn, "PageSize": 25}
    while True:
        try:
            answer = client.list_imports(**page)
        except (ClientError, BotoCoreError) as error:
            raise _failed("list the imports into", table, error) from error
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


def adopt_or_import(
    client: DynamoDBClient,
    request_for: Callable[[int], ImportRequest],
    whole: Callable[[ImportState], bool],
    passed_over: Callable[[ImportState], None] = lambda state: None,
) -> tuple[int, ImportState, bool]:
    """(attempt, import, adopted): the live or whole import of the first attempt that has one, else a new one.

    `request_for(attempt)` names that attempt's table. `whole` says whether a completed import's counts are right. An
    import that failed, or whose counts are wrong, is handed to `passed_over`, and opens the next attempt under a new name
    (rule 2).
    """
    for attempt in range(1, MOST_ATTEMPTS + 1):
        request = request_for(attempt)
        state = find_import(client, request.table)
        adopted = state is not None
        if state is None:
            try:
                state = _start(client, request)
                # ImportTable answers a new import with IN_PROGRESS. Any other status is that of an earlier import with
                # this token, which has ended; a failed one may have left no table to find it by.
                adopted = state.status not in LIVE
            except ImportFailed as error:
                # Another run of this release may have started it between our look and our request.
                state = find_import(client, request.table) if _is_taken(error) else None
                if state is None:
                    raise
                adopted = True
        if state.status in LIVE or (state.status in DONE and whole(state)):
            return attempt, state, adopted
        passed_over(state)
    raise ImportFailed(
        "import into",
        to=request_for(MOST_ATTEMPTS).table,
        found=f"{MOST_ATTEMPTS} attempts of this release have failed",
        next="read the failure of the last one in the DynamoDB console, fix its cause, and build a new release",
    )


def _start(client: DynamoDBClient, request: ImportRequest) -> ImportState:
    try:
        answer = client.import_table(**request.parameters())
    except (ClientError, BotoCoreError) as error:
        raise _failed("start the import into", request.table, error) from error
    return _state(answer["ImportTableDescription"])


def _is_taken(error: ImportFailed) -> bool:
    """Whether ImportTable says that the table, or an import with the same token, exists already."""
    cause = error.__cause__
    taken = ("ResourceInUseException", "ImportConflictException")
    return isinstance(cause, ClientError) and cause.response["Error"]["Code"] in taken


def describe_import(client: DynamoDBClient, arn: str) -> ImportState:
    """The import's current state. ImportFailed when AWS does not answer."""
    try:
        return _state(client.describe_import(ImportArn=arn)["ImportTableDescription"])
    except (ClientError, BotoCoreError) as error:
        raise _failed("read the state of the import", arn, error) from error


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


def _failed(doing: str, what: str, error: Exception) -> ImportFailed:
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
    advice = {
        "ResourceInUseException": "a table of that name exists: find out who made it; names are never reused",
        "LimitExceededException": "50 imports may run at once and 2,500 tables exist: retire old releases or ask AWS for more",
    }
    found, following = explain_error(error, "re-execute the run: what was started is adopted, not repeated")
    return ImportFailed(doing, to=what, found=found, next=advice.get(code, following))
