"""The pipeline's branches of the one exception tree, whose root is `kumo_serving.errors.KumoAssetsError`.

Exit statuses of the command lines are class attributes here: 1 failed, 2 wrong usage or configuration, 3 a gate
blocked, 4 refused.
"""

from __future__ import annotations

import sys

from kumo_serving.errors import KumoAssetsError

from kumo_assets.redaction import scrub, without_secrets


class PipelineError(KumoAssetsError):
    """An error of the pipeline. It quotes vendors and users' code, so secrets are taken out of it when it is made, and
    out of the exception being handled then, which Dagster stores as its cause."""

    def __init__(self, doing: str, *, to: str = "", found: str = "", next: str = "") -> None:
        scrub(sys.exc_info()[1])
        super().__init__(
            without_secrets(doing),
            to=without_secrets(to),
            found=without_secrets(found),
            next=without_secrets(next),
        )


class ConfigError(PipelineError):
    """A definition, option or environment variable is wrong; nothing was started."""

    exit_status = 2


class GateBlocked(PipelineError):
    """A gate in `block` mode failed, or its verdict is missing."""

    exit_status = 3


class Refused(PipelineError):
    """The rules forbid it: a hold, an older partition, a rejected release, a lost race."""

    exit_status = 4


class LostRace(Refused):
    """Somebody else moved the pointer between our read and our write."""


class KumoApiError(PipelineError):
    """Kumo's REST API refused, failed, or answered something that cannot be used."""


class EngineError(PipelineError):
    """The Kumo Engine's process failed, was killed, or refused its question."""


class RawLogError(PipelineError):
    """Raw logs outside Snowflake cannot be read as their definition says, or who was asked how far they reach cannot say."""


class WarehouseError(PipelineError):
    """Snowflake refused a statement, or a table there is not what it should be."""


class ExportError(PipelineError):
    """The unload to S3 was not whole."""


class ImportFailed(PipelineError):
    """The import into DynamoDB failed or was not whole."""


class ReleaseError(PipelineError):
    """A release's stored objects are missing, damaged or contradict one another."""


class DamagedDocument(ReleaseError):
    """A stored document is not what it must be: unreadable, of something else, or in contradiction with another one. Of
    several releases the others can still be looked at; the one it belongs to can never go live."""


class ObjectStoreError(ReleaseError):
    """S3 did not answer a request, or refused it. After a write, nobody knows whether it was done: read it back."""


class LateLogs(PipelineError):
    """Raw logs did not reach the partition's end before the cut-off."""
