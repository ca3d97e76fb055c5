"""A small reader of IAM policies, enough for those in `deploy/iam`: which actions on which resource a file allows, and what a
recorded AWS call needs. Source of the mapping: AWS, "Service Authorization Reference", Amazon S3 and Amazon DynamoDB."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import botocore.client
import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
ACTIONS = {
    "HeadObject": ["s3:GetObject"],
    "ListObjectsV2": ["s3:ListBucket"],
    "ListObjectVersions": ["s3:ListBucketVersions"],
    "DeleteObjects": ["s3:DeleteObject"],
    "HeadBucket": ["s3:ListBucket"],
}


@dataclass(frozen=True)
class Need:
    """One permission that a call needs; `prefix` is what a listing is limited to, None for what is no listing. `perhaps` is
    one that is needed only where another answer forbids something."""

    action: str
    resource: str
    prefix: str | None = None
    perhaps: bool = False


class Policy:
    """One file, with its placeholders filled."""

    def __init__(self, name: str, bucket: str, environment: str) -> None:
        text = (DEPLOY / "iam" / name).read_text()
        filled = text.replace("BUCKET", bucket).replace("ENV", environment).replace("ACCOUNT", "*")
        self.statements: list[dict[str, Any]] = json.loads(filled)["Statement"]

    def allows(self, need: Need) -> bool:
        return any(
            need.action in _many(statement["Action"])
            and any(fnmatchcase(need.resource, pattern) for pattern in _many(statement["Resource"]))
            and _conditions(statement, need)
            for statement in self.statements
        )

    def actions(self) -> set[str]:
        return {action for statement in self.statements for action in _many(statement["Action"])}


def _many(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _conditions(statement: dict[str, Any], need: Need) -> bool:
    """AWS: a condition on a key that the request does not have is false, with `...IfExists` true."""
    for operator, keys in statement.get("Condition", {}).items():
        for key, wanted in keys.items():
            assert key == "s3:prefix", f"this test knows nothing of {key}"
            if need.prefix is None:
                if not operator.endswith("IfExists"):
                    return False
            elif not any(fnmatchcase(need.prefix, pattern) for pattern in _many(wanted)):
                return False
    return True


def needs(service: str, operation: str, parameters: dict[str, Any]) -> list[Need]:
    """What AWS asks for before it does this; nothing for `sts:GetCallerIdentity` (AWS: "No permissions are required")."""
    if service == "sts":
        return []
    if service == "s3":
        bucket = f"arn:aws:s3:::{parameters['Bucket']}"
        keys = [item["Key"] for item in parameters.get("Delete", {}).get("Objects", [])] or [parameters.get("Key", "")]
        prefix = parameters.get("Prefix", "") if operation.startswith("ListObject") else None
        found = [
            Need(action, f"{bucket}/{key}" if key else bucket, prefix)
            for action in ACTIONS.get(operation, [f"s3:{operation}"])
            for key in keys
        ]
        if operation in ("GetObject", "HeadObject"):
            # S3 answers 403 for a missing object to whoever may not list the bucket (S3 API reference, GetObject). The
            # object is then looked for by a listing of its key.
            found.append(Need("s3:ListBucket", bucket, parameters["Key"], perhaps=True))
        return found
    action = f"dynamodb:{operation}"
    if operation in ("ListTables", "ListImports"):
        return [Need(action, "*")]
    if operation in ("DescribeImport", "TagResource", "ListTagsOfResource"):
        return [Need(action, parameters.get("ImportArn") or parameters["ResourceArn"])]
    names = [parameters.get("TableName") or parameters.get("TableCreationParameters", {}).get("TableName")]
    if "RequestItems" in parameters:
        names = list(parameters["RequestItems"])
    return [Need(action, f"arn:aws:dynamodb:us-east-1:000000000000:table/{name}") for name in names]


@contextmanager
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Need]]:
    """Every call that this process makes through botocore, as what it needs; calls go on as they are."""
    found: list[Need] = []
    real = botocore.client.BaseClient._make_api_call  # type: ignore[attr-defined]

    def call(self: Any, operation: str, parameters: dict[str, Any]) -> Any:
        found.extend(needs(self.meta.service_model.service_name, operation, parameters))
        return real(self, operation, parameters)

    with monkeypatch.context() as patch:
        patch.setattr(botocore.client.BaseClient, "_make_api_call", call)
        yield found
