"""When each release was live, by the ledger: its hours, and which release was live before it. Pure, on ledger entries.

An entry's own time is taken: it is when the pointer was written, and the hours are for a person. Which entries there are
is read in `due`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from kumo_assets.documents import LedgerEntry
from kumo_assets.releases.ledger import is_move


@dataclass(frozen=True)
class Stay:
    """One time that a release was live. `release` is "" for a table of no release; `end` is None while it is live."""

    release: str
    start: datetime
    end: datetime | None


def stays(entries: Iterable[LedgerEntry], since: datetime, active: str = "") -> list[Stay]:
    """Who was live when, oldest first, by the entries from `since` on. A hand's edit counts: what it named was served.

    Who was live before the first entry is known by that entry; with no entry at all it is the release `active` now.
    """
    found: list[Stay] = []
    for entry in sorted(entries, key=lambda entry: datetime.fromisoformat(entry.at)):
        by_hand = entry.action == "hand_edit" and entry.accepts is None
        if not (is_move(entry) or by_hand) or (not entry.to_release and not by_hand):
            continue
        at = datetime.fromisoformat(entry.at)
        if not found and entry.from_release and entry.from_release != entry.to_release:
            found.append(Stay(entry.from_release, min(since, at), None))
        if found and found[-1].release == entry.to_release:
            continue
        if found:
            found[-1] = Stay(found[-1].release, found[-1].start, at)
        found.append(Stay(entry.to_release, at, None))
    return found or ([Stay(active, since, None)] if active else [])


def hours_live(found: Iterable[Stay], release: str, now: datetime) -> float:
    """Hours that a release was live in all; up to `now` for the one that is."""
    spans = (((stay.end or now) - stay.start).total_seconds() for stay in found if stay.release == release)
    return round(sum(max(span, 0.0) for span in spans) / 3600, 3)


def was_live(found: Iterable[Stay], release: str) -> bool:
    return any(stay.release == release for stay in found)


def live_before(found: list[Stay], release: str) -> str:
    """The release that was live when this one first went live; "" when there was none."""
    for at, stay in enumerate(found):
        if stay.release == release:
            return found[at - 1].release if at else ""
    return ""
