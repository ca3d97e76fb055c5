"""`verdicts/<gate>.json`: the stored outcome of one gate for one release. Judging is in `gates`."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, JsonValue

from kumo_assets.documents.base import Document, Json, JsonObject, Record

IMPORT_GATE = "import_complete"


class ComparedWith(Record):
    """`baseline` of a verdict: what the release was compared with, and that release's own figures beside it."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Json] = Field(init=False)

    kind: Literal["bootstrap", "active", "fixed", "weekday", "absolute"] = "absolute"
    release_id: str | None = None

    def known(self) -> dict[str, JsonValue]:
        """Every field that is not null, by name."""
        return self.model_dump(exclude_none=True)


class EarlierVerdict(Record):
    """How a gate judged the release before its settings were changed."""

    mode: Literal["block", "warn"]
    passed: bool
    limits: JsonObject = Field(default_factory=dict)
    settings: JsonObject | None = None
    decided_at: str


class Verdict(Document):
    """The outcome of a gate. `limits` and `evidence` have the fields that the gate chose. `settings` is what the definition
    said of the gate (None where an earlier version recorded it), `earlier` the outcomes by other settings, oldest first."""

    added = frozenset({"settings", "earlier"})

    release_id: str
    partition: str
    gate: str
    asset: str
    mode: Literal["block", "warn"]
    passed: bool
    severity: Literal["ok", "warn", "error"]
    value: float | None = None
    limits: JsonObject = Field(default_factory=dict)
    baseline: ComparedWith = ComparedWith()
    message: str
    evidence: JsonObject = Field(default_factory=dict)
    decided_at: str
    run_id: str
    settings: JsonObject | None = None
    earlier: tuple[EarlierVerdict, ...] = ()

    def after(self, before: Verdict) -> Verdict:
        """This verdict in the place of another of the same gate: it keeps what was judged by other settings."""
        past = before.earlier
        if before.settings != self.settings:
            fields = before.model_dump(include=set(EarlierVerdict.model_fields))
            past = (*past, EarlierVerdict.model_validate(fields))
        return self.model_copy(update={"earlier": past})

    @property
    def blocks(self) -> bool:
        """True when this verdict stops a promotion: an error of a gate in `block` mode."""
        return self.mode == "block" and not self.passed and self.severity != "warn"

    @property
    def segment(self) -> str:
        """The part of the release that moved most, as text; "" when the gate names none."""
        return str(self.evidence.get("segment") or "")

    @property
    def bars(self) -> dict[str, list[float | None]]:
        """[in the baseline, in this release] by label, for the plot; None for what is no number."""
        stored = self.evidence.get("bars")
        pairs = stored.items() if isinstance(stored, dict) else ()
        return {
            label: [_number(value) for value in pair]
            for label, pair in pairs
            if isinstance(pair, list) and len(pair) == 2  # an own gate may have evidence of this name
        }


def _number(value: JsonValue) -> float | None:
    try:
        return float(value) if isinstance(value, int | float) else None
    except OverflowError:  # a whole number beyond what a float holds
        return None
