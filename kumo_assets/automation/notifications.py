"""What a person should know in time: a release that is stale or waits too long, a pointer that was edited by hand, deleted
or damaged, a query that cannot be looked at. Each is sent once while it lasts.

Pure but for the reading handed in. When to look is the promotion sensor's, sending in `sending`; moves as events of
Dagster are in `pointer_events`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from kumo_serving.errors import PointerMalformed

from kumo_assets.config.load import QueryDefinition
from kumo_assets.documents import hours_since
from kumo_assets.pointers.store import VersionedPointer
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.decision import Decision
from kumo_assets.releases.evidence import put_back


@dataclass(frozen=True)
class Alarm:
    """A message to send once: `key` says what it is about, and no second one is sent while it lasts."""

    key: str
    kind: str
    title: str
    lines: tuple[str, ...] = ()


def alarms_of_pointer(
    definition: QueryDefinition, found: VersionedPointer | None, now: datetime, reason: str = ""
) -> list[Alarm]:
    """The alarms that the pointer alone shows: it was edited by hand; its release is older than the query allows.
    `reason` is why nothing newer is active, "" while that is not known."""
    if found is None:
        return []
    query, limit = definition.name, definition.spec.stale_after_hours
    pointer = found.pointer
    seen = []
    if found.hand_edited:
        title = f"the pointer was edited by hand to {pointer.table}; that counts as a hold"
        seen.append(
            Alarm(f"hand_edit {found.mark}", "hand_edit", title, (f"kumo-assets unhold {query}, once it is over",))
        )
    age = hours_since(pointer.promoted.at, now)
    if age is not None and age > limit:
        title = f"{_served(found)} is stale: promoted {age:.0f} h ago, and the limit is {limit:g} h"
        if not reason and pointer.hold is not None:
            reason = f"promotion is on hold: {pointer.hold.reason} ({pointer.hold.by}, {pointer.hold.at})"
        lines = (*([reason] if reason else []), f"kumo-assets status {query}")
        seen.append(Alarm(f"stale {pointer.generation}", "stale", title, lines))
    return seen


def alarms_of_releases(
    ctx: ReleaseContext,
    definition: QueryDefinition,
    found: VersionedPointer | None,
    release: str | None,
    decision: Decision,
    now: datetime,
) -> list[Alarm]:
    """The alarms that ledger and releases show: the pointer was deleted; a sealed release has waited longer than the query
    allows. Raises ReleaseError."""
    query, look = definition.name, f"kumo-assets status {definition.name}"
    seen = []
    if found is None and (gone := put_back(ctx, None)):
        following = f"services go on with what they last read; kumo-assets rollback {query} --reason TEXT puts one back"
        seen.append(Alarm(f"deleted {gone}", "deleted", gone, (following, look)))
    sealed = ctx.store.sealed(release) if release is not None else None
    waits = hours_since(sealed.sealed_at, now) if sealed is not None else None
    if release is not None and waits is not None and waits > definition.spec.waiting_after_hours:
        title = f"{release} has waited {waits:.0f} h to go live; {_served(found)} is served"
        seen.append(Alarm(f"waiting {release}", "waiting", title, (decision.reason, look)))
    return seen


def cannot_look(query: str, fault: str) -> Alarm:
    """The message for a query that could not be looked at to the end: nothing of it is promoted, and what else is wrong
    with it may not be known."""
    title = "it cannot be looked at, and nothing is promoted meanwhile; what is active is served on"
    return Alarm("cannot_look", "cannot_look", title, (fault, f"kumo-assets status {query}"))


def _served(found: VersionedPointer | None) -> str:
    return (found.pointer.served_release_id or found.pointer.table) if found is not None else "nothing"


def damaged(query: str, error: PointerMalformed) -> Alarm:
    """The message for a pointer that cannot be read: services go on with what they last read, and nothing is promoted."""
    following = f"kumo-assets rollback {query} --reason TEXT puts a whole one back"
    return Alarm(f"damaged {error.found}", "damaged", f"the pointer is damaged: {error.found}", (following, str(error)))
