"""Every pointer of an environment, as a reader of it would see it: which tables it names, whoever's they are.

A person can have written another query's table into a pointer. So whoever deletes a table asks here first. A document that
cannot be parsed names every table whose name is in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from kumo_assets.config.names import QUERY_PATTERN, QueryNames
from kumo_assets.resources.s3_objects import ObjectStore

_NAME = re.compile(r"[A-Za-z0-9_.-]{3,255}")


def tables_named(names: QueryNames, objects: ObjectStore, zookeeper: str, but: str) -> dict[str, str]:
    """Table -> the address of a pointer or a plain-text copy that names it, for every query of the environment with
    anything in the bucket, or in ZooKeeper where `zookeeper` (host:port,...) is given. `but` is the address of the pointer
    that the caller reads itself. ReleaseError when one of the two does not answer: then nobody can say what is named."""
    found: dict[str, str] = {}
    for address, data in _documents(names, objects, zookeeper):
        for table in _tables_in(data) if address != but else ():
            found.setdefault(table, address)
    return found


def _documents(names: QueryNames, objects: ObjectStore, zookeeper: str) -> Iterator[tuple[str, bytes]]:
    queries = [name for name in objects.folders(f"{names.environment}/") if re.fullmatch(QUERY_PATTERN, name)]
    others = [QueryNames(names.environment, query, names.bucket) for query in queries]
    keys = [key for other in others for key in (other.pointer_key, other.pointer_text_key)]
    with ThreadPoolExecutor(max_workers=16) as pool:
        for key, stored in zip(keys, pool.map(objects.get, keys), strict=True):
            if stored is not None:
                yield objects.uri(key), stored.data
    if zookeeper:
        from kumo_assets.pointers.zookeeper import ZooKeeperPointerStore

        with closing(ZooKeeperPointerStore(names, zookeeper, "")) as store:
            yield from store.environment().items()


def _tables_in(data: bytes) -> set[str]:
    text = data.decode("utf-8", "replace")
    try:
        document = json.loads(data.decode("utf-8-sig"))
        served = [document.get("table"), *(item.get("table") for item in document.get("previous") or [])]
        staged = document.get("staged")
        served.append(staged.get("table") if isinstance(staged, dict) else None)
        return {table for table in served if isinstance(table, str)}
    except (ValueError, RecursionError, AttributeError, TypeError):
        return set(_NAME.findall(text))
