"""Each error of ImportTable has its own next step, in one line, with one "Next:"."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from kumo_assets.resources.dynamodb.import_errors import SAME_RUN, failed, step_after_failure

ARN = "arn:aws:dynamodb:eu-west-1:1:table/local-q-20171130-1a2b3c4d"


def refused(code: str, message: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "ImportTable")


@pytest.mark.parametrize(
    ("error", "step"),
    [
        (
            refused("ValidationException", "1 validation error detected:\n  Value at 's3BucketSource'"),
            "correct what AWS",
        ),
        (refused("ImportConflictException"), "wait until the import that AWS names has ended"),
        (refused("ResourceInUseException"), "find out who made the table"),
        (refused("IdempotentParameterMismatchException"), "build a new release"),
        (
            refused("AccessDeniedException", f"User: u is not authorized to perform: dynamodb:ImportTable on {ARN}"),
            "grant dynamodb:ImportTable on it",
        ),
        (refused("AccessDeniedException", "no"), "grant dynamodb:ImportTable on it"),
        (
            refused("LimitExceededException", "There is a limit of 50 concurrent imports"),
            "quota is imports at once (50",
        ),
        (refused("LimitExceededException", "Subscriber limit exceeded: too many tables"), "quota is tables"),
        (refused("LimitExceededException", "limit of 2500 tables per account"), "quota is tables"),
        (refused("LimitExceededException", "total size of imports exceeds 15 TB"), "quota is the size of all imports"),
        (refused("LimitExceededException", "Subscriber limit exceeded."), "does not say which quota"),
        (refused("InternalServerError"), SAME_RUN),
        (refused("ExpiredTokenException"), SAME_RUN),
        (EndpointConnectionError(endpoint_url="https://x"), "check the network"),
    ],
)
def test_a_refused_call(error: Exception, step: str) -> None:
    text = str(failed("start the import into", "local-q-20171130-1a2b3c4d", error))
    assert step in text
    assert text.count("Next:") == 1
    assert "\n" not in text


def test_no_two_codes_share_a_step() -> None:
    codes = ("ValidationException", "ImportConflictException", "ResourceInUseException", "AccessDeniedException")
    assert len({failed("a", "b", refused(code)).next for code in codes}) == len(codes)


@pytest.mark.parametrize(
    ("failure", "step"),
    [
        ("S3AccessDenied Access denied to the bucket", "grant s3:GetObject and s3:ListBucket"),
        ("S3NoSuchBucket The bucket is gone", "correct KUMO_ASSETS_BUCKET"),
        ("ItemValidationError Some of the items failed validation", "look at the import's error log"),
        ("S3NoSuchKey", "find out who deleted the export"),
        ("SomethingNew happened", ""),
    ],
)
def test_an_import_that_failed(failure: str, step: str) -> None:
    found = step_after_failure(failure)
    assert step in found
    assert bool(found) is bool(step)
