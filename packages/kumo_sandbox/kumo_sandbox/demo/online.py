"""The demo's look at what is served: the active pointer and every entity's list, through the reader a service uses."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from kumo_serving import Answer, Reader, S3Pointer
from kumo_serving.errors import PointerMissing
from kumo_serving.pointer import Pointer, parse_pointer

CHUNK = 1000
BUDGET_SECONDS = 30.0


def pointer_address(env: Mapping[str, str], query: str) -> str:
    """Where a query's S3 pointer is."""
    return f"s3://{env['KUMO_ASSETS_BUCKET']}/{env['KUMO_ASSETS_ENV']}/{query}/active.json"


def active_pointer(env: Mapping[str, str], query: str) -> Pointer | None:
    """The pointer now; None before there ever was one."""
    store = S3Pointer(pointer_address(env, query))
    with _sandbox_account(env):
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
    with _sandbox_account(env), Reader(query, pointer=pointer_address(env, query), cache_dir=cache) as reader:
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


@contextmanager
def _sandbox_account(env: Mapping[str, str]) -> Iterator[None]:
    """This process's AWS variables are the sandbox's for as long as the body runs: no profile of this machine is used."""
    ours = {name: value for name, value in env.items() if name.startswith("AWS_") or name == "NO_PROXY"}
    before = {name: value for name, value in os.environ.items() if name.startswith("AWS_") or name == "NO_PROXY"}
    for name in before:
        del os.environ[name]
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)
        os.environ.update(before)
