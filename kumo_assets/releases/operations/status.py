"""Status and the list of releases: what an on-call engineer reads first, derived, never stored.

Reads S3 and the pointer only; neither Snowflake, Kumo nor Dagster is asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from kumo_serving.pointer import Pointer, release_of_table

from kumo_assets.releases.decision import decide
from kumo_assets.releases.documents import IMPORT_GATE
from kumo_assets.releases.operations.outside import Outside, candidate_of
from kumo_assets.releases.operations.promote import next_promotion
from kumo_assets.releases.store import Listing

# Blocked releases are looked for among the newest so many.
MOST_LOOKED_AT = 10


@dataclass(frozen=True)
class ReleaseView:
    """One release with its derived state."""

    release_id: str
    partition: str
    state: str
    sealed_at: str | None
    counts: dict[str, int] = field(default_factory=dict)
    verdicts: dict[str, str] = field(default_factory=dict)
    words: str = ""


@dataclass(frozen=True)
class StatusReport:
    """The page for 3 a.m. Ages in hours."""

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
    stale_after_hours: float
    candidate: str | None
    candidate_words: str
    last_block: dict[str, str] | None
    building: list[str]
    next_command: str
    pointer: str


def report(world: Outside, now: datetime | None = None) -> StatusReport:
    """The state of one query, read now."""
    moment = now or datetime.now(UTC)
    found = world.pointers.read()
    pointer = found.pointer if found is not None else None
    hand_edited = found is not None and found.hand_edited
    release, decision = next_promotion(world, found)
    listed = world.store.listings()
    active = pointer.served_release_id if pointer is not None else None
    blocked = _last_block(world, listed, active)
    age = _age_hours(pointer, moment)
    limit = world.definition.spec.stale_after_hours
    stale = age is None or age > limit
    candidate = release if release != active else None
    return StatusReport(
        query=world.query,
        generation=pointer.generation if pointer is not None else 0,
        release_id=active or None,
        partition=pointer.served_partition if pointer is not None else None,
        table=pointer.table if pointer is not None else None,
        hold=vars(pointer.hold) if pointer is not None and pointer.hold is not None else None,
        forced=vars(pointer.forced) if pointer is not None and pointer.forced is not None else None,
        hand_edited=hand_edited,
        active_age_hours=round(age, 2) if age is not None else None,
        stale=stale,
        stale_after_hours=limit,
        candidate=candidate,
        candidate_words=decision.reason,
        last_block=blocked,
        building=[item.release_id for item in listed[-MOST_LOOKED_AT:] if not item.sealed and not item.retired],
        next_command=_next_command(world.query, pointer, hand_edited, candidate, decision.outcome, blocked, stale),
        pointer=world.pointers.uri,
    )


def releases(world: Outside) -> list[ReleaseView]:
    """Every release, newest first, with state, counts and verdicts."""
    found = world.pointers.read()
    pointer = found.pointer if found is not None else None
    return [_view(world, item, pointer) for item in reversed(world.store.listings())]


def _view(world: Outside, item: Listing, pointer: Pointer | None) -> ReleaseView:
    sealed = world.store.sealed(item.release_id) if item.sealed else None
    verdicts = world.store.verdicts(item.release_id)
    state, words = _state(item, pointer, world)
    return ReleaseView(
        release_id=item.release_id,
        partition=f"{item.release_id[:4]}-{item.release_id[4:6]}-{item.release_id[6:8]}",
        state=state,
        sealed_at=item.sealed_at,
        counts=sealed.seal.counts if sealed is not None else {},
        verdicts={gate: verdict.severity for gate, verdict in sorted(verdicts.items())},
        words=words,
    )


def _state(item: Listing, pointer: Pointer | None, world: Outside) -> tuple[str, str]:
    release = item.release_id
    if item.retired:
        return "retired" if "retired.json" in item.files else "retiring", ""
    if pointer is not None and release == pointer.served_release_id:
        return "active", "forced" if pointer.forced is not None else ""
    if item.rejected:
        rejection = world.store.rejection(release)
        return "rejected", rejection.reason if rejection is not None else ""
    if pointer is not None and release in {_id(entry.release_id, entry.table) for entry in pointer.previous}:
        return "previous", ""
    decision = decide(candidate_of(world, release, look_at_table=False), None)
    if decision.outcome == "blocked":
        return "blocked", decision.reason
    return ("candidate", "") if item.sealed else ("building", decision.reason)


def _id(release: str, table: str) -> str:
    return release or release_of_table(table) or ""


def _last_block(world: Outside, listed: list[Listing], active: str | None) -> dict[str, str] | None:
    """The newest release that a gate stopped since the active one, with the gate's words."""
    for item in reversed(listed[-MOST_LOOKED_AT:]):
        if item.retired or item.release_id == active:
            continue
        for gate, verdict in sorted(world.store.verdicts(item.release_id).items()):
            if verdict.blocks or (gate == IMPORT_GATE and not verdict.passed):
                return {
                    "release_id": item.release_id,
                    "partition": verdict.partition,
                    "gate": gate,
                    "message": verdict.message,
                    "at": verdict.decided_at,
                }
    return None


def _age_hours(pointer: Pointer | None, moment: datetime) -> float | None:
    if pointer is None or not pointer.promoted.at:
        return None
    try:
        at = datetime.fromisoformat(pointer.promoted.at)
    except ValueError:
        return None
    return (moment - at).total_seconds() / 3600


def _next_command(
    query: str,
    pointer: Pointer | None,
    hand_edited: bool,
    candidate: str | None,
    outcome: str,
    blocked: dict[str, str] | None,
    stale: bool,
) -> str:
    """What a person would most likely type next."""
    if blocked is not None and (pointer is None or blocked["partition"] > pointer.served_partition):
        return f"kumo-assets gates {query} --partition {blocked['partition']}"
    if hand_edited or (pointer is not None and pointer.hold is not None):
        return f"kumo-assets unhold {query}"
    if candidate is not None and outcome == "promote":
        return f"kumo-assets promote {query} {candidate}"
    if pointer is None or stale:
        return f"kumo-assets materialize {query} --partition <yesterday>"
    return f"kumo-assets rollback {query} --reason '...'   (only if what is live is bad)"
