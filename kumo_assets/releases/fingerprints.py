"""What an artefact was made from, and whether that is what the definition says now. Pure but for reading a release's
artefacts.

`made_from` is a small mapping: the parts of the YAML that matter to the artefact, its SQL, and its input's fingerprint.
Its digest is the artefact's own fingerprint. Which parts matter to which asset is in `kumo_assets.assets.made_from`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pydantic import JsonValue

from kumo_assets.config.names import CHAIN
from kumo_assets.documents import Artefact, Opened
from kumo_assets.releases.store import ReleaseStore

MadeFrom: TypeAlias = Mapping[str, JsonValue]
# What an asset would be made from now, given the artefact it is built on (None for the first of the chain).
Now: TypeAlias = Callable[[str, Artefact | None], MadeFrom]
# A part of which more than is wanted does as well: the best of many candidates are the best of few.
AT_LEAST = ("candidates",)


def fingerprint_of(made_from: MadeFrom) -> str:
    """32 hex digits that are the same for equal parts, in whatever order they are."""
    text = json.dumps(made_from, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def of_file(name: str, text: str) -> JsonValue:
    """A file's text as a part: its name, and a digest in place of the text."""
    return {"file": name, "sha256": hashlib.sha256(text.encode()).hexdigest()[:32]}


def differences(recorded: MadeFrom | None, now: MadeFrom) -> list[str]:
    """A phrase for each part that differs, such as `top_k was 5 and is 3`; empty when all agree.

    What an earlier version did not record counts as agreeing: the whole of it, or a part that only one of the two has.
    """
    if recorded is None:
        return []
    return [
        _phrase(name, recorded[name], now[name])
        for name in sorted(recorded.keys() & now.keys())
        if not _agree(name, recorded[name], now[name])
    ]


def _agree(name: str, recorded: JsonValue, now: JsonValue) -> bool:
    if name in AT_LEAST and isinstance(recorded, int) and isinstance(now, int):
        return recorded >= now
    return recorded == now


def _phrase(name: str, recorded: JsonValue, now: JsonValue) -> str:
    if name in CHAIN:
        return f"it was built on another {name}"
    if isinstance(recorded, dict) and isinstance(now, dict):
        files = (recorded.get("file"), now.get("file"))
        return f"{files[1]} has changed" if files[0] == files[1] else f"{files[1]} takes the place of {files[0]}"
    return f"{name} was {_shown(recorded)} and is {_shown(now)}"


def _shown(value: JsonValue) -> str:
    return "unset" if value is None else json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True)
class Difference:
    """The first artefact of a release, along the chain, that was made from something else than the definition says now.
    `release_id` is the release that made it."""

    asset: str
    release_id: str
    what: str

    @property
    def above(self) -> tuple[str, ...]:
        """The assets before it, which agree."""
        return CHAIN[: CHAIN.index(self.asset)]


def first_difference(store: ReleaseStore, opened: Opened, now: Now, assets: Sequence[str] = CHAIN) -> Difference | None:
    """The first of `assets` whose artefact disagrees with the definition; None when all that exist agree."""
    built_on: Artefact | None = None
    for asset in assets:
        home = store.home(opened, asset)
        artefact = store.artefact(home, asset)
        if artefact is None:
            return None
        found = differences(artefact.made_from, now(asset, built_on))
        if found:
            return Difference(asset, home, "; ".join(found))
        built_on = artefact
    return None


def without_fingerprint(store: ReleaseStore, opened: Opened, assets: Sequence[str] = CHAIN) -> list[str]:
    """Those of `assets` whose artefact exists and records nothing of what it was made from."""
    artefacts = {asset: store.artefact(store.home(opened, asset), asset) for asset in assets}
    return [asset for asset, artefact in artefacts.items() if artefact is not None and artefact.fingerprint is None]
