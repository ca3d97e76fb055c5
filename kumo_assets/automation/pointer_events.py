"""Moves of the pointer as Dagster's asset events, so that the UI shows what is active.

Events come from two places. `reports_of` reports moves that the ledger recorded since the last tick and that no run of
this Dagster reported. `missing_report` reports the move that is active now when Dagster's own storage does not know it,
whatever the cursor says: that storage may be new, emptied, or restored from an old copy. When to look, and what one tick
leaves to the next, is the sensor's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import dagster as dg

from kumo_assets.assets.active_pointer import move_metadata, pointer_metadata, release_shown
from kumo_assets.assets.keys import key_of
from kumo_assets.config.names import POINTER_ASSET
from kumo_assets.documents import moment_in, utc_text
from kumo_assets.pointers.store import VersionedPointer, stored_mark
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.holds import HAND
from kumo_assets.releases.ledger import Recorded
from kumo_assets.releases.operations.reconcile import News, news, reconcile

Event = dg.AssetMaterialization | dg.AssetObservation
RunStatus = Callable[[str], dg.DagsterRunStatus | None]
LatestReport = Callable[[], dg.AssetMaterialization | None]

# Actions after which another release is served, or a person put the same one there: a materialisation. The others change
# the document only: an observation, which does not make the pointer look fresh.
SERVED = ("promote", "force", "rollback", "hand_edit")
FINISHED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


def pointer_key(query: str) -> dg.AssetKey:
    """The key of a query's pointer asset."""
    return key_of(query, POINTER_ASSET)


def latest_reports(
    instance: dg.DagsterInstance, queries: Sequence[str]
) -> Mapping[dg.AssetKey, dg.AssetMaterialization | None]:
    """The latest materialisation of each query's pointer that this Dagster's storage has. One call for all of them."""
    keys = [pointer_key(query) for query in queries]
    found: dict[dg.AssetKey, dg.AssetMaterialization | None] = dict.fromkeys(keys)
    for record in instance.get_asset_records(keys):
        latest = record.asset_entry.last_materialization
        found[record.asset_entry.asset_key] = latest.asset_materialization if latest is not None else None
    return found


def news_since(
    ctx: ReleaseContext, found: VersionedPointer | None, *, cursor: str, mark: str, pending: Sequence[str]
) -> News:
    """What happened to the pointer since an earlier tick, and the entries that it left `pending`; writes down what the
    ledger did not know. Raises KumoAssetsError.

    `cursor` and `mark` are what that tick left. A pointer that has not moved since costs nothing. A tick that came to
    nothing leaves neither, so the next one reports the same again.
    """
    reconcile(ctx, found)
    earlier = ctx.ledger.read(list(pending))
    if cursor and mark == stored_mark(found):
        return News(earlier, cursor)
    fresh = news(ctx, cursor)
    return News([*earlier, *fresh.entries], fresh.cursor)


def events_of(
    instance: dg.DagsterInstance,
    query: str,
    entries: Sequence[Recorded],
    found: VersionedPointer | None,
    where: str,
    shown: dg.AssetMaterialization | None,
) -> tuple[list[Event], list[str]]:
    """All events of one tick for one query, and the names of the ledger's entries to look at again.

    `found` is the pointer at the address `where`, `shown` the newest materialisation in this Dagster's storage.
    """

    def run_status(run_id: str) -> dg.DagsterRunStatus | None:
        run = instance.get_run_by_id(run_id)
        return run.status if run is not None else None

    events, pending = reports_of(query, entries, run_status)
    if found is not None:
        shown = next((event for event in reversed(events) if isinstance(event, dg.AssetMaterialization)), shown)
        missing = missing_report(
            found,
            where,
            shown,
            latest=lambda: latest_reports(instance, [query])[pointer_key(query)],
            run_status=run_status,
        )
        events += [missing] if missing is not None else []
    return events, pending


def reports_of(query: str, entries: Sequence[Recorded], run_status: RunStatus) -> tuple[list[Event], list[str]]:
    """Events for the ledger's entries that no run of this Dagster reports, and the names of those whose run is not over.

    A run that died between the move and its own event never reported it: then the ledger's entry does. `run_status` gives
    None for a run that this Dagster does not know.
    """
    events: list[Event] = []
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
        title = f"{entry.shown_action} by {entry.by}{': ' if entry.reason else ''}{entry.reason}"
        events.append(kind(pointer_key(query), description=title, metadata=move_metadata(entry)))
    return events, undecided


def missing_report(
    found: VersionedPointer,
    where: str,
    shown: dg.AssetMaterialization | None,
    *,
    latest: LatestReport,
    run_status: RunStatus,
) -> dg.AssetMaterialization | None:
    """The event for what the pointer at the address `where` serves, when the newest event does not show it.

    `shown` is the newest materialisation of the pointer asset, one of this tick included. None when it is up to date, or
    when the run that made the move is not over: that run reports the move itself. `latest` reads the newest
    materialisation once more, for a run that succeeded after `shown` was read.
    """
    if shows(shown, found):
        return None
    promoted = found.pointer.promoted
    status = run_status(promoted.run_id) if promoted.run_id and not _edited(found) else None
    if status is not None and status not in FINISHED:
        return None
    if status is dg.DagsterRunStatus.SUCCESS and shows(latest(), found):
        return None
    move = found.move if found.move is not None and found.move.action in SERVED else None
    by = HAND if _edited(found) else promoted.by or "somebody unknown"
    at = _served_since(found)
    title = f"{release_shown(found.pointer)} is active since {at or 'an unknown time'}, by {by}; Dagster did not know"
    metadata = {
        **pointer_metadata(found.pointer, where),
        "action": "found",
        "by": by,
        **(move_metadata(move) if move is not None else {}),
        "at": at,
    }
    return dg.AssetMaterialization(pointer_key(found.pointer.query), description=title, metadata=metadata)


def shows(event: dg.AssetMaterialization | None, found: VersionedPointer) -> bool:
    """True when the event names the release that the pointer serves, and no other was served since."""
    if event is None:
        return False
    told = {name: value.value for name, value in event.metadata.items()}
    if told.get("release") != release_shown(found.pointer):
        return False
    if "at" not in told:  # runs of version 0.1 did not say since when
        generation = told.get("generation")
        return isinstance(generation, int) and generation <= found.pointer.generation
    if told["at"] in (_served_since(found), utc_text(found.modified)):
        return True
    # In whole seconds, because that is how S3 dates the edit that an event may be of.
    at, since = (moment_in(str(text)) for text in (told["at"], _served_since(found)))
    return at is not None and since is not None and at.replace(microsecond=0) >= since.replace(microsecond=0)


def _edited(found: VersionedPointer) -> bool:
    """True when a person changed which table is served. One who edited something else left `promoted` true."""
    return found.hand_edited and found.pointer.edited


def _served_since(found: VersionedPointer) -> str:
    return utc_text(found.modified) if _edited(found) else found.pointer.promoted.at
