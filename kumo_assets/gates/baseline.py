"""What a release is compared with: the last promoted one, that of the same weekday last week, and a fixed reference.

Counts come from the seals, so that no table of theirs need exist; only the row-level gates want the active release's
table. A pointer that names something while nothing can be compared with is a fault, never a bootstrap: a first release
is one that has no promoted one before it, by the pointer and by the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Literal

from kumo_serving.pointer import partition_of_release, release_of_table

from kumo_assets.config.gates import GatesSpec
from kumo_assets.documents import Opened, Seal
from kumo_assets.releases.context import ReleaseContext


@dataclass(frozen=True)
class Baseline:
    """One release's stored counts, by asset, and in which capacity it is compared with."""

    kind: Literal["active", "weekday", "fixed"]
    release_id: str
    statistics: Mapping[str, Mapping[str, Any]]
    note: str = ""

    def counts(self, asset: str) -> Mapping[str, Any]:
        return self.statistics.get(asset) or {}

    def told(self, **figures: Any) -> dict[str, Any]:
        """The `baseline` of a verdict."""
        return {"kind": self.kind, "release_id": self.release_id} | ({"note": self.note} if self.note else {}) | figures


@dataclass(frozen=True)
class Baselines:
    """`active` is the seal of the last promoted release: its table is compared with row by row. `main` and `reference`
    are what distributions are compared with. `fault` says why there is nothing to compare with where there should be."""

    active: Seal | None = None
    main: Baseline | None = None
    reference: Baseline | None = None
    fault: str = ""

    def drift(self) -> list[Baseline]:
        """Everything that distributions are compared with; empty for a first release."""
        return [item for item in (self.main, self.reference) if item is not None]

    @property
    def mark(self) -> dict[str, str]:
        """What counts taken against these baselines are marked with; they are counted again when it has changed."""
        return {
            "active": self.active.release_id if self.active is not None else "",
            "main": self.main.release_id if self.main is not None else "",
            "reference": self.reference.release_id if self.reference is not None else "",
        }


def baselines_of(ctx: ReleaseContext, limits: GatesSpec, opened: Opened) -> Baselines:
    """What the release is compared with now. Reads the pointer, and a seal for each baseline.

    Raises ReleaseError or PointerError when S3 or the pointer's store does not answer, or the pointer is damaged.
    """
    names = _promoted(ctx, opened.release_id)
    reference, fault = _reference(ctx, limits.reference)
    if not names:
        return Baselines(reference=reference, fault=fault)
    active = next(_seals(ctx, names), None)
    if active is None:
        fault = "a release was promoted before this one, and no seal of any is found; nothing to compare with"
        return Baselines(reference=reference, fault=fault)
    counted = next((seal for seal in _seals(ctx, names) if seal.statistics), None)
    if counted is None:
        fault = fault or f"{active.release_id} stored no counts; nothing to compare with"
        return Baselines(active=active, reference=reference, fault=fault)
    main = Baseline("active", counted.release_id, counted.statistics)
    if limits.baseline == "weekday":
        day = (date.fromisoformat(opened.partition) - timedelta(days=7)).isoformat()
        main = _of_day(ctx, day, names) or replace(main, note=f"no promoted release of {day}")
    return Baselines(active=active, main=main, reference=reference, fault=fault)


def _promoted(ctx: ReleaseContext, own: str) -> list[str]:
    """The served release and its predecessors, newest first; by the ledger where there is no pointer, which somebody
    may have deleted. "" stands for a table of no release. A release is no baseline of itself."""
    found = ctx.pointers.read()
    if found is not None:
        pointer = found.pointer
        names = [pointer.served_release_id]
        names += [entry.release_id or release_of_table(entry.table) or "" for entry in pointer.previous]
    else:
        names = _by_ledger(ctx)
    return [name for name in dict.fromkeys(names) if name != own]


def _by_ledger(ctx: ReleaseContext) -> list[str]:
    return [entry.to_release for entry in reversed(ctx.ledger.moves()) if entry.to_release]


def _seals(ctx: ReleaseContext, names: Iterable[str]) -> Iterator[Seal]:
    """The seals of these releases that have one, read as they are wanted."""
    for name in names:
        sealed = ctx.store.sealed(name) if name else None
        if sealed is not None:
            yield sealed.seal


def _of_day(ctx: ReleaseContext, day: str, names: list[str]) -> Baseline | None:
    """The newest promoted release of a day: from the pointer's own list, else from the ledger."""
    for known in (lambda: names, lambda: _by_ledger(ctx)):
        of_day = [name for name in known() if partition_of_release(name) == day]
        for seal in _seals(ctx, of_day):
            if seal.statistics:
                return Baseline("weekday", seal.release_id, seal.statistics)
    return None


def _reference(ctx: ReleaseContext, release: str | None) -> tuple[Baseline | None, str]:
    """The fixed reference, or words on why it cannot be used."""
    if release is None:
        return None, ""
    sealed = ctx.store.sealed(release)
    if sealed is None or not sealed.seal.statistics:
        return None, f"gates.reference {release} is no sealed release with stored counts"
    return Baseline("fixed", release, sealed.seal.statistics), ""
