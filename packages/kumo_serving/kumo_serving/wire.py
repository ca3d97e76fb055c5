"""DynamoDB's wire for two operations: the signed request's bytes, and what a response means.

Pure but for the clock in the signature. GetItem and BatchGetItem only; which table is asked, how often and for how long
is `core`'s.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, Literal, NamedTuple

from awscrt.auth import AwsSignatureType, AwsSigningAlgorithm, AwsSigningConfig, aws_sign_request
from awscrt.http import HttpHeaders, HttpRequest

from kumo_serving.aws import Account, Endpoint
from kumo_serving.errors import Unavailable
from kumo_serving.http1 import Response
from kumo_serving.items import PREDICTION_ATTRIBUTE
from kumo_serving.pointer import KeyAttribute

# BatchGetItem's limit. https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
BATCH = 100
# A partition key's limit in bytes, as UTF-8.
MAX_KEY = 2048

_THROTTLES = frozenset(
    (
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "ThrottledException",
        "RequestLimitExceeded",
        "RequestThrottledException",
        "SlowDown",
    )
)
_EXPIRED = frozenset(("ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException", "InvalidClientTokenId"))


def canonical(entity: str | int, key: KeyAttribute) -> str | None:
    """The entity as the table's key would have it; None when no such key can exist (so the lookup is a miss).

    Raises TypeError for anything but str and int: a float or None is a mistake in the caller.
    """
    if type(entity) is not str:
        if not isinstance(entity, str | int) or isinstance(entity, bool):
            raise TypeError(f"an entity is a str or an int, not {type(entity).__name__}")
        entity = str(entity)
    if key.type == "N":
        try:
            return str(int(entity))
        except ValueError:
            return None
    if not entity:
        return None
    if len(entity) > MAX_KEY // 4 and len(entity.encode("utf-8", "surrogatepass")) > MAX_KEY:
        return None
    return entity


class Problem(NamedTuple):
    """Why a response is no answer. `kind` decides what `core` does next; `text` is for a person."""

    kind: Literal["gone", "throttled", "timeout", "stale", "unavailable", "refused"]
    text: str


class Requests:
    """Builds the signed requests for one table."""

    __slots__ = ("_account", "_batch", "_endpoint", "_get", "_heads")

    def __init__(self, account: Account, endpoint: Endpoint, table: str, key: KeyAttribute) -> None:
        name = quoted(key.name)
        self._account = account
        self._endpoint = endpoint
        self._get = (f'{{"TableName":{quoted(table)},"Key":{{{name}:{{"{key.type}":', "}}}")
        self._batch = (
            f'{{"RequestItems":{{{quoted(table)}:{{"Keys":[{{{name}:{{"{key.type}":',
            f'}}}},{{{name}:{{"{key.type}":',
            "}}]}}}",
        )
        self._heads = {
            operation: [("Host", endpoint.host_header), ("X-Amz-Target", f"DynamoDB_20120810.{operation}")]
            for operation in ("GetItem", "BatchGetItem")
        }

    def get(self, key: str) -> bytes:
        """One GetItem. Raises Unavailable when there are no credentials."""
        begin, end = self._get
        return self._signed("GetItem", (begin + quoted(key) + end).encode())

    def batch(self, keys: Sequence[str]) -> bytes:
        """One BatchGetItem of at most 100 different keys."""
        begin, between, end = self._batch
        return self._signed("BatchGetItem", (begin + between.join(map(quoted, keys)) + end).encode())

    def _signed(self, operation: str, body: bytes) -> bytes:
        provider = self._account.provider
        if provider is None:
            raise Unavailable("sign a lookup", found="there are no AWS credentials", next="see the log for why")
        headers = HttpHeaders(self._heads[operation])
        aws_sign_request(
            HttpRequest("POST", "/", headers),
            AwsSigningConfig(
                algorithm=AwsSigningAlgorithm.V4,
                signature_type=AwsSignatureType.HTTP_REQUEST_HEADERS,
                credentials_provider=provider,
                region=self._endpoint.region,
                service="dynamodb",
                # Given the hash, the C signer needs no Python stream to read the body through.
                signed_body_value=hashlib.sha256(body).hexdigest(),
            ),
        ).result()
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
        head = (
            f"POST / HTTP/1.1\r\n{lines}Content-Type: application/x-amz-json-1.0\r\nAccept-Encoding: identity\r\n"
            f"User-Agent: kumo_serving\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode("latin-1") + body


def read_body(response: Response) -> dict[str, Any] | Problem:
    """A 200's JSON object, or what is wrong with the response."""
    status, body, crc32, _ = response
    if crc32 is not None and crc32 != str(zlib.crc32(body)):
        return Problem("unavailable", "the response was damaged on the way (x-amz-crc32)")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        return Problem("unavailable", f"DynamoDB answered {status} with something other than a JSON object")
    return document if status == 200 else _problem(status, document)


def _problem(status: int, document: dict[str, Any]) -> Problem:
    kind = str(document.get("__type", "")).rpartition("#")[2]
    message = str(document.get("message") or document.get("Message") or "")[:300]
    text = f"DynamoDB answered {status} {kind}: {message}".rstrip(": ")
    if kind == "ResourceNotFoundException":
        return Problem("gone", text)
    if kind in _THROTTLES or status == 429:
        return Problem("throttled", text)
    if status >= 500 or kind in _EXPIRED:
        return Problem("unavailable", text)
    return Problem("refused", text)


def read_get(document: dict[str, Any]) -> str | Problem | None:
    """GetItem's `p`, or None when there is no item."""
    item = document.get("Item")
    if item is None:
        return None
    try:
        text = item[PREDICTION_ATTRIBUTE]["S"]
    except (KeyError, TypeError):
        return Problem("refused", f"the item has no string attribute {PREDICTION_ATTRIBUTE!r}")
    return text if type(text) is str else Problem("refused", "the item's p is no string")


def read_batch(document: dict[str, Any], table: str, key: KeyAttribute) -> tuple[dict[str, str], list[str]] | Problem:
    """BatchGetItem's `p` by key, and the keys it left unprocessed (which are not misses)."""
    name, kind, found = key.name, key.type, {}
    try:
        for item in document.get("Responses", {}).get(table, ()):
            attribute = item.get(PREDICTION_ATTRIBUTE)
            # An item without `p` is not a miss: it becomes malformed when decoded.
            found[item[name][kind]] = attribute["S"] if attribute is not None else ""
        unprocessed = document.get("UnprocessedKeys", {}).get(table, {}).get("Keys", ())
        return found, [entry[name][kind] for entry in unprocessed]
    except (KeyError, TypeError, AttributeError) as error:
        return Problem("refused", f"DynamoDB's answer is not of the table the pointer describes ({error!r:.100})")
