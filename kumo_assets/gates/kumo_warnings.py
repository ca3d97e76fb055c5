"""Gate `kumo_warnings`: Kumo's own words. They are free text without severity or code, so nothing is read into them:
an unlisted warning blocks, a listed one is lived with, an error always blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from kumo_assets.config.gates import KumoWarnings
from kumo_assets.gates.judgement import Judgement


def judge_warnings(
    warnings: Sequence[dict[str, str]], errors: Sequence[dict[str, str]], limits: KumoWarnings
) -> Judgement:
    """`warnings` and `errors` are {title, message} as Kumo wrote them, from launch and job."""
    unlisted = [item for item in warnings if not any(_matches(item, pattern) for pattern in limits.allow)]
    words = "; ".join(_words(item) for item in unlisted[:5])
    evidence = {"unlisted": unlisted[:20], "listed": len(warnings) - len(unlisted), "errors": list(errors[:20])}
    bounds = {"max_unlisted": limits.max_unlisted, "allow": list(limits.allow)}
    if errors:
        return Judgement(
            "error",
            "Kumo reports errors: " + "; ".join(_words(item) for item in errors[:5]),
            float(len(errors)),
            bounds,
            evidence=evidence,
            always=True,
        )
    if limits.mode == "off":
        return Judgement("ok", f"no errors; {len(warnings)} warnings, not asked about", None, bounds, evidence=evidence)
    if len(unlisted) > limits.max_unlisted:
        return Judgement(
            "error",
            f"{len(unlisted)} warnings of Kumo's are not on the allow-list: {words}",
            float(len(unlisted)),
            bounds,
            evidence=evidence,
        )
    if unlisted:
        return Judgement(
            "warn", f"{len(unlisted)} unlisted warnings: {words}", float(len(unlisted)), bounds, evidence=evidence
        )
    return Judgement("ok", f"no unlisted warnings; {len(warnings)} listed", 0.0, bounds, evidence=evidence)


def _matches(item: dict[str, str], pattern: str) -> bool:
    return fnmatchcase(item.get("title", ""), pattern)


def _words(item: dict[str, str]) -> str:
    return ": ".join(filter(None, (item.get("title", ""), item.get("message", "")))) or "(no words)"
