"""A release's fallback list, `fallback.json`: read in the background, answered when no table is at hand."""

from __future__ import annotations

from typing import Any

import msgspec

from kumo_serving.addresses import S3Address, s3_address
from kumo_serving.errors import ItemMalformed, PointerError
from kumo_serving.items import Predictions, decode


class _Document(msgspec.Struct):
    schema_version: int
    query: str
    item_format: str
    p: msgspec.Raw
    release_id: str = ""


def parse_fallback(data: bytes, query: str) -> tuple[str, Predictions]:
    """(release id, predictions) of a fallback document. Raises ItemMalformed for any other bytes."""
    try:
        document = msgspec.json.decode(data, type=_Document)
        if document.schema_version != 1 or document.query != query:
            raise ValueError(f"it is schema {document.schema_version} of {document.query!r}")
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise ItemMalformed(
            "read the fallback list", to=f"of {query}", found=str(error), next="see docs/contract.md"
        ) from None
    return document.release_id, decode(bytes(document.p), document.item_format)


def fallback_address(uri: str) -> S3Address:
    """Where the list is. Raises PointerError for what is no address of an S3 object."""
    try:
        return s3_address(uri)
    except ValueError as error:
        raise PointerError(
            "read the fallback list", to=repr(uri), found=str(error), next="see `fallback` in docs/contract.md"
        ) from None


def read_fallback(client: Any, uri: str) -> bytes:
    """The bytes at an `s3://bucket/key`, through a botocore S3 client. Raises PointerError."""
    from botocore.exceptions import BotoCoreError, ClientError

    address = fallback_address(uri)
    try:
        body: bytes = client.get_object(Bucket=address.bucket, Key=address.key)["Body"].read()
        return body
    except (BotoCoreError, ClientError, OSError) as error:
        raise PointerError(
            "read the fallback list",
            to=uri,
            found=f"{type(error).__name__}: {error}",
            next="check s3:GetObject on it",
        ) from None
