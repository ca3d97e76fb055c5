"""How a table is encrypted against what a query asks for, by what DescribeTable says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kumo_assets.proving.report import Differs, NotTried
from kumo_assets.proving.tables import encryption_as_asked

KEY = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd"
ALIAS = "alias/predictions"


def proof(sse: str | None, **described: str) -> Any:
    """A proof whose table DynamoDB describes so."""
    table = {"Table": {"SSEDescription": described} if described else {}}
    return SimpleNamespace(sse=sse, dynamodb=SimpleNamespace(describe_table=lambda TableName: table))


@pytest.mark.parametrize("sse", ["aws", ALIAS, KEY, "1234abcd"])
def test_key_that_was_asked_for_holds(sse: str) -> None:
    asked = proof(sse, Status="ENABLED", SSEType="KMS", KMSMasterKeyArn=KEY)
    assert encryption_as_asked(asked, "t") == f"KMS {KEY}"


@pytest.mark.parametrize(
    ("sse", "described"),
    [
        ("aws", {}),
        ("aws", {"Status": "UPDATING", "SSEType": "KMS"}),
        (KEY, {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": KEY.replace("1234", "5678")}),
        (KEY, {"Status": "ENABLED", "SSEType": "KMS"}),
    ],
    ids=["none", "not-yet", "another-key", "no-key"],
)
def test_any_other_encryption_differs(sse: str, described: dict[str, str]) -> None:
    with pytest.raises(Differs):
        encryption_as_asked(proof(sse, **described), "t")


def test_nothing_is_tried_where_no_query_asks() -> None:
    with pytest.raises(NotTried, match=r"table\.sse"):
        encryption_as_asked(proof(None), "t")
