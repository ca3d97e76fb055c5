"""What may be retired, and why everything else stays: rule 7 and the query's `retention`, read now, changing nothing.

Never: the active release, the staged one, the one before the active, both ends of a hold, what another release adopted, what is being built,
what waits to go live; nothing at all while the pointer is missing or edited by hand, or within the grace of such an
edit. Then the newest `keep` known good ones stay, and whatever is younger than the minimum age or stopped being active
within the grace, all by S3's clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from kumo_serving.pointer import Pointer, partition_of_release, release_of_table

from kumo_assets.documents import LedgerEntry
from kumo_assets.pointers.store import VersionedPointer
from kumo_assets.releases.context import ReleaseContext, definition_of
from kumo_assets.releases.decision import decide
from kumo_assets.releases.evidence import candidate_of, past, put_back
from kumo_assets.releases.holds import written_holds
from kumo_assets.releases.ledger import is_move, name_of
from kumo_assets.releases.listing import OPENED, RETIRING, Listing
from kumo_assets.releases.operations.belongings import foreign, named_elsewhere, own_table
from kumo_assets.releases.operations.protection import LedgerFacts, damage_in, read_ledger, references, retired_in
from kumo_assets.resources.dynamodb import tables

# No chain runs longer than its deadlines (Kumo 4 h, import 3 h by default): what is untouched for so long has ended.
IN_FLIGHT = timedelta(hours=24)
# S3 tells the time of an object in whole seconds, ZooKeeper that of a node in thousandths.
WHOLE_SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Plan:
    """Which releases would go and which stay, each with its reason. `leftovers` are tables of failed attempts of whole
    releases, which go too; `orphans` have our name and tags and no release, and are for a person to look at. `foreign` is
    what lies under our names and is not ours: never deleted. `samples` are Snowflake tables with what releases served,
    by release: they outlive the release, and `<query>/outcomes` drops them after the last age."""

    going: dict[str, str]
    kept: dict[str, str]
    orphans: list[str]
    leftovers: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    samples: dict[str, str] = field(default_factory=dict)


def plan(ctx: ReleaseContext, now: datetime | None = None) -> Plan:
    """What retirement would do now; nothing is changed. PointerMalformed when nobody can tell what is active, ReleaseError
    when a store of pointers of this environment, or AWS, does not answer."""
    moment = now or ctx.now()
    listed = ctx.store.listings()
    found = ctx.pointers.read()
    names = tables.list_tables(ctx.dynamodb, f"{ctx.names.environment}-{ctx.query}-")
    retired = retired_in(ctx, listed)
    orphans, untagged = _orphans(ctx, listed, retired, names)
    ours = [item for item in listed if OPENED in item.files and item.release_id not in retired]

    def nothing_goes(why: str) -> Plan:
        kept = dict.fromkeys((item.release_id for item in ours), why)
        return Plan({}, kept, orphans, foreign=foreign(ctx, untagged, names), samples=samples_of(ctx, listed))

    stop = _stop(ctx, found)
    if stop is not None or found is None:
        return nothing_goes(stop or "")
    protected = _protected(ctx, found.pointer, ours, moment)
    for release, damaged in damage_in(ctx, ours).items():
        protected.setdefault(release, f"what it protects is unknown: {damaged}")
    policy = definition_of(ctx).spec.retention
    told = read_ledger(ctx, found)
    if told.faults.holes:
        return nothing_goes(told.faults.sentences(ctx.query)[0])
    suspects = told.suspects(ours)
    known_good = _known_good(ctx, found.pointer, told.entries, ours) - suspects.forced - set(protected)
    order = _order(ours)
    newest = sorted(known_good, key=order, reverse=True)[: policy.keep]
    oldest_kept = order(newest[-1]) if policy.keep and len(newest) == policy.keep else ("", "", "")
    perhaps_good = {
        release
        for release in suspects.active - known_good - set(protected)
        if policy.keep and order(release) > oldest_kept and _passes_its_gates(ctx, release)
    }
    left = _left_at(told.dated)
    grace = timedelta(minutes=policy.grace_minutes)
    edited = _last_edit(found, told)
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
        if why is None and release in perhaps_good:
            why = "may be known good: an entry of the ledger is damaged"
        if why is None and moment - youngest < timedelta(hours=policy.min_age_hours):
            why = f"younger than {policy.min_age_hours:g} h"
        if why is None:
            going[release] = "rejected" if item.rejected else "old" if item.sealed else "never sealed"
        else:
            kept[release] = why
    leftovers = [] if just_edited else attempts_left_over(ctx, found.pointer, ours, names)
    elsewhere = named_elsewhere(ctx) if going or leftovers else {}
    leftovers = [name for name in leftovers if name not in elsewhere]
    for table, where in elsewhere.items():
        release = ctx.names.release_of_table(table) or ""
        if going.pop(release, None) is not None:
            kept[release] = f"its table is named by {where}"
    doomed = {*leftovers, *(name for name in names if ctx.names.release_of_table(name) in going)}
    untagged += [name for name in sorted(doomed) if not own_table(ctx, name)]
    leftovers = [name for name in leftovers if name not in untagged]
    samples = samples_of(ctx, listed)
    return Plan(going, kept, orphans, leftovers, foreign(ctx, untagged, names), samples)


def samples_of(ctx: ReleaseContext, listed: list[Listing]) -> dict[str, str]:
    """Release -> the table with the sample of what it served, for every one that exists by its records."""
    return {item.release_id: ctx.names.served_table(item.release_id) for item in listed if item.keeps_sample}


def attempts_left_over(ctx: ReleaseContext, pointer: Pointer, ours: list[Listing], names: list[str]) -> list[str]:
    """Tables of failed import attempts of releases that were sealed with a later one. None that the pointer names."""
    named = tables_in(pointer)
    found = []
    for item in ours:
        sealed = past([], partial(ctx.store.sealed, item.release_id)) if item.sealed else None
        if sealed is None:
            continue
        own = [name for name in names if ctx.names.release_of_table(name) == item.release_id]
        found += [name for name in own if name != sealed.seal.table and name not in named]
    return found


def tables_in(pointer: Pointer) -> set[str]:
    """Every table that a pointer names: active, staged and previous."""
    staged = {pointer.staged.table} if pointer.staged is not None else set()
    return {pointer.table, *staged, *(entry.table for entry in pointer.previous)}


def releases_staged(pointer: Pointer) -> set[str]:
    """The release that a pointer stages: by its id, and by its table's name."""
    staged = pointer.staged
    return {staged.release_id, staged.served_release_id} - {""} if staged is not None else set()


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
    for release in releases_staged(pointer):
        found.setdefault(release, "staged, and waits for a person's approval")
    for hold in written_holds(pointer):
        for release in (hold.from_release, hold.to_release):
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
    # Which went live by force, the ledger says: `forced.json` alone may be of a promotion that lost its race.
    candidate = replace(candidate_of(ctx, release), was_active=True, forced=False)
    return decide(candidate, None, rollback=True).outcome == "promote"


def _left_at(entries: list[tuple[LedgerEntry, datetime]]) -> dict[str, datetime]:
    """When each release last stopped being active."""
    found: dict[str, datetime] = {}
    for entry, at in entries:
        if entry.from_release and entry.to_release and entry.from_release != entry.to_release:
            found[entry.from_release] = max(at, found.get(entry.from_release, at))
    return found


def _last_edit(found: VersionedPointer, told: LedgerFacts) -> datetime | None:
    """When a person last wrote the pointer, as far as anybody can tell. Of several edits in a row only the last is ever
    seen, and one that was taken back shows in nothing but the pointer's time, which is then later than the ledger's. An
    entry that cannot be read may be of an edit."""
    edits = [at for entry, at in told.dated if entry.action == "hand_edit" and entry.accepts is None] + told.unread
    ours = told.times.get(name_of(found.move, found.mark)) if found.move is not None else None
    if ours is not None and found.modified > ours + WHOLE_SECOND:
        edits.append(found.modified)
    return max(edits, default=None)


def _orphans(
    ctx: ReleaseContext, listed: list[Listing], retired: set[str], names: list[str]
) -> tuple[list[str], list[str]]:
    """Tables of ours and prefixes with no `opened.json`, and tables of releases that were retired. And the tables with
    such a name that do not carry our tags."""
    owned = {item.release_id for item in listed if OPENED in item.files}
    living = owned - retired
    homeless = [name for name in names if (ctx.names.release_of_table(name) or "") not in {"", *living}]
    found = [name for name in homeless if own_table(ctx, name)]
    prefixes = [ctx.names.releases_uri + item.release_id + "/" for item in listed if item.release_id not in owned]
    return found + prefixes, [name for name in homeless if name not in found]
