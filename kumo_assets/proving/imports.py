"""What is assumed of ImportTable: its token, its counters, the values that it imports, and what it does with bad rows.

The request, the start, the wait and the judgement are those of the chain. The objects are Snowflake's where it unloaded
some, else written here as Snowflake writes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from botocore.exceptions import ClientError

from kumo_assets.assets.dynamodb_table import KEY
from kumo_assets.assets.postprocess_proof import MOST_KEY_BYTES
from kumo_assets.gates.import_complete import ImportEvidence, faults
from kumo_assets.proving.proof import BROKEN, PLAIN, SPOILED, Proof
from kumo_assets.proving.report import Differs
from kumo_assets.proving.snowflake import exported
from kumo_assets.proving.values import csv_object, differences, items_of, summed_up
from kumo_assets.resources.dynamodb.imports import (
    TAKEN,
    ImportRequest,
    ImportState,
    adopt_or_import,
    find_import,
    wait_for_import,
)
from kumo_assets.resources.dynamodb.tables import read_items

ONE = '[["class",0.5]]'
# A repeated key, and a key that is one byte too long for one: (entity, p) of each object's rows.
DUPLICATES = (("twice", ONE), ("twice", '[["class",0.25]]'), ("once", ONE))
BAD_LINE = (("before", ONE), ("k" * (MOST_KEY_BYTES + 1), ONE), ("after", ONE))
MISMATCH = ("IdempotentParameterMismatch", "IdempotentParameterMismatchException", "ImportConflictException")


@dataclass
class Imports:
    """The imports of a proof, by attempt, as last seen, and what each was made from: entity -> `p`."""

    proof: Proof
    states: dict[int, ImportState] = field(default_factory=dict)
    items: dict[int, dict[str, str]] = field(default_factory=dict)

    def request(self, attempt: int) -> ImportRequest:
        names, release = self.proof.names, self.proof.release
        return ImportRequest(
            table=names.dynamodb_table(release, attempt),
            bucket=names.bucket,
            prefix=names.export_prefix(release, attempt),
            key=KEY,
            format="csv",
            tags=names.tags(release),
            sse=self.proof.sse,
            bucket_owner=self.proof.environment.bucket_owner,
        )

    def start(self, attempt: int) -> None:
        """Start an import of the attempt's objects, which are written first where Snowflake has not."""
        proof = self.proof
        prefix = proof.names.export_prefix(proof.release, attempt)
        if attempt not in proof.unloaded:
            parts = [DUPLICATES, BAD_LINE] if attempt == SPOILED else [tuple(items_of(proof.lists(attempt)).items())]
            for number, rows in enumerate(parts):
                proof.objects.put(f"{prefix}data_{number}.csv.gz", csv_object(rows), content_type="application/gzip")
        self.items[attempt] = dict(exported(proof, attempt))
        _, self.states[attempt], _ = adopt_or_import(
            proof.dynamodb, lambda _: self.request(attempt), whole=lambda state: True
        )

    def wait(self, attempt: int) -> ImportState:
        """Return when the import has ended, whatever its end."""
        table = self.proof.definition.spec.table
        with self.proof.narrator.waiting_for(f"DynamoDB to import {self.request(attempt).table} (minutes on AWS)"):
            self.states[attempt] = wait_for_import(
                self.proof.dynamodb,
                self.states[attempt],
                poll_seconds=table.poll_seconds,
                deadline_seconds=table.import_deadline_minutes * 60,
            )
        return self.states[attempt]

    def stored(self, attempt: int) -> dict[str, str]:
        """Entity -> `p` of the items that are in the table, of those that were to be."""
        keys = [entity for entity in self.items[attempt] if len(entity.encode()) <= MOST_KEY_BYTES]
        return read_items(self.proof.dynamodb, self.request(attempt).table, KEY, keys)


def prove_imports(proof: Proof) -> Imports:
    """Import, and try every row that is about the import itself."""
    report, imports = proof.report, Imports(proof)
    with report.trying("import-token-running") as trial:
        imports.start(PLAIN)
        trial.seen = _same_import(imports, imports.request(PLAIN).parameters())
    if PLAIN not in imports.states:
        report.skip_rest("dynamodb", "no import was started")
        return imports
    with report.trying("import-complete") as trial:
        # The others are started before the first is waited for: each takes minutes.
        for attempt in (BROKEN, SPOILED):
            imports.start(attempt)
        trial.seen = _complete(imports, PLAIN)
    for name, attempt in (("import-values", PLAIN), ("import-line-breaks", BROKEN)):
        with report.trying(name) as trial:
            if attempt != PLAIN:
                _complete(imports, attempt)
            wanted = imports.items[attempt]
            wrong = differences(wanted, imports.stored(attempt))
            if wrong:
                raise Differs(summed_up(wrong, len(wanted)))
            trial.seen = f"{len(wanted)} items"
    with report.trying("import-token-ended") as trial:
        trial.seen = _same_import(imports, imports.request(PLAIN).parameters())
    other = replace(imports.request(PLAIN), prefix=imports.request(BROKEN).prefix)
    with report.trying("import-token-other") as trial:
        changed = other.parameters() | {"ClientToken": imports.request(PLAIN).token}
        trial.seen = _refused(proof, changed, MISMATCH)
    with report.trying("import-name-taken") as trial:
        trial.seen = _refused(proof, other.parameters(), TAKEN)
    with report.trying("import-listed") as trial:
        found = find_import(proof.dynamodb, imports.request(PLAIN).table)
        if found is None or found.arn != imports.states[PLAIN].arn:
            raise Differs(f"{found.arn if found else 'none'} is listed instead of {imports.states[PLAIN].arn}")
        trial.seen = found.arn.rpartition("/")[2]
    _spoiled(imports)
    return imports


def _same_import(imports: Imports, parameters: Any) -> str:
    """Ask for the first import again. Differs when AWS answers with another one, or refuses."""
    answer = imports.proof.dynamodb.import_table(**parameters)["ImportTableDescription"]
    known = imports.states[PLAIN].arn
    if answer["ImportArn"] != known:
        raise Differs(f"a second import was started: {answer['ImportArn']} beside {known}")
    return f"the same import, {answer['ImportStatus']}"


def _complete(imports: Imports, attempt: int) -> str:
    """Judge an import as the chain does."""
    state, wanted = imports.wait(attempt), imports.items[attempt]
    sample = list(wanted)[: imports.proof.definition.spec.table.sample]
    evidence = ImportEvidence(
        keys=len(wanted),
        exported=len(wanted),
        imported=state.imported,
        processed=state.processed,
        errors=state.errors,
        status=state.status,
        failure=state.failure,
        sampled=len(sample),
        differing=[],  # every item is compared in a row of its own
        table=state.table,
    )
    wrong = faults(evidence)
    if state.processed != state.imported:
        wrong.append(f"{state.processed} were processed")
    if wrong:
        raise Differs("; ".join(wrong))
    return f"{state.imported} of {len(wanted)}"


def _refused(proof: Proof, parameters: Any, codes: tuple[str, ...]) -> str:
    try:
        answer = proof.dynamodb.import_table(**parameters)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code not in codes:
            raise
        return code
    raise Differs(f"it was accepted: {answer['ImportTableDescription']['ImportArn']}")


def _spoiled(imports: Imports) -> None:
    """One import of a file that repeats a key, and of one with a line that can be no item."""
    report = imports.proof.report
    if SPOILED not in imports.states:
        for name in ("import-bad-line", "import-duplicates"):
            report.skip(name, "its import was not started")
        return
    with report.trying("import-bad-line") as trial:
        state = imports.wait(SPOILED)
        if state.errors == 0 and state.status == "COMPLETED":
            raise Differs("the import ended COMPLETED without an error")
        rest = "there" if "after" in imports.stored(SPOILED) else "missing"
        trial.seen = f"{state.errors} errors; the line after it is {rest}"
    with report.trying("import-duplicates") as trial:
        state = imports.wait(SPOILED)
        if state.errors > 1 or "twice" not in imports.stored(SPOILED):
            raise Differs(f"{state.errors} errors for one bad line and one repeated key, which is one item")
        trial.seen = f"one item; {state.imported} counted as imported, of {len(DUPLICATES)} and {len(BAD_LINE)} rows"
