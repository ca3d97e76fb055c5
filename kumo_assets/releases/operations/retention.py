"""What may be retired, and why everything else stays: rule 7 and the query's `retention`, read now, changing nothing.

Never: the active release, the one before it, both ends of a hold, what another release adopted, what is being built,
what waits to go live; nothing at all while the pointer is missing or edited by hand, or within the grace of such an
edit. Then the newest `keep` known good ones stay, and whatever is younger than the minimum age or stopped being active
within the grace, all by S3's clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from kumo_serving.pointer import Pointer, partition_of_release, release_of_table

from kumo_assets.documents import LedgerEntry
from kumo_assets.pointers.store import VersionedPointer
from kumo_assets.releases.context import ReleaseContext, definition_of
from kumo_assets.releases.decision import decide
from kumo_assets.releases.evidence import candidate_of, put_back
from kumo_assets.releases.ledger import is_move, name_of
from kumo_assets.releases.listing import OPENED, RETIRED, RETIRING, Listing
from kumo_assets.releases.references import being_read
from kumo_assets.resources.dynamodb import tables

# No chain runs longer than its deadlines (Kumo 4 h, import 3 h by default): what is untouched for so long has ended.
IN_FLIGHT = timedelta(hours=24)
# S3 tells the time of an object in whole seconds, ZooKeeper that of a node in thousandths.
WHOLE_SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Plan:
    """Which releases would go and which stay, each with its reason. `leftovers` are tables of failed attempts of whole
    releases, which go too; `orphans` have our name and no release, and are for a person to look at."""

    going: dict[str, str]
    kept: dict[str, str]
    orphans: list[str]
    leftovers: list[str] = field(default_factory=list)


def plan(ctx: ReleaseContext, now: datetime | None = None) -> Plan:
    """What retirement would do now; nothing is changed. PointerMalformed when nobody can tell what is active."""
    moment = now or ctx.now()
    listed = ctx.store.listings()
    found = ctx.pointers.read()
    names = tables.list_tables(ctx.dynamodb, f"{ctx.names.environment}-{ctx.query}-")
    orphans = _orphans(ctx, listed, names)
    ours = [item for item in listed if OPENED in item.files and RETIRED not in item.files]
    stop = _stop(ctx, found)
    if stop is not None or found is None:
        return Plan({}, {item.release_id: stop or "" for item in ours}, orphans)
    protected = _protected(ctx, found.pointer, ours, moment)
    policy = definition_of(ctx).spec.retention
    times = ctx.ledger.listed_since()
    recorded = ctx.ledger.read(list(times))
    entries = [record.entry for record in recorded]
    known_good = _known_good(ctx, found.pointer, entries, ours) - set(protected)
    newest = sorted(known_good, key=_order(ours), reverse=True)[: policy.keep]
    # By its writer's clock or by S3's, whichever is later: a clock that is behind must not shorten the grace.
    dated = [(one.entry, max(datetime.fromisoformat(one.entry.at), times[one.name])) for one in recorded]
    left = _left_at(dated)
    grace = timedelta(minutes=policy.grace_minutes)
    edited = _last_edit(found, dated, times)
    just_edited = edited is not None and moment - edited < grace
    going: dict[str, str] = {}
    kept: dict[str, str] = {}
    for item in ours:
        release = item.release_id
        youngest = datetime.fromisoformat(item.sealed_at or item.touched)
        why = protected.get(release)
        # Of a half retired one too: whoever marked it may have died, and it may have been live since.
        if why is None and just_edited:
            why = (
                f"the pointer was edited by hand less than {policy.grace_minutes:g} minutes ago, and may have named it"
            )
        if why is None and release in left and moment - left[release] < grace:
            why = f"stopped being active less than {policy.grace_minutes:g} minutes ago"
        if why is None and RETIRING in item.files:
            going[release] = "half retired before"
            continue
        if why is None and release in newest:
            why = f"one of the newest {policy.keep} known good ones"
        if why is None and moment - youngest < timedelta(hours=policy.min_age_hours):
            why = f"younger than {policy.min_age_hours:g} h"
        if why is None:
            going[release] = "rejected" if item.rejected else "old" if item.sealed else "never sealed"
        else:
            kept[release] = why
    leftovers = [] if just_edited else attempts_left_over(ctx, found.pointer, ours, names)
    return Plan(going, kept, orphans, leftovers)


def references(ctx: ReleaseContext, listed: list[Listing]) -> dict[str, str]:
    """Release -> one that adopted artefacts of it and is not retired, or is being built from its table."""
    found: dict[str, str] = {}
    for item in listed:
        if RETIRED in item.files:
            continue
        opened = ctx.store.opened(item.release_id)
        for home in opened.adopted.values() if opened is not None else ():
            found.setdefault(home, item.release_id)
    return being_read(ctx, listed) | found


def attempts_left_over(ctx: ReleaseContext, pointer: Pointer, ours: list[Listing], names: list[str]) -> list[str]:
    """Tables of failed import attempts of releases that were sealed with a later one. None that the pointer names."""
    named = {pointer.table, *(entry.table for entry in pointer.previous)}
    found = []
    for item in ours:
        sealed = ctx.store.sealed(item.release_id) if item.sealed else None
        if sealed is None:
            continue
        own = ctx.names.dynamodb_table(item.release_id)
        found += [name for name in names if name.startswith(own) and name != sealed.seal.table and name not in named]
    return found


def _stop(ctx: ReleaseContext, found: VersionedPointer | None) -> str | None:
    """Why nothing at all may go: without a pointer of our own making nobody knows what a person relies on."""
    if found is None:
        return "there is no active pointer"
    if found.hand_edited:
        return "the pointer is edited by hand: nothing goes until `kumo-assets unhold`"
    return put_back(ctx, found)


def _protected(ctx: ReleaseContext, pointer: Pointer, ours: list[Listing], moment: datetime) -> dict[str, str]:
    found: dict[str, str] = {}
    if pointer.served_release_id:
        found[pointer.served_release_id] = "active"
    if pointer.previous:
        first = pointer.previous[0]
        found.setdefault(first.release_id or release_of_table(first.table) or "", "active before the active one")
    if pointer.hold is not None:
        for release in (pointer.hold.from_release, pointer.hold.to_release):
            found.setdefault(release, "named by the hold")
    for release, user in references(ctx, ours).items():
        found.setdefault(release, f"adopted by {user}")
    order = _order(ours)
    active = order(pointer.served_release_id) if pointer.served_release_id else None
    for item in ours:
        if not item.sealed and moment - datetime.fromisoformat(item.touched) < IN_FLIGHT:
            found.setdefault(item.release_id, "being built")
        if item.sealed and not item.rejected and (active is None or order(item.release_id) > active):
            found.setdefault(item.release_id, "newer than the active one: may still go live")
    found.pop("", None)
    return found


def _order(ours: list[Listing]) -> Callable[[str], tuple[str, str, str]]:
    """Key that sorts release ids as releases sort: by partition, then by when they were sealed."""
    orders = {item.release_id: item.order for item in ours}
    return lambda release: orders.get(release) or (partition_of_release(release), "", release)


def _known_good(ctx: ReleaseContext, pointer: Pointer, entries: list[LedgerEntry], ours: list[Listing]) -> set[str]:
    """Releases that a rollback could go back to: active once, sealed, not rejected, not forced, not going."""
    whole = {item.release_id for item in ours if item.sealed and not item.rejected and not item.retired}
    forced = {entry.to_release for entry in entries if entry.action == "force"}
    passed = {entry.to_release for entry in entries if entry.action in ("promote", "rollback")}
    named = {item.release_id for item in pointer.previous} | {entry.to_release for entry in entries if is_move(entry)}
    # What only a hand made active may have been blocked: it must not take the place of one that was not.
    by_hand = {release for release in (named & whole) - passed if _passes_its_gates(ctx, release)}
    return (passed & whole | by_hand) - forced


def _passes_its_gates(ctx: ReleaseContext, release: str) -> bool:
    candidate = replace(candidate_of(ctx, release), was_active=True)
    return decide(candidate, None, rollback=True).outcome == "promote"


def _left_at(entries: list[tuple[LedgerEntry, datetime]]) -> dict[str, datetime]:
    """When each release last stopped being active."""
    found: dict[str, datetime] = {}
    for entry, at in entries:
        if entry.from_release and entry.to_release and entry.from_release != entry.to_release:
            found[entry.from_release] = max(at, found.get(entry.from_release, at))
    return found


def _last_edit(
    found: VersionedPointer, entries: list[tuple[LedgerEntry, datetime]], times: dict[str, datetime]
) -> datetime | None:
    """When a person last wrote the pointer, as far as anybody can tell. Of several edits in a row only the last is ever
    seen, and one that was taken back is told by nothing but the pointer's time, which is then later than the ledger's."""
    edits = [at for entry, at in entries if entry.action == "hand_edit"]
    ours = times.get(name_of(found.move, found.mark)) if found.move is not None else None
    if ours is not None and found.modified > ours + WHOLE_SECOND:
        edits.append(found.modified)
    return max(edits, default=None)


def _orphans(ctx: ReleaseContext, listed: list[Listing], names: list[str]) -> list[str]:
    """Tables and prefixes with our name and no `opened.json`, and tables of releases that were retired."""
    owned = {item.release_id for item in listed if OPENED in item.files}
    living = owned - {item.release_id for item in listed if RETIRED in item.files}
    found = [name for name in names if (release_of_table(name) or "") not in living and _is_ours(ctx, name)]
    prefixes = [ctx.names.releases_uri + item.release_id + "/" for item in listed if item.release_id not in owned]
    return found + prefixes


def _is_ours(ctx: ReleaseContext, name: str) -> bool:
    release = release_of_table(name)
    return release is not None and name.startswith(f"{ctx.names.environment}-{ctx.query}-{release}")
