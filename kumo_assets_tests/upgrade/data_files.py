"""How what the old commit left is kept in `data/`: stored objects as YAML a person can read, and read back byte for byte.

Used by `make_data.py`, which runs under the old commit, and by the tests. So nothing of this project is imported here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Stored:
    """One object of S3 or one znode: its key or path, when its store said it was written (ISO 8601), and its bytes."""

    key: str
    modified: str
    body: bytes


class _Dumper(yaml.SafeDumper):
    """Text of several lines is written as a block, so that a document looks as it does in the bucket."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else "'" if value.startswith(("{", "[")) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def write_objects(path: Path, objects: Iterable[Stored]) -> None:
    """Write objects in the order given. Raises ValueError when one would not be read back byte for byte."""
    kept = list(objects)
    document = [{"key": one.key, "modified": one.modified, "body": _readable(one.body)} for one in kept]
    path.write_text(yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**20))
    if read_objects(path) != kept:
        raise ValueError(f"{path} does not read back as what was written")


def read_objects(path: Path) -> list[Stored]:
    """The objects of a file, in its order."""
    documents: list[dict[str, Any]] = yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return [
        Stored(one["key"], one["modified"], one["body"] if isinstance(one["body"], bytes) else one["body"].encode())
        for one in documents
    ]


def _readable(body: bytes) -> str | bytes:
    """Text where it is text; a compressed export stays bytes (base64 in YAML)."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body
