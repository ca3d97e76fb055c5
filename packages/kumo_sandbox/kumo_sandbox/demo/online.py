"""The demo's look at what is served: the active pointer, through the store that a service reads."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date

from kumo_serving import S3Pointer
from kumo_serving.errors import PointerMissing
from kumo_serving.pointer import Pointer, parse_pointer


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
