"""What is assumed of a release at its end: a service's reader answers from it, and retirement takes all of it away.

The imported table becomes a sealed release of the proof's own. A pointer names it, and then another one, as after a
promotion; both moves and the retirement are those of the operations on releases.
"""

from __future__ import annotations

import tempfile
from contextlib import closing
from datetime import date, timedelta

from kumo_serving import Answer, Miss, Reader
from kumo_serving.pointer import KeyAttribute

from kumo_assets.config.names import ReleaseId
from kumo_assets.documents import (
    Artefact,
    Details,
    ExportDetails,
    Opened,
    Rejection,
    Seal,
    SealCounts,
    utc_now,
)
from kumo_assets.pointers.opening import pointer_store_at
from kumo_assets.proving.imports import Imports
from kumo_assets.proving.pointers import BY, pointer
from kumo_assets.proving.proof import BROKEN, PLAIN, Proof
from kumo_assets.proving.report import Differs, NotTried
from kumo_assets.proving.values import differences, summed_up
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.ledger import Ledger
from kumo_assets.releases.operations.belongings import export_keys
from kumo_assets.releases.operations.move import move_pointer
from kumo_assets.releases.operations.retire import DropTables, retire
from kumo_assets.releases.store import ReleaseStore
from kumo_assets.resources.dynamodb import tables

BUDGET_SECONDS = 10.0
NOBODY = "nobody has this key"


def prove_serving(imports: Imports) -> None:
    """Try the rows of the reader and of retirement."""
    proof = imports.proof
    report = proof.report
    with closing(_context(proof)) as ctx:
        with report.trying("reader-values") as trial:
            _seal(ctx, imports)
            current = ctx.pointers.read()
            move_pointer(ctx, pointer(proof, 1, PLAIN), current, action="promote", by=BY, reason="prove")
            trial.seen = _read(imports, ctx.pointers.uri)
        with report.trying("reader-miss") as trial:
            with closing(_reader(proof, ctx.pointers.uri)) as reader:
                found = reader.get(NOBODY, budget_seconds=BUDGET_SECONDS)
            if not isinstance(found, Miss):
                raise Differs(f"{found}")
            trial.seen = "a miss"
        with report.trying("retirement") as trial:
            if not report.holds("table-tags"):
                raise NotTried("table-tags does not hold, and retirement deletes no table without our tags")
            trial.seen = _retire(ctx, imports)


def _context(proof: Proof) -> ReleaseContext:
    """The proof's own releases, and a pointer apart from the one that the stores are tried with."""
    names, objects = proof.names, proof.objects
    return ReleaseContext(
        names=names,
        definition=proof.definition,
        store=ReleaseStore(names, objects),
        pointers=pointer_store_at(objects.uri(f"{names.root}served/active.json"), names, lambda bucket: objects),
        ledger=Ledger(names, objects),
        make_dynamodb=lambda: proof.dynamodb,
        zookeeper=proof.environment.zookeeper,
    )


def _seal(ctx: ReleaseContext, imports: Imports) -> None:
    """Record the import as a release: what retirement reads."""
    proof, state = imports.proof, imports.states[PLAIN]
    names, release, rows = proof.names, proof.release, len(imports.items[PLAIN])
    opened = ctx.store.open(
        Opened(
            query=names.query,
            environment=names.environment,
            partition=proof.partition,
            release_id=release,
            run_id=names.proof,
            root_run_id=names.proof,
            opened_at=utc_now(),
            code_version="prove",
            by=BY,
            adopted={},
            gates={},
        )
    )
    prefix = names.export_prefix(release)
    recorded: tuple[tuple[str, str, Details], ...] = (
        ("predictions", names.warehouse_table(release, "predictions"), Details()),
        # As many attempts as there are tables, so that retirement drops all of them.
        ("postprocessed", names.warehouse_table(release, "postprocessed", BROKEN), Details()),
        (
            "s3_export",
            proof.objects.uri(prefix),
            ExportDetails(prefix=prefix, format="csv", files=(), bytes=0, fallback=None, source="", sample=()),
        ),
        ("dynamodb_table", state.table, Details()),
    )
    for asset, name, details in recorded:
        ctx.store.write_artefact(
            Artefact(
                query=names.query,
                release_id=release,
                asset=asset,
                attempt=BROKEN if asset == "postprocessed" else 1,
                name=name,
                rows=rows,
                entities=rows,
                seconds_outside=0.0,
                created_at=utc_now(),
                details=details,
            )
        )
    ctx.store.seal(
        Seal(
            query=names.query,
            environment=names.environment,
            release_id=release,
            partition=proof.partition,
            sealed_at=utc_now(),
            table=state.table,
            region=proof.dynamodb.meta.region_name,
            key=KeyAttribute(),
            item_format="ranking/1",
            fallback=None,
            counts=SealCounts(rows=rows, entities=rows, exported=rows, imported=state.imported, errors=state.errors),
            artefacts={},
            opened=ctx.store.digest_of_opened(opened.release_id),
        )
    )


def _reader(proof: Proof, uri: str) -> Reader:
    return Reader(
        proof.names.query,
        pointer=uri,
        environment=proof.names.environment,
        cache_dir=tempfile.mkdtemp(prefix="kumo-assets-prove-"),
    )


def _read(imports: Imports, uri: str) -> str:
    """Every entity, as a service asks for it. Differs names the first whose answer is not what was inserted."""
    wanted = imports.proof.lists(PLAIN)
    with closing(_reader(imports.proof, uri)) as reader:
        outcomes = reader.get_many(list(wanted), budget_seconds=BUDGET_SECONDS)
    found = {
        str(entity): outcome.predictions if isinstance(outcome, Answer) else outcome
        for entity, outcome in outcomes.items()
    }
    wrong = differences(wanted, found)
    if wrong:
        raise Differs(summed_up(wrong, len(wanted)))
    return f"{len(wanted)} entities"


def _retire(ctx: ReleaseContext, imports: Imports) -> str:
    """Let the pointer go on to another release, and retire the proof's."""
    proof = imports.proof
    current = ctx.pointers.read()
    if current is None:
        raise NotTried("there is no pointer")
    newer = str(ReleaseId.of((date.fromisoformat(proof.partition) + timedelta(days=1)).isoformat(), proof.names.proof))
    after = pointer(proof, 2).replace(release_id=newer, table=proof.names.dynamodb_table(newer), previous=())
    ctx.store.reject(Rejection(query=ctx.query, release_id=proof.release, at=utc_now(), by=BY, reason="prove"))
    move_pointer(ctx, after, current, action="promote", by=BY, reason="prove", from_release=proof.release)
    made = [imports.request(attempt).table for attempt in imports.states]
    retired = retire(ctx, _drop(proof), by=BY)
    if retired != [proof.release]:
        raise Differs(f"{retired or 'nothing'} was retired")
    standing = [name for name in made if (state := tables.describe(ctx.dynamodb, name)) and state.status == "ACTIVE"]
    if standing or export_keys(ctx, proof.release):
        raise Differs(f"{', '.join(standing) or 'the export'} is still there")
    return f"{len(made)} tables and the export"


def _drop(proof: Proof) -> DropTables:
    """Drops the proof's tables in Snowflake, where it made some."""
    from kumo_assets.resources.drop import drop_tables

    return drop_tables if proof.lease.warehouse is not None else lambda names: None
