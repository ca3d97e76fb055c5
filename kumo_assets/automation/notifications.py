"""What the promotion sensor tells: moves made outside Dagster, as asset events, so that the UI tells the truth; and what
a person should know in time (stale, waiting, edited by hand), through the one hook, once each.

Pure but for the reading it is handed; when to look is the sensor's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg
from kumo_serving.errors import PointerMalformed

from kumo_assets.assets.active_pointer import move_metadata
from kumo_assets.assets.keys import key_of
from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.names import POINTER_ASSET
from kumo_assets.documents import hours_since
from kumo_assets.pointers.store import VersionedPointer
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.decision import Decision
from kumo_assets.releases.evidence import put_back
from kumo_assets.releases.ledger import Recorded
from kumo_assets.releases.operations.reconcile import News, news, reconcile

# Actions after which another release is served, or a person put the same one there: a materialisation. The others change
# the document only: an observation, which does not make the pointer look fresh.
SERVED = ("promote", "force", "rollback", "hand_edit")
FINISHED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)

# The document whose news were all told, and the cursor that says so, by address; what has not moved has none. A tick that
# came to nothing leaves its caller with the cursor from before: then they are told again.
_told: dict[str, tuple[tuple[str, datetime], str]] = {}


@dataclass(frozen=True)
class Alarm:
    """A message to send once: `key` says what it is about, and no second one is sent while it lasts."""

    key: str
    kind: str
    title: str
    lines: tuple[str, ...] = ()


def news_of(ctx: ReleaseContext, found: VersionedPointer | None, cursor: str) -> News:
    """What happened to the pointer since `cursor`; writes down what the ledger did not know. Raises KumoAssetsError.

    A pointer that has not moved since the last call costs nothing.
    """
    reconcile(ctx, found)
    mark = (found.version, found.modified) if found is not None else ("", datetime.min.replace(tzinfo=UTC))
    if cursor and _told.get(ctx.pointers.uri) == (mark, cursor):
        return News([], cursor)
    fresh = news(ctx, cursor)
    _told[ctx.pointers.uri] = (mark, fresh.cursor)
    return fresh


def events_of(
    definition: QueryDefinition, entries: Sequence[Recorded], run_status: Callable[[str], dg.DagsterRunStatus | None]
) -> tuple[list[dg.AssetMaterialization | dg.AssetObservation], list[str]]:
    """Asset events for the entries that no run of this Dagster has told, and the names of those whose run is not over.

    A run that died between the move and its own event never told it: then the ledger does. `run_status` gives None for a
    run this instance does not know.
    """
    events: list[dg.AssetMaterialization | dg.AssetObservation] = []
    undecided = []
    for record in entries:
        entry = record.entry
        status = run_status(entry.run_id) if entry.run_id else None
        if status is dg.DagsterRunStatus.SUCCESS or not entry.generation:
            continue
        if status is not None and status not in FINISHED:
            undecided.append(record.name)
            continue
        kind = dg.AssetMaterialization if entry.action in SERVED else dg.AssetObservation
        words = f"{entry.action} by {entry.by}{': ' if entry.reason else ''}{entry.reason}"
        events.append(
            kind(key_of(definition.name, POINTER_ASSET), description=words, metadata=move_metadata(record.entry))
        )
    return events, undecided


def alarms(
    ctx: ReleaseContext,
    definition: QueryDefinition,
    found: VersionedPointer | None,
    release: str | None,
    decision: Decision,
    now: datetime,
) -> list[Alarm]:
    """What a person should know of: the active release is older than the query allows; a sealed release waits longer
    than it allows; the pointer was edited by hand, or deleted."""
    query, spec = definition.name, definition.spec
    served = "nothing"
    look = f"kumo-assets status {query}"
    told = []
    if found is not None:
        served = found.pointer.served_release_id or found.pointer.table
        age = hours_since(found.pointer.promoted.at, now)
        if age is not None and age > spec.stale_after_hours:
            title = f"{served} is stale: promoted {age:.0f} h ago, and the limit is {spec.stale_after_hours:g} h"
            told.append(Alarm(f"stale {found.pointer.generation}", "stale", title, (decision.reason, look)))
    elif gone := put_back(ctx, None):
        following = f"services go on with what they last read; kumo-assets rollback {query} --reason TEXT puts one back"
        told.append(Alarm(f"deleted {gone}", "deleted", gone, (following, look)))
    sealed = ctx.store.sealed(release) if release is not None else None
    waits = hours_since(sealed.sealed_at, now) if sealed is not None else None
    if release is not None and waits is not None and waits > spec.waiting_after_hours:
        title = f"{release} has waited {waits:.0f} h to go live; {served} is served"
        told.append(Alarm(f"waiting {release}", "waiting", title, (decision.reason, look)))
    if found is not None and found.hand_edited:
        title = f"the pointer was edited by hand to {found.pointer.table}; that counts as a hold"
        told.append(
            Alarm(f"hand_edit {found.mark}", "hand_edit", title, (f"kumo-assets unhold {query}, once it is over",))
        )
    return told


def damaged(query: str, error: PointerMalformed) -> Alarm:
    """The message for a pointer that cannot be read: services go on with what they last read, and nothing is promoted."""
    following = f"kumo-assets rollback {query} --reason TEXT puts a whole one back"
    return Alarm(f"damaged {error.found}", "damaged", f"the pointer is damaged: {error.found}", (following, str(error)))
