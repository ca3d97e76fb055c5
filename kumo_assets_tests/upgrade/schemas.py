"""Which JSON Schema of docs/contract each stored object conforms to, by its key."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
from referencing import Registry, Resource

from kumo_assets_tests.upgrade.data_files import Stored

CONTRACT = Path(__file__).parents[2] / "docs" / "contract"
# The end of a key, or a folder in it -> the schema. What is in none of them has no schema.
BY_NAME = {
    "/opened.json": "opened",
    "/release.json": "release",
    "/fallback.json": "fallback",
    "/active.json": "pointer-written",
    "/active": "pointer-written",
}
BY_FOLDER = {"artefacts": "artefact", "verdicts": "verdict", "ledger": "ledger-entry"}


def schema_of(key: str) -> str | None:
    """The name of the schema of an object's or a znode's key."""
    by_name = next((schema for name, schema in BY_NAME.items() if key.endswith(name)), None)
    return by_name or BY_FOLDER.get(key.split("/")[-2])


def faults(stored: Iterable[Stored], *, edited: str = "") -> dict[str, list[str]]:
    """Keys of what does not conform, each with the reasons. `edited` is the key of a pointer that a person wrote."""
    found: dict[str, list[str]] = {}
    for one in stored:
        name = "pointer" if one.key == edited else schema_of(one.key)
        if name is not None:
            wrong = [error.message for error in _validator(name).iter_errors(json.loads(one.body))]
            if wrong:
                found[one.key] = wrong
    return found


def item_faults(p: str) -> list[str]:
    """What is wrong with attribute `p` of a ranking query's item."""
    return [error.message for error in _validator("item-ranking").iter_errors(json.loads(p))]


@cache
def _validator(name: str) -> Any:
    documents = {path.name: json.loads(path.read_text()) for path in CONTRACT.glob("*.schema.json")}
    registry: Registry[Any] = Registry().with_resources(
        [(name, Resource.from_contents(document)) for name, document in documents.items()]
    )
    return jsonschema.Draft202012Validator(documents[f"{name}.schema.json"], registry=registry)
