"""Gates that compare entity by entity with the active release's table: `entities_lost`, `overlap`. Pure judgements.

They need that table. When it is gone (retired by hand, another account) they say so, and block or warn by their mode:
what could not be compared did not pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kumo_assets.gates.judgement import Judgement, Severity
from kumo_assets.spec.gates import Limits


def judge_entities_lost(compared: Mapping[str, Any] | None, release: str, limits: Limits) -> Judgement:
    """`compared` has `old` and `lost` entities; None without an active release."""
    return _judge(compared, release, limits, "lost", "old", "entities of {release} have no prediction any more")


def judge_overlap(compared: Mapping[str, Any] | None, release: str, limits: Limits) -> Judgement:
    """`compared` has `changed` list entries of `entries` compared."""
    return _judge(compared, release, limits, "changed", "entries", "list entries of {release} are not in the new lists")


def _judge(
    compared: Mapping[str, Any] | None, release: str, limits: Limits, part: str, whole: str, sentence: str
) -> Judgement:
    bounds = {"warn": limits.warn, "block": limits.block}
    if compared is None:
        return Judgement("ok", "no active release to compare with (bootstrap)", None, bounds, {"kind": "bootstrap"})
    baseline = {"kind": "active", "release_id": release}
    if compared.get("missing"):
        return Judgement(
            "error", f"the table of the active release {release} is gone: {compared['missing']}", None, bounds, baseline
        )
    total = compared[whole]
    value = compared[part] / total if total else 0.0
    severity: Severity = "error" if value > limits.block else "warn" if value > limits.warn else "ok"
    words = f"{compared[part]:,} of {total:,} ({value:.1%}) {sentence.format(release=release)}"
    tail = {"error": f"; the limit is {limits.block:.0%}", "warn": f"; a warning from {limits.warn:.0%} on", "ok": ""}[
        severity
    ]
    return Judgement(severity, words + tail, value, bounds, baseline, dict(compared))
