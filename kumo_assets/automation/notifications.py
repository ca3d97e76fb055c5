"""What a person should know in time: a release that is stale or waits too long, a pointer that was edited by hand, deleted
or damaged, a query that cannot be looked at. Each is sent once while it lasts.

Pure but for the reading handed in. When to look is the promotion sensor's, sending in `sending`; moves as events of
Dagster are in `pointer_events`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from kumo_serving.errors import KumoAssetsError, PointerMalformed

from kumo_assets.config.load import QueryDefinition
from kumo_assets.documents import hours_since
from kumo_assets.pointers.store import VersionedPointer
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.decision import Decision
from kumo_assets.releases.evidence import put_back
from kumo_assets.releases.inspection import inspected
from kumo_assets.releases.operations.plain_text import copy_edited
from kumo_assets.releases.operations.reconcile import faults_seen

# Objects that one look reads for a query to find damaged ones, those written last first; the next looks read the rest. A
# code server that starts must not read everything that a hundred queries have.
MOST_READ_AT_ONCE = 10
MOST_NAMED = 5


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
    order = ctx.store.order_of(release) if release is not None else None
    waits = hours_since(order[1], now) if order is not None else None
    if release is not None and waits is not None and waits > definition.spec.waiting_after_hours:
        title = f"{release} has waited {waits:.0f} h to go live; {_served(found)} is served"
        seen.append(Alarm(f"waiting {release}", "waiting", title, (decision.reason, look)))
    edited_copy = copy_edited(ctx, found) if found is not None else None
    if edited_copy is not None:
        seen.append(Alarm(f"copy_edit {edited_copy}", "copy_edit", edited_copy, (look,)))
    return [*seen, *_of_ledger(ctx, query, found)]


def _of_ledger(ctx: ReleaseContext, query: str, found: VersionedPointer | None) -> list[Alarm]:
    """A hole in the history, or a fork. An error while reading it is reported by whatever else reads it."""
    try:
        wrong = faults_seen(ctx, found)
    except KumoAssetsError:
        return []
    return [Alarm(f"ledger {what}", "ledger", what, (f"kumo-assets history {query}",)) for what in wrong]


def awaiting_approval(query: str, found: VersionedPointer | None, release: str | None) -> list[Alarm]:
    """The message for a release that only a person promotes: the staged one; before the first promotion, when nothing can
    be staged, the one that may go live (`release`)."""
    staged = found.pointer.staged if found is not None else None
    waits = staged.release_id if staged is not None else release if found is None else None
    if waits is None:
        return []
    look = f"kumo-assets gates {query} --partition {staged.partition}" if staged is not None else ""
    lines = [f"kumo-assets promote {query} {waits} puts it live", look or f"kumo-assets status {query}"]
    if staged is not None:
        lines.append(f"kumo-assets diff {query}")
    if found is not None and found.pointer.hold is not None:
        lines.insert(0, f"promotion is on hold; first kumo-assets unhold {query}")
    return [Alarm(f"approval {waits}", "approval", f"{waits} waits for a person's approval", (*lines,))]


def cannot_stage(query: str, error: KumoAssetsError) -> Alarm:
    """The message for a release that could not be staged; it is tried again at each tick."""
    title = f"the newest release of {query} could not be staged: {error.found}"
    return Alarm("cannot_stage", "approval", title, (error.next, f"kumo-assets status {query}"))


def unrecorded(query: str, error: KumoAssetsError) -> Alarm:
    """The message for a ledger that does not take, or give, what happened to the pointer."""
    following = f"{error.next}; with 32 moves that are not recorded nothing more is promoted"
    title = f"the ledger of {query} does not work: {error.found}"
    return Alarm("ledger out", "ledger", title, (following, f"kumo-assets status {query}"))


def strange_objects(ctx: ReleaseContext, now: datetime, current: VersionedPointer | None = None) -> list[Alarm]:
    """One alarm for the stray and damaged objects of a query. The same objects are sent once; a new one is sent anew.
    `current` is the pointer when it was read already."""
    try:
        found = inspected(ctx, now, MOST_READ_AT_ONCE, current)
    except KumoAssetsError:
        return []  # whatever it is that does not answer, a promotion needs less than all of it
    if not found:
        return []
    key = hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()[:8]
    title = f"{len(found)} stray or damaged objects, which are read past"
    return [Alarm(f"objects {key}", "objects", title, (*found[:MOST_NAMED], f"kumo-assets status {ctx.query}"))]


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
