"""DynamoDB's wire for two operations on one table: the signed request's bytes, and what a response means.

Pure but for the clock in the signature. GetItem and BatchGetItem only; which table is asked, how often and for how long
is `core`'s.
"""

from __future__ import annotations

import functools
import json
import re
import zlib
from collections.abc import Sequence
from json.encoder import encode_basestring_ascii as quoted
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import msgspec

from kumo_serving.aws import Account, Credentials, Endpoint
from kumo_serving.errors import Unavailable
from kumo_serving.http1 import Response
from kumo_serving.items import PREDICTION_ATTRIBUTE
from kumo_serving.pointer import KeyAttribute

if TYPE_CHECKING:
    from kumo_serving.signing import Signer

T = TypeVar("T")

# BatchGetItem's limit. https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
BATCH = 100
# A partition key's limits: bytes as UTF-8, and a number's digits.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
MAX_KEY = 2048
_NUMBER = re.compile(r"-?[0-9]{1,38}")
# No whole number of more bits is a key of MAX_KEY digits. Beyond 4,300 digits Python refuses to write one as text.
_MAX_BITS = 4 * MAX_KEY

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
# Temporary credentials that ran out: the background thread may have newer ones by the next attempt.
_EXPIRED = frozenset(("ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException", "InvalidClientTokenId"))


def canonical(entity: str | int, key: KeyAttribute) -> str | None:
    """The entity as the table's key would have it; None when no such key can exist (so the lookup is a miss).

    Raises TypeError for anything but str and int: a float or None is a mistake in the caller.
    """
    if not isinstance(entity, str):
        if not isinstance(entity, int) or isinstance(entity, bool):
            raise TypeError(f"an entity is a str or an int, not {type(entity).__name__}")
        if int(entity).bit_length() > _MAX_BITS:
            return None
        entity = str(int(entity))
    if key.type == "N":
        # Not whatever int() takes: "1_000" or "١" would be somebody else's key.
        return str(int(entity)) if _NUMBER.fullmatch(entity) else None
    if entity.isascii():
        size = len(entity)
    else:
        try:
            size = len(entity.encode())
        except UnicodeEncodeError:  # half a surrogate pair is in no table
            return None
    return entity if 0 < size <= MAX_KEY else None


def shown(entity: str | int) -> str:
    """The entity as text, also a number that is too long for Python's `str` (then in hexadecimal)."""
    if isinstance(entity, int) and int(entity).bit_length() > _MAX_BITS:
        return hex(entity)
    return str(entity)


def plain_keys(entities: Sequence[str | int], key: KeyAttribute, value: T) -> dict[str, T] | None:
    """The distinct entities, each with this value, when all are their own keys as they stand (the usual case, without a
    call for each)."""
    if key.type != "S":
        return None
    try:
        distinct: dict[str, T] = dict.fromkeys(entities, value)  # type: ignore[arg-type]
        text = "".join(distinct)
    except TypeError:  # not only str
        return None
    if "" in distinct or not text.isascii():
        return None
    # A key as long as the limit can only be among them when they are that long together.
    return distinct if len(text) <= MAX_KEY or max(map(len, distinct)) <= MAX_KEY else None


class Problem(NamedTuple):
    """Why a response is no answer. `kind` decides what `core` does next; `text` is for a person."""

    kind: Literal["gone", "throttled", "timeout", "stale", "unavailable", "refused", "closed"]
    text: str


class _Text(msgspec.Struct, frozen=True, gc=False):
    """A string attribute; empty for one of another type or none at all: that is no miss, but malformed when decoded."""

    S: str = ""


@functools.cache
def _decoders(key: KeyAttribute) -> tuple[msgspec.json.Decoder[Any], msgspec.json.Decoder[Any]]:
    """Typed decoders of GetItem's and BatchGetItem's answers: only the two attributes that matter become objects."""
    p: tuple[str, Any, Any] = ("p", _Text, msgspec.field(default=_Text(), name=PREDICTION_ATTRIBUTE))
    item = msgspec.defstruct("Item", [p], gc=False)
    got = msgspec.defstruct("Got", [("Item", item | msgspec.UnsetType, msgspec.UNSET)], gc=False)
    value = msgspec.defstruct("Value", [("text", str, msgspec.field(name=key.type))], gc=False)
    row = msgspec.defstruct("Row", [("key", value, msgspec.field(name=key.name)), p], gc=False)
    batch = msgspec.defstruct(
        "Batch",
        [
            ("Responses", dict[str, list[row]], msgspec.field(default_factory=dict)),  # type: ignore[valid-type]
            ("UnprocessedKeys", dict[str, _Keys], msgspec.field(default_factory=dict)),
        ],
    )
    return msgspec.json.Decoder(got), msgspec.json.Decoder(batch)


class _Keys(msgspec.Struct):
    Keys: list[dict[str, dict[str, str]]]


class TableWire:
    """Requests to one table, and the reading of their responses. Made in the background, before the lookups that use it."""

    __slots__ = (
        "_account",
        "_batch",
        "_endpoint",
        "_get",
        "_key",
        "_new_signer",
        "_read_batch",
        "_read_get",
        "_signer",
        "_table",
    )

    def __init__(self, account: Account, endpoint: Endpoint, table: str, key: KeyAttribute) -> None:
        # Here and not above: awscrt is half the cost of importing the reader, and a service that only imports it, or
        # reads no more than the pointer, need not pay. Nor later: its first lookup would.
        from kumo_serving.signing import Signer

        self._new_signer = Signer
        name = quoted(key.name)
        self._account = account
        self._endpoint = endpoint
        self._table = table
        self._key = key
        self._signer: tuple[Credentials, Signer] | None = None
        self._get = (f'{{"TableName":{quoted(table)},"Key":{{{name}:{{"{key.type}":', "}}}")
        self._batch = (
            f'{{"RequestItems":{{{quoted(table)}:{{"Keys":[{{{name}:{{"{key.type}":',
            f'}}}},{{{name}:{{"{key.type}":',
            "}}]}}}",
        )
        got, batch = _decoders(key)
        self._read_get, self._read_batch = got.decode, batch.decode

    def get(self, key: str) -> bytes:
        """One GetItem. Raises Unavailable when there are no credentials."""
        begin, end = self._get
        return self._current().request("DynamoDB_20120810.GetItem", (begin + quoted(key) + end).encode())

    def batch(self, keys: Sequence[str]) -> bytes:
        """One BatchGetItem of at most 100 different keys."""
        begin, between, end = self._batch
        text = "".join(keys)
        if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
            # Nothing to escape, as a rule: looked at once, not a hundred times.
            wanted = '"' + f'"{between}"'.join(keys) + '"'
        else:
            wanted = between.join(map(quoted, keys))
        body = begin + wanted + end
        return self._current().request("DynamoDB_20120810.BatchGetItem", body.encode())

    def _current(self) -> Signer:
        credentials = self._account.credentials
        signer = self._signer
        if signer is not None and signer[0] is credentials:
            return signer[1]
        if credentials is None:
            raise Unavailable("sign a lookup", found="there are no AWS credentials", next="see the log for why")
        made = self._new_signer(*credentials, self._endpoint.region, self._endpoint.host_header)
        self._signer = (credentials, made)
        return made

    def read_get(self, response: Response) -> str | Problem | None:
        """GetItem's `p`, None when there is no item, or what is wrong."""
        wrong = _wrong(response)
        if wrong is not None:
            return wrong
        try:
            item = self._read_get(response.body).Item
        except (msgspec.DecodeError, RecursionError) as error:
            return _not_understood(error)
        if item is not msgspec.UNSET:
            text: str = item.p.S
            return text
        return _NOT_DYNAMODB if response.crc32 is None else None

    def read_batch(self, response: Response) -> tuple[list[str], list[str], list[str]] | Problem:
        """BatchGetItem's keys, their `p`, and the keys it left unprocessed (which are not misses)."""
        wrong = _wrong(response)
        if wrong is not None:
            return wrong
        try:
            document = self._read_batch(response.body)
            rows = document.Responses.get(self._table)
            left = document.UnprocessedKeys.get(self._table)
            if rows is None:
                if left is None:
                    return _SILENT
                rows = []
            unprocessed = [key[self._key.name][self._key.type] for key in left.Keys] if left is not None else []
        except (msgspec.DecodeError, RecursionError, KeyError) as error:
            return _not_understood(error)
        return [row.key.text for row in rows], [row.p.S for row in rows], unprocessed


# DynamoDB sends its checksum with every response; what answers `{}` without one is a proxy, a gateway or a health page.
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_GetItem.html
_NOT_DYNAMODB = Problem(
    "unavailable", "a 200 without an item and without DynamoDB's checksum (x-amz-crc32) is not DynamoDB's answer"
)
# DynamoDB names each table that was asked, if only with an empty list.
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
_SILENT = Problem("unavailable", "a 200 that says nothing of the table is not DynamoDB's answer to a batch")


def _not_understood(error: Exception) -> Problem:
    return Problem("unavailable", f"DynamoDB's answer was not understood ({type(error).__name__}: {error!s:.100})")


def _wrong(response: Response) -> Problem | None:
    """What is wrong with a response, None when it is a whole 200."""
    status, body, crc32, _ = response
    if crc32 is not None and crc32 != str(zlib.crc32(body)):
        return Problem("unavailable", "the response was damaged on the way (x-amz-crc32)")
    return None if status == 200 else _refusal(status, body)


def _refusal(status: int, body: bytes) -> Problem:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        return Problem("unavailable", f"DynamoDB answered {status} with something other than a JSON object")
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
