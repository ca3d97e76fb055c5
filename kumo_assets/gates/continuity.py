"""Gates that compare entity by entity with the active release's table: `entities_lost`, `overlap`. Pure judgements.

They need that table. When it does not exist (deleted by hand, another account) or cannot be compared with (another
task's columns) the gates say so, and block or warn by their mode: what could not be compared did not pass. The tables
are compared in `count_sql`.
"""

from __future__ import annotations

from typing import Literal

from kumo_assets.config.registration import Limits
from kumo_assets.gates.against_baseline import bootstrap, judge_figure, nothing_compared
from kumo_assets.gates.counts import Continuity
from kumo_assets.gates.formulas import loss_ceiling
from kumo_assets.gates.judgement import Judgement


def judge_entities_lost(found: Continuity | None, release: str, limits: Limits) -> Judgement:
    """Share of the entities of the active `release` that were lost. `found` is None when its table was not compared
    with; `release` is empty when no release is active."""
    return _judge(found, release, limits, "lost", "old", "entities of {release} have no prediction any more")


def judge_overlap(found: Continuity | None, release: str, limits: Limits) -> Judgement:
    """Share of the list entries of the active `release` that changed; arguments as for `judge_entities_lost`."""
    return _judge(found, release, limits, "changed", "entries", "list entries of {release} are not in the new lists")


def _judge(
    found: Continuity | None,
    release: str,
    limits: Limits,
    part: Literal["lost", "changed"],
    whole: Literal["old", "entries"],
    sentence: str,
) -> Judgement:
    if found is None and release:
        return nothing_compared(f"the table of the active release {release} was not compared with", None, limits)
    if found is None:
        return bootstrap("there is no active release whose table to compare with", limits)
    if found.get("missing"):
        message = f"the table of the active release {release} is gone: {found['missing']}"
        return nothing_compared(message, None, limits)
    if found.get("failed"):
        return nothing_compared(f"with the table of the active release {release}: {found['failed']}", None, limits)
    total = found[whole]
    if not total:
        return nothing_compared(f"none of the entities of {release} was found to compare", None, limits)
    value = found[part] / total
    sample = found.get("sample", 1)
    message = f"{found[part]:,} of {total:,} ({value:.1%}) {sentence.format(release=release)}"
    message += f" (in a sample of one entity in {sample})" if sample > 1 else ""
    return judge_figure(
        value,
        # With few entities, a true loss at the warning's level must not stop a release by chance.
        loss_ceiling(limits.warn, found["old"]),
        limits,
        message,
        {"kind": "active", "release_id": release},
        evidence={**found},
        bars={f"share {part}": (None, value)},
    )
