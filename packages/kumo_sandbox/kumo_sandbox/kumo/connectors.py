"""Which connector a request means: by its name, or in the 3.0 dialect by its id and among its project's.

How one is shown is in `wire.py` and `routes_v3.py`.
"""

from __future__ import annotations

import hashlib
from typing import Any

from kumo_sandbox.kumo.http import Answer, Call
from kumo_sandbox.kumo.store import Document

DEFAULT = "default"


def id_of(kind: str, name: str) -> str:
    """The id that 3.0 gives to what earlier versions knew by its name."""
    return f"{kind}_{hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()}"


def is_in_project(call: Call, document: Document) -> bool:
    """Whether the request may see it: everything is, outside the 3.0 dialect."""
    return call.project in (None, document.get("project_id") or DEFAULT)


def reference(call: Call, key: str) -> str:
    """What a definition calls the connector that is kept under this key."""
    return key if call.project is None else id_of("connector", key)


def snowflake_connector(call: Call, name_or_id: str | None) -> Document:
    """The kept connector that the request calls so; `Answer` 404 without one, 400 for another kind than Snowflake's."""
    found = [
        item
        for item in call.kumo.store.all("connector")
        if is_in_project(call, item) and reference(call, item["id"]) == name_or_id
    ]
    if not found:
        raise Answer(404, f"Connector {name_or_id} not found")
    kind: Any = found[0]["config"]["type"]
    if kind != "snowflake":
        raise Answer(400, f"Connector {name_or_id} is of type {kind}; the sandbox reads Snowflake only")
    return found[0]
