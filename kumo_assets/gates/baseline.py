"""What a release is compared with: the last promoted one, that of the same weekday last week, and a fixed reference.

Counts come from the seals, so none of their tables need exist; only the gates that compare row by row need the active
release's table. A pointer that names something while there is nothing to compare with is a fault, never a bootstrap: a
first release has no promoted one before it, neither in the pointer nor in the ledger. Nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from typing import Literal

from kumo_serving.pointer import partition_of_release, release_of_table

from kumo_assets.config.gates import GatesSpec
from kumo_assets.documents import Opened, Seal
from kumo_assets.gates.counts import ListCounts, Mark, PredictionCounts, Statistics, statistics_in
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.evidence import past


@dataclass(frozen=True)
class Baseline:
    """One release's stored counts, and in which capacity it is compared with."""

    kind: Literal["active", "weekday", "fixed"]
    release_id: str
    statistics: Statistics
    note: str = ""

    @classmethod
    def of(cls, kind: Literal["active", "weekday", "fixed"], seal: Seal) -> Baseline:
        return cls(kind, seal.release_id, statistics_in(seal.statistics))

    @property
    def predictions(self) -> PredictionCounts:
        """Counts of Kumo's table; empty when that release stored none."""
        return self.statistics.get("predictions") or {}

    @property
    def lists(self) -> ListCounts:
        """Counts of the table to be served; empty when that release stored none."""
        return self.statistics.get("postprocessed") or {}

    def recorded(self, **figures: object) -> dict[str, object]:
        """The `baseline` of a verdict: this release, and figures of it."""
        note = {"note": self.note} if self.note else {}
        return {"kind": self.kind, "release_id": self.release_id, **note, **figures}


@dataclass(frozen=True)
class Baselines:
    """`active` is the seal of the last promoted release, whose table is compared row by row. `main` and `reference` are
    what distributions are compared with. `fault` says why there is nothing to compare with where there should be."""

    active: Seal | None = None
    main: Baseline | None = None
    reference: Baseline | None = None
    fault: str = ""

    def drift(self) -> list[Baseline]:
        """Everything that distributions are compared with; empty for a first release."""
        return [item for item in (self.main, self.reference) if item is not None]

    @property
    def mark(self) -> Mark:
        """What counts taken against these baselines are marked with. When it has changed, they are taken again."""
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
    main = Baseline.of("active", counted)
    if limits.baseline == "weekday":
        day = (date.fromisoformat(opened.partition) - timedelta(days=7)).isoformat()
        main = _of_day(ctx, day, names) or replace(main, note=f"no promoted release of {day}")
    return Baselines(active=active, main=main, reference=reference, fault=fault)


def _promoted(ctx: ReleaseContext, own: str) -> list[str]:
    """The served release and its predecessors, newest first; from the ledger where there is no pointer, since somebody
    may have deleted it. "" means a table of no release. A release is no baseline of itself."""
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
    """The seals of those of these releases that have one, read one at a time. A damaged one is no seal to compare with."""
    for name in names:
        sealed = past([], partial(ctx.store.sealed, name))
        if sealed is not None:
            yield sealed.seal


def _of_day(ctx: ReleaseContext, day: str, names: list[str]) -> Baseline | None:
    """The newest promoted release of a day: from the pointer's own list, else from the ledger."""
    in_turn: tuple[Callable[[], list[str]], ...] = (lambda: names, lambda: _by_ledger(ctx))
    for known in in_turn:
        of_day = [name for name in known() if partition_of_release(name) == day]
        for seal in _seals(ctx, of_day):
            if seal.statistics:
                return Baseline.of("weekday", seal)
    return None


def _reference(ctx: ReleaseContext, release: str | None) -> tuple[Baseline | None, str]:
    """The fixed reference, or the reason why it cannot be used."""
    if release is None:
        return None, ""
    sealed = past([], partial(ctx.store.sealed, release))
    if sealed is None or not sealed.seal.statistics:
        return None, f"gates.reference {release} is no sealed release with stored counts"
    return Baseline.of("fixed", sealed.seal), ""
