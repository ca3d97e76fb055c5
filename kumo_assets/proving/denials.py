"""Trying what must be denied, only ever on what the proof made itself. What is allowed after all is undone, and differs."""

from __future__ import annotations

from collections.abc import Callable

from botocore.exceptions import ClientError

from kumo_assets.proving.report import Differs, Trial

# How S3 and DynamoDB refuse for want of a permission (API references, "Common errors").
DENIED = ("AccessDenied", "AccessDeniedException", "403")


def must_be_denied(trial: Trial, attempt: Callable[[], object], undo: Callable[[], object] = lambda: None) -> None:
    """Differs when AWS lets us. Any other refusal is raised as it is: it does not say that a permission is missing."""
    try:
        attempt()
    except ClientError as error:
        if error.response["Error"]["Code"] not in DENIED:
            raise
        trial.seen = f"denied: {error.response['Error']['Code']}"
        return
    undo()
    raise Differs("it was allowed")
