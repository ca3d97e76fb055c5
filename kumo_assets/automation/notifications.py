"""What a person should know in time: a release that is stale or waits too long, a pointer that was edited by hand, deleted
or damaged. Each is sent once while it lasts.

Pure but for the reading handed in. When to look and what was sent already is the promotion sensor's; moves as events of
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


def alarms(
    ctx: ReleaseContext,
    definition: QueryDefinition,
    found: VersionedPointer | None,
    release: str | None,
    decision: Decision,
    now: datetime,
) -> list[Alarm]:
    """The alarms that hold now: the active release is older than the query allows; a sealed release has waited longer
    than it allows; the pointer was edited by hand, or deleted."""
    query, spec = definition.name, definition.spec
    served = "nothing"
    look = f"kumo-assets status {query}"
    found_now = []
    if found is not None:
        served = found.pointer.served_release_id or found.pointer.table
        age = hours_since(found.pointer.promoted.at, now)
        if age is not None and age > spec.stale_after_hours:
            title = f"{served} is stale: promoted {age:.0f} h ago, and the limit is {spec.stale_after_hours:g} h"
            found_now.append(Alarm(f"stale {found.pointer.generation}", "stale", title, (decision.reason, look)))
    elif gone := put_back(ctx, None):
        following = f"services go on with what they last read; kumo-assets rollback {query} --reason TEXT puts one back"
        found_now.append(Alarm(f"deleted {gone}", "deleted", gone, (following, look)))
    order = ctx.store.order_of(release) if release is not None else None
    waits = hours_since(order[1], now) if order is not None else None
    if release is not None and waits is not None and waits > spec.waiting_after_hours:
        title = f"{release} has waited {waits:.0f} h to go live; {served} is served"
        found_now.append(Alarm(f"waiting {release}", "waiting", title, (decision.reason, look)))
    edited_copy = copy_edited(ctx, found) if found is not None else None
    if edited_copy is not None:
        found_now.append(Alarm(f"copy_edit {edited_copy}", "copy_edit", edited_copy, (look,)))
    if found is not None and found.hand_edited:
        title = f"the pointer was edited by hand to {found.pointer.table}; that counts as a hold"
        found_now.append(
            Alarm(f"hand_edit {found.mark}", "hand_edit", title, (f"kumo-assets unhold {query}, once it is over",))
        )
    return [*found_now, *_of_ledger(ctx, query, found)]


def _of_ledger(ctx: ReleaseContext, query: str, found: VersionedPointer | None) -> list[Alarm]:
    """A hole in the history, or a fork. An error while reading it is told by whatever else reads it."""
    try:
        wrong = faults_seen(ctx, found)
    except KumoAssetsError:
        return []
    return [Alarm(f"ledger {what}", "ledger", what, (f"kumo-assets history {query}",)) for what in wrong]


def unrecorded(query: str, error: KumoAssetsError) -> Alarm:
    """The message for a ledger that does not take, or give, what happened to the pointer."""
    following = f"{error.next}; with 32 moves that are not recorded nothing more is promoted"
    title = f"the ledger of {query} does not work: {error.found}"
    return Alarm("ledger out", "ledger", title, (following, f"kumo-assets status {query}"))


def strange_objects(ctx: ReleaseContext, now: datetime) -> list[Alarm]:
    """One alarm for the stray and damaged objects of a query. The same objects are sent once; a new one is sent anew."""
    try:
        found = inspected(ctx, now, MOST_READ_AT_ONCE)
    except KumoAssetsError:
        return []  # whatever it is that does not answer, a promotion needs less than all of it
    if not found:
        return []
    key = hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()[:8]
    title = f"{len(found)} stray or damaged objects, which are read past"
    return [Alarm(f"objects {key}", "objects", title, (*found[:MOST_NAMED], f"kumo-assets status {ctx.query}"))]


def damaged(query: str, error: PointerMalformed) -> Alarm:
    """The message for a pointer that cannot be read: services go on with what they last read, and nothing is promoted."""
    following = f"kumo-assets rollback {query} --reason TEXT puts a whole one back"
    return Alarm(f"damaged {error.found}", "damaged", f"the pointer is damaged: {error.found}", (following, str(error)))
