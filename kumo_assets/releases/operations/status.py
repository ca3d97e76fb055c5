"""Status: what an on-call engineer reads first. Derived from the pointer, the release objects and the table's state.

Changes nothing but for recording moves that the ledger could not take before, and asks neither Snowflake, Kumo nor
Dagster. A damaged pointer is a finding, not an error. The list of releases is in `states`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from kumo_serving.errors import KumoAssetsError, PointerMalformed
from kumo_serving.pointer import Hold, Pointer

from kumo_assets.config.partitions import last_full_day
from kumo_assets.documents import hours_since
from kumo_assets.errors import ObjectStoreError
from kumo_assets.pointers.store import VersionedPointer
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.decision import Decision
from kumo_assets.releases.evidence import holds_on, past, served_release
from kumo_assets.releases.holds import all_told
from kumo_assets.releases.inspection import inspect
from kumo_assets.releases.listing import Listing
from kumo_assets.releases.operations.belongings import owner_of_served
from kumo_assets.releases.operations.hold import would_follow
from kumo_assets.releases.operations.plain_text import copy_edited
from kumo_assets.releases.operations.promote import next_promotion
from kumo_assets.releases.operations.reconcile import ledger_problems
from kumo_assets.releases.operations.states import ReleaseView, last_block, releases
from kumo_assets.releases.outbox import Kept, Outbox
from kumo_assets.releases.outcomes import newest_outcome
from kumo_assets.releases.recent import ONE, Reach, first_partition, list_recent
from kumo_assets.resources.dynamodb import tables

__all__ = ["ReleaseView", "StatusReport", "releases", "report"]

# Stray and damaged objects that are named one by one.
MOST_STRANGE = 20
# Newest releases in which `building` is looked for.
MOST_BUILDING = 10


@dataclass(frozen=True)
class StatusReport:
    """The page for 3 a.m. Ages in hours, by S3's clock. `hold` is set for a hand edit too (rule 9); `holds` are all that
    exist, each with its author, oldest first. `staged` is the release that waits for a person's approval. `candidate` is the
    newest release that waits, `candidate_words` why it does, `candidate_waits_hours` since its seal; `problems` are
    sentences about what is wrong with what is live, worst first. `unsent` are alarms that no chat has taken yet. `outcome`
    is the newest judged one (`releases.outcomes`), `samples` the Snowflake tables that outcomes are counted from. `stale_after_hours` is None when only a pointer's address
    was given."""

    query: str
    generation: int
    release_id: str | None
    partition: str | None
    table: str | None
    hold: dict[str, str] | None
    forced: dict[str, str] | None
    hand_edited: bool
    active_age_hours: float | None
    stale: bool
    stale_after_hours: float | None
    candidate: str | None
    candidate_words: str
    last_block: dict[str, str] | None
    building: list[str]
    next_command: str
    pointer: str
    candidate_waits_hours: float | None = None
    promoted: dict[str, str] | None = None
    previous: list[str] = field(default_factory=list)
    staged: dict[str, str] | None = None
    holds: list[dict[str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    unsent: list[dict[str, str]] = field(default_factory=list)
    outcome: dict[str, object] | None = None
    samples: list[str] = field(default_factory=list)


def report(
    ctx: ReleaseContext, now: datetime | None = None, reach: Reach = ONE, kept: Sequence[Kept] | None = None
) -> StatusReport:
    """The state of one query, read now. What cannot be looked at is a problem among the others. Raises ReleaseError when
    S3 or ZooKeeper does not answer.

    `reach` says how far back it looks for what is neither live nor newer: an old block, stray and damaged objects, holes
    in the ledger. `kept` are the environment's unsent alarms, where the caller has read them.
    """
    moment = now or ctx.now()
    problems: list[str] = []
    found: VersionedPointer | None = None
    damaged = False
    try:
        found = ctx.pointers.read()
    except PointerMalformed as error:
        damaged = True
        problems.append(str(error))
    pointer = found.pointer if found is not None else None
    holds = holds_on(ctx, found) if found is not None else ()
    held = all_told(holds) or None
    seen = list_recent(ctx, first_partition(pointer, reach.days))
    # What may follow is looked for from the active partition on; with none known, among all.
    reaches = seen.since is None or (pointer is not None and pointer.served_partition >= seen.since)
    release, decision = _waiting(ctx, found, held, damaged, seen.releases if reaches else None)
    active = served_release(ctx, pointer) if pointer is not None else ""
    if found is not None:
        problems += _problems(ctx, found)
    elif not damaged and decision.outcome == "refuse":
        problems.append(decision.reason)
    broken = bool(problems)
    edited_copy = copy_edited(ctx, found) if found is not None else None
    if edited_copy is not None:
        problems.append(edited_copy)
    if isinstance(decision, _Unknown):
        problems.append(decision.reason)
    age = hours_since(pointer.promoted.at, moment) if pointer is not None else None
    limit = ctx.definition.spec.stale_after_hours if ctx.definition is not None else None
    listed = list(seen.releases)
    waits = {item.release_id: item.sealed_at for item in listed}.get(release or "")
    stale = age is None or (limit is not None and age > limit)
    if stale and age is not None and limit is not None:
        problems.append(f"stale: promoted {age:.1f} h ago, and the limit is {limit:g} h")
    blocked = last_block(ctx, listed, active)
    strange = inspect(ctx, reach.documents, seen)
    problems += strange[:MOST_STRANGE]
    if len(strange) > MOST_STRANGE:
        problems.append(f"{len(strange) - MOST_STRANGE} more stray or damaged objects")
    return StatusReport(
        query=ctx.query,
        generation=pointer.generation if pointer is not None else 0,
        release_id=active or None,
        partition=(pointer.served_partition or None) if pointer is not None else None,
        table=pointer.table if pointer is not None else None,
        hold=_hold(found, holds),
        forced=vars(pointer.forced) if pointer is not None and pointer.forced is not None else None,
        hand_edited=found is not None and found.hand_edited,
        active_age_hours=round(age, 2) if age is not None else None,
        stale=stale,
        stale_after_hours=limit,
        candidate=release,
        candidate_words=decision.reason,
        candidate_waits_hours=round(hours_since(waits, moment) or 0.0, 2) if waits else None,
        last_block=blocked,
        building=[item.release_id for item in listed[-MOST_BUILDING:] if _is_building(item, blocked)],
        next_command=_next_command(ctx, pointer, held, broken, release, decision, blocked, stale, moment),
        pointer=ctx.pointers.uri,
        promoted=vars(pointer.promoted) if pointer is not None else None,
        previous=[item.release_id for item in pointer.previous] if pointer is not None else [],
        staged=_staged(pointer),
        holds=[vars(one) for one in holds],
        problems=[*problems, *ledger_problems(ctx, found, reach.entries)],
        unsent=_unsent(ctx, kept),
        outcome=newest_outcome(ctx, listed),
        samples=[ctx.names.served_table(item.release_id) for item in listed if item.keeps_sample],
    )


class _Unknown(Decision):
    """What waits is not known."""


def _unsent(ctx: ReleaseContext, kept: Sequence[Kept] | None) -> list[dict[str, str]]:
    """Alarms of this query that wait in the outbox, oldest first; none when that cannot be read."""
    try:
        found = Outbox(ctx.objects, ctx.names.environment).kept(ctx.query) if kept is None else kept
    except KumoAssetsError:
        return []
    return [
        {"kind": item.alarm.kind, "since": item.alarm.since, "title": item.alarm.title}
        for item in found
        if item.alarm.query == ctx.query
    ]


def _waiting(
    ctx: ReleaseContext,
    found: VersionedPointer | None,
    held: str | None,
    damaged: bool,
    listed: Sequence[Listing] | None,
) -> tuple[str | None, Decision]:
    """The newest release that waits, and what stands in its way. Under a hold: what would follow it."""
    if damaged:
        return None, Decision("refuse", "nothing is promoted over a pointer that cannot be read")
    try:
        return _following(ctx, found, held, listed)
    except ObjectStoreError:
        raise
    except KumoAssetsError as error:  # a table that cannot be described, or a ledger
        return None, _Unknown("wait", f"what waits is not known: {error}")


def _following(
    ctx: ReleaseContext, found: VersionedPointer | None, held: str | None, listed: Sequence[Listing] | None
) -> tuple[str | None, Decision]:
    if found is None or held is None:
        release, decision = next_promotion(ctx, found, listed)
        manual = ctx.definition is not None and ctx.definition.spec.promotion == "manual"
        if manual and decision.outcome == "promote":
            decision = replace(decision, reason=f"{decision.reason}, and waits for a person's approval")
        return release, decision
    release, decision = would_follow(ctx, found, listed)
    if decision.outcome == "promote":
        return release, Decision("refuse", f"waits for the hold to be lifted: {held}")
    return release, decision


def _problems(ctx: ReleaseContext, found: VersionedPointer) -> list[str]:
    """What is wrong with what is live."""
    pointer = found.pointer
    wrong = []
    try:
        fault = tables.fault(tables.describe(ctx.dynamodb_in(pointer.region or ""), pointer.table), ctx.table)
        if fault is not None:
            wrong.append(f"the active table {pointer.table} {fault}")
    except KumoAssetsError as error:
        wrong.append(str(error))
    release = served_release(ctx, pointer)
    if past([], lambda: ctx.store.rejection(release)) is not None:
        wrong.append(f"the active release {release} is rejected: a rollback was begun and not finished")
    owner = owner_of_served(ctx, pointer.table)
    if owner is not None:
        wrong.append(f"the active {owner}")
    if found.hand_edited:
        wrong.append(f"the pointer was edited by hand to {pointer.table}; promotion is held until unhold")
    return wrong


def _hold(found: VersionedPointer | None, holds: Sequence[Hold]) -> dict[str, str] | None:
    """The hold that the document shows, else the one of a hand on it."""
    if found is None or not holds:
        return None
    return vars(found.pointer.hold or holds[-1])


def _staged(pointer: Pointer | None) -> dict[str, str] | None:
    staged = pointer.staged if pointer is not None else None
    if staged is None:
        return None
    return {"release_id": staged.served_release_id, "partition": staged.served_partition, "table": staged.table}


def _is_building(item: Listing, blocked: dict[str, str] | None) -> bool:
    stopped = blocked is not None and blocked["release_id"] == item.release_id
    return not item.sealed and not item.retired and not item.rejected and not stopped


def _next_command(
    ctx: ReleaseContext,
    pointer: Pointer | None,
    held: str | None,
    broken: bool,
    candidate: str | None,
    decision: Decision,
    blocked: dict[str, str] | None,
    stale: bool,
    moment: datetime,
) -> str:
    """What a person would most likely type next: first what is wrong with what is live, then what stops the next."""
    query = ctx.query
    if broken and held is None:
        return f"kumo-assets rollback {query} --reason 'WHY'"
    if broken and (pointer is None or pointer.hold is not None):
        return f"kumo-assets rollback {query} --to RELEASE --reason 'WHY'   (kumo-assets releases {query} lists them)"
    if blocked is not None and not blocked["resolved"]:
        return f"kumo-assets gates {query} --partition {blocked['partition']}"
    if held is not None:
        return f"kumo-assets unhold {query}"
    if candidate is not None and decision.outcome == "promote":
        return f"kumo-assets promote {query} {candidate}"
    if pointer is None or stale:
        newest = last_full_day(ctx.definition.spec.schedule.time_zone if ctx.definition is not None else "UTC", moment)
        return f"kumo-assets materialize {query} --partition {newest}"
    return f"nothing; if what is live is bad: kumo-assets rollback {query} --reason 'WHY'"
