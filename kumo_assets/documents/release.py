"""The documents of one release, from `opened.json` to `retired.json`, but for its verdicts.

Their fields are a contract: docs/architecture.md, "Documents". What an artefact records besides is in `details`.
"""

from __future__ import annotations

from typing import Literal, TypeVar

from kumo_serving.pointer import KeyAttribute
from pydantic import Field, SerializeAsAny, ValidationError

from kumo_assets.documents.base import Document, JsonObject, Record, damaged, first_fault
from kumo_assets.documents.details import Details

D = TypeVar("D", bound=Details)


class GateRecord(Record):
    """Which asset a gate looks at, and what it may do."""

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
    adopted: dict[str, str] = Field(default_factory=dict)
    gates: dict[str, GateRecord] = Field(default_factory=dict)


class Attempt(Document):
    """`attempts/<asset>-a<N>.json`: what an attempt at an artefact is made from, and by which run. Written once, before
    anything is started under the attempt's name."""

    release_id: str
    asset: str
    attempt: int
    made_from: JsonObject
    fingerprint: str
    run_id: str
    by: str
    begun_at: str


class Artefact(Document):
    """`artefacts/<asset>.json`: that one asset of the release exists and was proved. `made_from` and its digest,
    `fingerprint`, say what it was made from (`releases.fingerprints`); None where an earlier version recorded it."""

    added = frozenset({"made_from", "fingerprint"})

    release_id: str
    asset: str
    attempt: int
    name: str
    rows: int
    entities: int
    seconds_outside: float
    created_at: str
    made_from: JsonObject | None = None
    fingerprint: str | None = None
    details: SerializeAsAny[Details] = Details()

    def details_as(self, kind: type[D]) -> D:
        """The details as the type that the reader needs. DamagedDocument names the object and the first wrong field."""
        if isinstance(self.details, kind):
            return self.details
        try:
            return kind.model_validate(self.details.model_dump(by_alias=True))
        except ValidationError as error:
            where = f"artefacts/{self.asset}.json of release {self.release_id} of {self.query}"
            raise damaged(type(self), where, first_fault(error, "details")) from error


class SealCounts(Record):
    """Rows and distinct entities in SQL, rows exported, items imported, and errors of the import (rule 6)."""

    rows: int
    entities: int
    exported: int
    imported: int
    errors: int

    @property
    def agree(self) -> bool:
        """Rule 6: entities = rows exported = items imported, and no errors."""
        return self.errors == 0 and self.entities == self.exported == self.imported > 0


class KumoRecord(Record):
    """Which job or run, model and snapshot the predictions come from; None for what their source did not say. Every
    source fills it: it is stored under the name `kumo`, which dates from when there was no other."""

    job_id: str | None = None
    model_id: str | None = None
    snapshot_id: str | None = None
    tracking_url: str | None = None


class Seal(Document):
    """`release.json`: the seal, written last, once, when the import was verified. `artefacts`, `statistics` and
    `timings` (seconds in outside services) are by asset."""

    environment: str
    release_id: str
    partition: str
    sealed_at: str
    table: str
    region: str
    key: KeyAttribute
    item_format: str
    fallback: str | None
    counts: SealCounts
    artefacts: dict[str, str]
    statistics: dict[str, JsonObject] = Field(default_factory=dict)
    kumo: KumoRecord = KumoRecord()
    timings: dict[str, float] = Field(default_factory=dict)
    opened: str


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
