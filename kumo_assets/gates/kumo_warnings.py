"""Gate `kumo_warnings`: Kumo's messages of a job. They are free text without severity or code, so their text is not
interpreted: an unlisted warning blocks, a listed one passes, an error always blocks. A pure judgement."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from kumo_assets.config.gates import KumoWarnings
from kumo_assets.documents import KumoNotice
from kumo_assets.gates.judgement import Judgement

MOST_KEPT, MOST_SHOWN = 20, 5


def judge_warnings(warnings: Sequence[KumoNotice], errors: Sequence[KumoNotice], limits: KumoWarnings) -> Judgement:
    """`warnings` and `errors` are Kumo's messages from launch and job."""
    unlisted = [item for item in warnings if not any(_matches(item, pattern) for pattern in limits.allow)]
    listed = len(warnings) - len(unlisted)
    evidence = {"unlisted": _kept(unlisted), "listed": listed, "errors": _kept(errors)}
    bounds = {"max_unlisted": limits.max_unlisted, "allow": list(limits.allow)}
    if errors:
        message = f"Kumo reports errors: {_text(errors)}"
        return Judgement("error", message, float(len(errors)), bounds, evidence=evidence, always=True)
    if limits.mode == "off":
        message = f"no errors; {len(warnings)} warnings, which this query does not judge"
        return Judgement("ok", message, None, bounds, evidence=evidence)
    if not unlisted:
        return Judgement("ok", f"no unlisted warnings; {listed} listed", 0.0, bounds, evidence=evidence)
    if len(unlisted) > limits.max_unlisted:
        message = f"{len(unlisted)} warnings of Kumo's are not on the allow-list: {_text(unlisted)}"
        return Judgement("error", message, float(len(unlisted)), bounds, evidence=evidence)
    message = f"{len(unlisted)} unlisted warnings: {_text(unlisted)}"
    return Judgement("warn", message, float(len(unlisted)), bounds, evidence=evidence)


def _matches(item: KumoNotice, pattern: str) -> bool:
    return fnmatchcase(item.title, pattern)


def _kept(messages: Sequence[KumoNotice]) -> list[dict[str, str]]:
    return [item.model_dump() for item in messages[:MOST_KEPT]]


def _text(messages: Sequence[KumoNotice]) -> str:
    """The first few messages as one line."""
    lines = (": ".join(filter(None, (item.title, item.message))) for item in messages[:MOST_SHOWN])
    return "; ".join(line or "(no text)" for line in lines)
