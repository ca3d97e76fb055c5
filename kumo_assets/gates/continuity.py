"""Gates that compare entity by entity with the active release's table: `entities_lost`, `overlap`. Pure judgements.

They need that table. When it is gone (retired by hand, another account) or cannot be compared with (another task's
columns) they say so, and block or warn by their mode: what could not be compared did not pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kumo_assets.config.gates import Limits
from kumo_assets.gates.drift import bootstrap, judged, nothing
from kumo_assets.gates.judgement import Judgement
from kumo_assets.gates.statistics import loss_ceiling


def judge_entities_lost(compared: Mapping[str, Any] | None, release: str, limits: Limits) -> Judgement:
    """`compared` has `old` and `lost` entities, or why it has not: `missing` a table, or Snowflake's words on what
    `failed`. None without an active release, whose id `release` is."""
    return _judge(compared, release, limits, "lost", "old", "entities of {release} have no prediction any more")


def judge_overlap(compared: Mapping[str, Any] | None, release: str, limits: Limits) -> Judgement:
    """`compared` has `changed` list entries of `entries` compared, or as for `judge_entities_lost` why not."""
    return _judge(compared, release, limits, "changed", "entries", "list entries of {release} are not in the new lists")


def _judge(
    compared: Mapping[str, Any] | None, release: str, limits: Limits, part: str, whole: str, sentence: str
) -> Judgement:
    if compared is None and release:
        return nothing(f"the table of the active release {release} was not looked at", None, limits)
    if compared is None:
        return bootstrap("there is no active release whose table to compare with", limits)
    if compared.get("missing"):
        return nothing(f"the table of the active release {release} is gone: {compared['missing']}", None, limits)
    if compared.get("failed"):
        return nothing(f"with the table of the active release {release}: {compared['failed']}", None, limits)
    total = compared[whole]
    if not total:
        return nothing(f"none of the entities of {release} was found to compare", None, limits)
    value = compared[part] / total
    sample = compared.get("sample", 1)
    words = f"{compared[part]:,} of {total:,} ({value:.1%}) {sentence.format(release=release)}"
    words += f" (one entity in {sample} asked)" if sample > 1 else ""
    # Few entities: a true loss at the warning's level must not stop a release by chance.
    floor = loss_ceiling(limits.warn, compared["old"])
    told = {"kind": "active", "release_id": release}
    bars = {f"share {part}": (None, value)}
    return judged(value, floor, limits, words, told, dict(compared), "", bars)
