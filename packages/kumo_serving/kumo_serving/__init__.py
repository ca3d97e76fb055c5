"""Read online what kumo_assets put there: the active pointer, then the DynamoDB table it names.

Names are imported when first used: `kumo_serving.pointer` alone needs no botocore.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kumo_serving.aio import AsyncReader
    from kumo_serving.answers import Answer, FallbackAnswer, Health, Miss, Result
    from kumo_serving.items import Scored
    from kumo_serving.pointer_stores import S3Pointer, ZooKeeperPointer, open_pointer
    from kumo_serving.reader import Reader
    from kumo_serving.table import TableReader, read_item

_HOME = {
    "Answer": "answers",
    "AsyncReader": "aio",
    "FallbackAnswer": "answers",
    "Health": "answers",
    "Miss": "answers",
    "Reader": "reader",
    "Result": "answers",
    "S3Pointer": "pointer_stores",
    "Scored": "items",
    "TableReader": "table",
    "ZooKeeperPointer": "pointer_stores",
    "open_pointer": "pointer_stores",
    "read_item": "table",
}

__all__ = [
    "Answer",
    "AsyncReader",
    "FallbackAnswer",
    "Health",
    "Miss",
    "Reader",
    "Result",
    "S3Pointer",
    "Scored",
    "TableReader",
    "ZooKeeperPointer",
    "open_pointer",
    "read_item",
]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
