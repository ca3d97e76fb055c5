"""One run of `prove`: clean up what earlier ones left, take the lease, try the areas, clean up, in every case.

What is tried is in the modules of the areas. Nothing is printed here: lines and rows are handed to the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from kumo_assets.config.environment import Environment
from kumo_assets.config.load import QueryDefinition
from kumo_assets.proving.assumptions import AREAS, ASSUMPTIONS, Area
from kumo_assets.proving.cleaning import Cleaner
from kumo_assets.proving.lease import left_behind
from kumo_assets.proving.proof import Options, Proof
from kumo_assets.proving.report import Report, Row
from kumo_assets.resources.waiting import Narrator

# How often what is waited for is said.
SAY_SECONDS = 15.0


@dataclass
class Run:
    """One run as far as it is: its report, and what it could not delete (`left`) or must leave alone (`alone`)."""

    environment: Environment
    queries: Sequence[QueryDefinition]
    areas: Collection[Area]
    options: Options
    left: list[str] = field(default_factory=list)
    alone: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.note: Callable[[str], object] = lambda line: None
        narrator = Narrator(self._say, every_seconds=SAY_SECONDS)
        self.proof = Proof(self.environment, self.queries, self.options, Report(), narrator)

    def _say(self, line: str) -> None:
        self.note(line)

    def tell(self, note: Callable[[str], object], on_row: Callable[[Row], object]) -> None:
        """Say what is done by `note`, a line at a time, and each row that is decided by `on_row`."""
        self.note, self.report.on_row = note, on_row

    @property
    def report(self) -> Report:
        return self.proof.report

    @property
    def planned(self) -> int:
        """How many rows will be decided."""
        return sum(one.area in self.areas for one in ASSUMPTIONS)

    def go(self) -> None:
        """Try every area that was asked for. Raises ObjectStoreError when the lease cannot be taken: then nothing was
        made. An interruption is passed on once the proof is cleaned up."""
        cleaner = Cleaner(self.proof.objects, lambda: self.proof.dynamodb, self.proof.narrator)
        self._finish_others(cleaner)
        self.proof.begin()
        try:
            self._try()
        finally:
            self.note("Deleting what this proof made")
            try:
                self.left += cleaner.clean(self.proof.names, self.proof.lease)
            except KeyboardInterrupt:
                self.left.append(f"proof {self.proof.names.proof}: deleting it was interrupted")
                raise

    def _finish_others(self, cleaner: Cleaner) -> None:
        for names, lease, why_not in left_behind(self.proof.names, self.proof.objects):
            if lease is None or why_not:
                self.alone.append(f"proof {names.proof} {why_not}")
                continue
            self.note(f"Deleting what proof {names.proof} of {lease.by} left behind")
            self.left += cleaner.clean(names, lease)

    def _try(self) -> None:
        # In this order, because an import takes what Snowflake unloaded.
        for area in (one for one in AREAS if one in self.areas):
            self.note(f"Trying {area}")
            try:
                _TRY[area](self.proof)
            except Exception as error:  # noqa: BLE001 - it is the outcome of the row that comes next, and hides no other
                self._failed(area, error)
            self.report.skip_rest(area, "what it needs does not hold")

    def _failed(self, area: Area, error: Exception) -> None:
        undecided = [one.name for one in ASSUMPTIONS if one.area == area and one.name not in self.report.rows]
        for name in undecided[:1]:
            with self.report.trying(name):
                raise error


def _s3(proof: Proof) -> None:
    from kumo_assets.proving.s3 import prove_s3

    prove_s3(proof)


def _snowflake(proof: Proof) -> None:
    from kumo_assets.proving.snowflake import prove_snowflake

    prove_snowflake(proof)


def _dynamodb(proof: Proof) -> None:
    from kumo_assets.proving.imports import prove_imports
    from kumo_assets.proving.proof import PLAIN
    from kumo_assets.proving.serving import prove_serving
    from kumo_assets.proving.tables import prove_tables

    imports = prove_imports(proof)
    if PLAIN in imports.states and imports.wait(PLAIN).status == "COMPLETED":
        prove_tables(imports)
        prove_serving(imports)


def _pointer(proof: Proof) -> None:
    from kumo_assets.proving.pointers import prove_pointers

    prove_pointers(proof)


def _kumo(proof: Proof) -> None:
    from kumo_assets.proving.kumo import prove_kumo

    prove_kumo(proof)


_TRY: dict[Area, Callable[[Proof], None]] = {
    "snowflake": _snowflake,
    "s3": _s3,
    "dynamodb": _dynamodb,
    "pointer": _pointer,
    "kumo": _kumo,
}
