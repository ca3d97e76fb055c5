"""The JSON documents of a release, as frozen values. Their fields are a contract: docs/architecture.md, "Documents".

Reading a damaged document is a ReleaseError that names the object and the field. Where documents live is in `store`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from kumo_assets.errors import ReleaseError

SCHEMA_VERSION = 1
IMPORT_GATE = "import_complete"


def utc_now() -> str:
    """The time now as every document writes it: ISO 8601, UTC, milliseconds, `Z`."""
    return utc_text(datetime.now(UTC))


def utc_text(moment: datetime) -> str:
    """A moment as every document writes it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Document(BaseModel):
    """What all documents share. Unknown fields are ignored: a newer writer must not stop an older reader."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: Literal[1] = SCHEMA_VERSION  # type: ignore[assignment]
    query: str

    def to_json(self) -> bytes:
        """Stable, indented JSON, for people who look at the bucket."""
        return (json.dumps(self.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes, where: str) -> Self:
        """The document in `data`; ReleaseError names `where` and the first field that is wrong."""
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "the document"
            raise ReleaseError(
                f"read the {cls.__name__.lower()} document",
                to=where,
                found=f"{field}: {first['msg']}",
                next="restore the object from bucket versioning, or build a new release",
            ) from error


def moment_in(text: str) -> datetime | None:
    """The moment a text tells; None when it tells none, or not where: a person may have written it."""
    try:
        found = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        return None
    return found if found.tzinfo is not None else None


def hours_since(text: str | None, now: datetime) -> float | None:
    """Hours from the moment a text tells; None when it tells none."""
    found = moment_in(text) if text else None
    return (now - found).total_seconds() / 3600 if found is not None else None


def _tells_a_moment(text: str) -> str:
    if moment_in(text) is None:
        raise ValueError("no time with its offset")
    return text


class GateRecord(BaseModel):
    """Which asset a gate looks at, and what it may do."""

    model_config = ConfigDict(frozen=True)
    asset: str
    mode: Literal["block", "warn"]


class Opened(Document):
    """`opened.json`: what a release set out to be, written before anything was launched."""

    environment: str
    partition: str
    release_id: str
    run_id: str
    root_run_id: str
    opened_at: str
    code_version: str
    by: str
    adopted: dict[str, str] = {}
    gates: dict[str, GateRecord] = {}


class Artefact(Document):
    """`artefacts/<asset>.json`: that one asset of the release exists and was proved."""

    release_id: str
    asset: str
    attempt: int
    name: str
    rows: int
    entities: int
    seconds_outside: float
    created_at: str
    details: dict[str, Any] = {}


class Verdict(Document):
    """`verdicts/<gate>.json`: the stored outcome of one gate for one release."""

    release_id: str
    partition: str
    gate: str
    asset: str
    mode: Literal["block", "warn"]
    passed: bool
    severity: Literal["ok", "warn", "error"]
    value: float | None = None
    limits: dict[str, Any] = {}
    baseline: dict[str, Any] = {}
    message: str
    evidence: dict[str, Any] = {}
    decided_at: str
    run_id: str

    @property
    def blocks(self) -> bool:
        """True when this verdict stops a promotion: an error of a gate in `block` mode."""
        return self.mode == "block" and not self.passed and self.severity != "warn"


class Seal(Document):
    """`release.json`: the seal, written last, once, when the import was verified."""

    environment: str
    release_id: str
    partition: str
    sealed_at: str
    table: str
    region: str
    key: dict[str, str]
    item_format: str
    fallback: str | None
    counts: dict[str, int]
    artefacts: dict[str, str]
    statistics: dict[str, Any] = {}
    kumo: dict[str, Any] = {}
    timings: dict[str, float] = {}
    opened: str

    @property
    def whole(self) -> bool:
        """Rule 6 on the seal's own figures: entities = exported = imported, no errors."""
        counts = self.counts
        return (
            counts.get("errors") == 0
            and counts.get("entities", -1) == counts.get("exported", -2) == counts.get("imported", -3)
            and counts.get("imported", 0) > 0
        )


class Rejection(Document):
    """`rejected.json`: this release is never to be promoted again."""

    release_id: str
    at: str
    by: str
    reason: str


class Forcing(Document):
    """`forced.json`: this release went live past a failed gate; it is never a known-good target."""

    release_id: str
    at: str
    by: str
    reason: str


class Retirement(Document):
    """`retiring.json` before the first delete, `retired.json` after the last."""

    release_id: str
    at: str
    by: str
    reason: str


Action = Literal["promote", "rollback", "hold", "unhold", "refuse", "hand_edit", "retire", "force"]


class LedgerEntry(Document):
    """One line of history: who moved what, when, why. `at` is a time with its offset, and names the entry."""

    at: Annotated[str, AfterValidator(_tells_a_moment)]
    action: Action
    by: str
    reason: str = ""
    from_release: str = ""
    to_release: str = ""
    generation: int = 0
    run_id: str = ""
