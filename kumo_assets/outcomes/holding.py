"""What a failed `realised_quality` does: which release was good last, the hold, and what it says.

The hold is a plain one, by a named author: it names no release, so that the first rollback needs no target. It is placed
once for a release. Its ledger entry is the record of that, so a hold that was lifted is not placed again.
"""

from __future__ import annotations

from dataclasses import dataclass

from kumo_assets.config.load import QueryDefinition
from kumo_assets.documents import Outcome
from kumo_assets.errors import LostRace, Refused
from kumo_assets.outcomes.due import History, settings_of
from kumo_assets.outcomes.live import was_live
from kumo_assets.outcomes.quality import LAST, Quality, judge_quality
from kumo_assets.pointers.limits import MOST_REASON_BYTES, shortened
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.listing import SEAL, Listing
from kumo_assets.releases.moves import known, read_or_raw
from kumo_assets.releases.operations.hold import hold
from kumo_assets.releases.outcomes import outcomes_of

CHECK = "realised_quality"
TRIES = 3


@dataclass(frozen=True)
class Judged:
    """A release at its first age, and the check's judgement of it."""

    outcome: Outcome
    quality: Quality


def judged_at_first_age(
    ctx: ReleaseContext, definition: QueryDefinition, history: History, release: Listing
) -> Judged | None:
    """The check's judgement of a release; None while it has no outcome at its first age."""
    settings = settings_of(definition)
    age = settings.looked_at[0]
    outcome = next(iter(outcomes_of(ctx, [release], age)), None)
    if outcome is None:
        return None
    earlier = [item for item in history.listed if item.order < release.order and age in item.ages_judged]
    last = sorted(earlier, key=lambda item: item.order)[-LAST:]
    past = list(outcomes_of(ctx, last, age))
    return Judged(outcome, judge_quality(outcome, past, settings.realised_quality.least_loss))


def last_good(ctx: ReleaseContext, definition: QueryDefinition, history: History, bad: Listing) -> str:
    """The newest release before a bad one that was live, is not rejected, retired or failed by the check; "" when there is
    none."""
    before = sorted((item for item in history.listed if item.order < bad.order), key=lambda item: item.order)
    for item in reversed(before[-LAST:]):
        if SEAL not in item.files or item.rejected or item.retired or not was_live(history.stays, item.release_id):
            continue
        found = judged_at_first_age(ctx, definition, history, item)
        if found is None or found.quality.passed:
            return item.release_id
    return ""


def advice(query: str, good: str) -> str:
    """The last good release and the command that goes back to it."""
    if not good:
        return f"no good release is known before it: kumo-assets releases {query}"
    return f"the last good release is {good}: kumo-assets rollback {query} --to {good} --reason 'WHY'"


def reason_of(release: str, quality: Quality, query: str, good: str) -> str:
    """The hold's reason. It begins with the release, by which the hold is found again in the ledger."""
    return shortened(f"{_mark(release)}{quality.message}; {advice(query, good)}", MOST_REASON_BYTES)


def _mark(release: str) -> str:
    return f"realised quality of {release}: "


def was_held_for(ctx: ReleaseContext, release: str) -> bool:
    """Whether the check has held promotion for this release, now or before."""
    entries = (record.entry for record in known(ctx, read_or_raw(ctx)))
    return any(
        entry.action == "hold" and entry.by == CHECK and entry.reason.startswith(_mark(release)) for entry in entries
    )


def hold_for(ctx: ReleaseContext, release: str, reason: str, *, run_id: str) -> str:
    """Hold promotion, unless that was done for this release before; what was done, as a sentence."""
    for attempt in range(TRIES):
        if was_held_for(ctx, release):
            return "promotion was held for this release before; it is not held again"
        try:
            held = hold(ctx, by=CHECK, reason=reason, run_id=run_id)
        except LostRace:
            if attempt == TRIES - 1:
                raise
        except Refused as error:
            return f"promotion was not held: {error.found}"
        else:
            return f"promotion is held: {held.served_release_id} stays live until kumo-assets unhold {ctx.query}"
    raise AssertionError("the last try returns or raises")
