"""The demo's look at what is served: the active pointer and every entity's list, through the reader a service uses."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import botocore.session
from kumo_serving import Answer, Reader, S3Pointer
from kumo_serving.errors import PointerMissing
from kumo_serving.pointer import Pointer, parse_pointer

CHUNK = 1000
BUDGET_SECONDS = 30.0


def pointer_store(env: Mapping[str, str], query: str) -> S3Pointer:
    """The S3 pointer of a query, with the sandbox's credentials and not this machine's."""
    return S3Pointer(
        f"s3://{env['KUMO_ASSETS_BUCKET']}/{env['KUMO_ASSETS_ENV']}/{query}/active.json",
        region=env["AWS_REGION"],
        endpoint_url=env["AWS_ENDPOINT_URL"],
        session=_session(env),
    )


def active_pointer(env: Mapping[str, str], query: str) -> Pointer | None:
    """The pointer now; None before there ever was one."""
    store = pointer_store(env, query)
    try:
        found = store.read()
    except PointerMissing:
        return None
    finally:
        store.close()
    return parse_pointer(found.data, query) if found is not None else None


def active_day(env: Mapping[str, str], query: str) -> date | None:
    """The partition of the active release."""
    pointer = active_pointer(env, query)
    return date.fromisoformat(pointer.partition) if pointer is not None and pointer.partition else None


def served_lists(
    env: Mapping[str, str], query: str, release: str, entities: Sequence[str], cache: Path
) -> dict[str, list[str]]:
    """What a service would answer for each entity, from this release; entities it has no list for are left out.

    Raises ReadError when an entity got no answer at all: a figure over the rest would flatter.
    """
    lists: dict[str, list[str]] = {}
    with Reader(
        query,
        pointer=pointer_store(env, query),
        region=env["AWS_REGION"],
        endpoint_url=env["AWS_ENDPOINT_URL"],
        session=_session(env),
        cache_dir=cache,
    ) as reader:
        _follow(reader, release)
        for start in range(0, len(entities), CHUNK):
            found = reader.get_many(entities[start : start + CHUNK], budget_seconds=BUDGET_SECONDS)
            for entity, outcome in found.items():
                if isinstance(outcome, Exception):
                    raise outcome
                if isinstance(outcome, Answer) and isinstance(outcome.predictions, tuple):
                    lists[str(entity)] = [name for name, _ in outcome.predictions]
    return lists


def _follow(reader: Reader, release: str) -> None:
    """Wait until the reader has seen the release; it refreshes each second."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if reader.pointer is not None and reader.pointer.release_id == release:
            return
        reader.refresh(1.0)
        time.sleep(0.05)


def _session(env: Mapping[str, str]) -> botocore.session.Session:
    session = botocore.session.Session()
    session.set_credentials(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"])
    session.set_config_variable("region", env["AWS_REGION"])
    return session
