"""A release's fallback list, `fallback.json`: read in the background, answered when no table is at hand."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import msgspec

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


def read_fallback(client: Any, uri: str) -> bytes:
    """The bytes at an `s3://bucket/key`, through a botocore S3 client. Raises PointerError."""
    from botocore.exceptions import BotoCoreError, ClientError

    parts = urlsplit(uri)
    try:
        if parts.scheme != "s3":
            raise ValueError("it is no s3:// address")
        body: bytes = client.get_object(Bucket=parts.netloc, Key=parts.path.lstrip("/"))["Body"].read()
        return body
    except (BotoCoreError, ClientError, OSError, ValueError) as error:
        raise PointerError(
            "read the fallback list",
            to=uri,
            found=f"{type(error).__name__}: {error}",
            next="check s3:GetObject on it",
        ) from None
