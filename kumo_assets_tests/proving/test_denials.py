"""What must be denied, on accounts that enforce permissions: denied, it holds; allowed, it differs, and is undone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kumo_assets.proving.proof import Proof
from kumo_assets_tests.cli.conftest import Done, kumo_assets
from kumo_assets_tests.proving.conftest import Ground

DENIED = ("denied-s3-outside", "denied-s3-version", "denied-item-write", "denied-expiry")


@pytest.fixture(autouse=True)
def _real(monkeypatch: pytest.MonkeyPatch, ground: Ground) -> Iterator[None]:
    """The sandbox, taken for AWS."""
    monkeypatch.setattr(Proof, "emulated", False)
    monkeypatch.setattr(Proof, "sse", "aws")
    yield
    ground.sandbox.reset_faults()


def outcomes(done: Done) -> dict[str, str]:
    return {row["name"]: row["outcome"] for row in done.document["rows"]}


def test_what_is_allowed_differs_and_is_undone(ground: Ground) -> None:
    done = kumo_assets("prove", "--json", "--only", "s3")
    assert done.status == 1
    assert {name: outcomes(done)[name] for name in DENIED[:2]} == dict.fromkeys(DENIED[:2], "differs")
    assert ground.left() == []


def test_what_is_denied_holds(ground: Ground) -> None:
    refused = {"status": 403, "code": "AccessDenied", "times": -1}
    ground.sandbox.aws_faults(
        {**refused, "service": "s3", "operation": "PutObject", "match": "denied.json"},
        {**refused, "service": "s3", "operation": "DeleteObject", "match": "versionId="},
        {**refused, "service": "dynamodb", "operation": "PutItem", "status": 400, "code": "AccessDeniedException"},
        {
            **refused,
            "service": "dynamodb",
            "operation": "UpdateTimeToLive",
            "status": 400,
            "code": "AccessDeniedException",
        },
    )
    done = kumo_assets("prove", "--json", "--only", "s3", "--only", "dynamodb")
    assert done.status == 0, done.err
    assert {name: outcomes(done)[name] for name in DENIED} == dict.fromkeys(DENIED, "holds")
    assert outcomes(done)["table-encryption"] == "holds"
