"""What a gate says of a release, a `Judgement`, and how it becomes the verdict to store. Pure values.

A figure that is no number never passes: `to_verdict` turns it into an error, whoever computed it. Judgements on a
figure that is compared with a baseline have their common part in `against_baseline`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from pydantic import JsonValue
from pydantic_core import to_jsonable_python

from kumo_assets.documents import ComparedWith, Opened, Verdict, utc_now
from kumo_assets.gates.outcome import Bars
from kumo_assets.redaction import redacted, without_secrets

Severity = Literal["ok", "warn", "error"]
SEVERITIES: tuple[Severity, ...] = ("ok", "warn", "error")
# The `baseline` of a verdict whose limits hold without any comparison.
ABSOLUTE: Mapping[str, object] = {"kind": "absolute"}


@dataclass(frozen=True)
class Judgement:
    """`severity` error stops a release where the gate's mode is block; a warning is shown and lets it through.

    `segment` names the part that moved most. `always` makes an error block in every mode; only gates registered with
    `errors_always_block` set it. `limits`, `baseline` and `evidence` hold what JSON can; NaN and infinity as well.
    """

    severity: Severity
    message: str
    value: float | None = None
    limits: Mapping[str, object] = field(default_factory=dict)
    baseline: Mapping[str, object] = field(default_factory=dict)
    evidence: Mapping[str, object] = field(default_factory=dict)
    segment: str = ""
    bars: Bars = field(default_factory=dict)
    always: bool = False


def level(value: float, warn: float, block: float) -> Severity:
    """The severity of a figure against its two limits. NaN is an error, not a pass."""
    if not value <= block:  # NaN compares false with everything
        return "error"
    return "warn" if value > warn else "ok"


def limit_passed(severity: Severity, warn: float, block: float, form: str = ".3g") -> str:
    """The end of a message: which limit the figure is above."""
    return {"error": f"; the limit is {block:{form}}", "warn": f"; a warning from {warn:{form}} on", "ok": ""}[severity]


def gravity(judgement: Judgement) -> tuple[int, float]:
    """What judgements of one gate are ordered by: severity, then the figure."""
    return SEVERITIES.index(judgement.severity), judgement.value or 0.0


def worst(judgements: Sequence[Judgement]) -> Judgement:
    """The gravest of several comparisons of one gate, its message followed by those of the others."""
    ordered = sorted(judgements, key=gravity, reverse=True)
    return replace(ordered[0], message="; ".join(item.message for item in ordered))


def to_verdict(
    judgement: Judgement,
    opened: Opened,
    gate: str,
    asset: str,
    mode: str,
    run_id: str,
    settings: Mapping[str, JsonValue] | None = None,
) -> Verdict:
    """The verdict to store. In `warn` mode an error is only a warning, unless it blocks always. `settings` is what the
    definition says of the gate."""
    if judgement.value is not None and not math.isfinite(judgement.value):
        judgement = replace(
            judgement, severity="error", message=f"{judgement.message} (the figure is {judgement.value})", value=None
        )
    severity = judgement.severity
    stored_mode: Literal["block", "warn"] = "warn" if mode == "warn" else "block"
    if severity == "error" and judgement.always:
        stored_mode = "block"
    elif mode == "warn" and severity == "error":
        severity = "warn"
    evidence = dict(judgement.evidence)
    if judgement.segment:
        evidence["segment"] = judgement.segment
    if judgement.bars:
        evidence["bars"] = {name: list(pair) for name, pair in judgement.bars.items()}
    return Verdict(
        query=opened.query,
        release_id=opened.release_id,
        partition=opened.partition,
        gate=gate,
        asset=asset,
        mode=stored_mode,
        passed=severity == "ok",
        severity=severity,
        value=judgement.value,
        limits=as_json(judgement.limits),
        baseline=ComparedWith.model_validate(as_json(judgement.baseline)),
        # An own gate's, or a vendor's own text: stored on S3 and by Dagster, and sent as a notification.
        message=without_secrets(judgement.message),
        evidence=redacted(as_json(evidence)),
        decided_at=utc_now(),
        run_id=run_id,
        settings=None if settings is None else dict(settings),
    )


def as_json(values: Mapping[str, object]) -> dict[str, JsonValue]:
    """The values as JSON has them. An own gate's may be of any type; raises what its conversion raises."""
    return {str(name): _json_value(value) for name, value in values.items()}


def _json_value(value: object) -> JsonValue:
    """The value as JSON has it. NaN and infinity, which JSON does not have, become their names."""
    value = plain(value)
    if isinstance(value, Mapping):
        return as_json(value)
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    found: JsonValue = to_jsonable_python(value, fallback=str)  # an own gate's evidence may be of any type
    return found


def plain(value: object) -> object:
    """A number or an array of numpy's, and what is like one, as Python's own; any other value as it is."""
    convert = getattr(value, "tolist", None)
    return convert() if callable(convert) else value
