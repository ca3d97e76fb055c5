"""`<query>/dynamodb_table`: one ImportTable call into a new table, verified, protected; then the release is sealed.

The verdict `import_complete` is stored before the seal, whether it passed or not; a release whose counts disagree is
never sealed (rule 6). Starting and adopting imports is in `resources.dynamodb.imports`, the table after it in `.tables`.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg
from kumo_serving.errors import KumoAssetsError
from kumo_serving.pointer import KeyAttribute

from kumo_assets.assets.keys import IMPORT_POOL, code_version, key_of
from kumo_assets.assets.links import estimated_dollars, table_link
from kumo_assets.assets.progress import changes
from kumo_assets.assets.seal import seal_release
from kumo_assets.assets.step import Step, begin
from kumo_assets.assets.ui import Metadata, result, sample_preview
from kumo_assets.config.load import QueryDefinition
from kumo_assets.documents import IMPORT_GATE, Artefact, ExportDetails, ImportDetails
from kumo_assets.errors import ImportFailed
from kumo_assets.gates.checks import check_spec
from kumo_assets.gates.import_complete import ImportEvidence, judge_import
from kumo_assets.gates.reporting import check_result, notify_of
from kumo_assets.releases.resource import ReleasesResource
from kumo_assets.resources.dynamodb import tables
from kumo_assets.resources.dynamodb.import_errors import step_after_failure
from kumo_assets.resources.dynamodb.imports import ImportRequest, ImportState, adopt_or_import, wait_for_import
from kumo_assets.resources.dynamodb.resource import DynamoDBResource
from kumo_assets.resources.waiting import Narrator

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ASSET = "dynamodb_table"
KEY = "e"


def build_dynamodb_table(definition: QueryDefinition, partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The asset that imports one release into a table of its own, and seals the release."""
    spec = definition.spec
    key = key_of(definition.name, ASSET)

    @dg.asset(
        key=key,
        deps=[key_of(definition.name, "s3_export")],
        partitions_def=partitions,
        group_name=definition.name,
        owners=spec.owners,
        kinds={"dynamodb"},
        description=f"A new DynamoDB table, one item per {spec.entity}, imported by one call and never written again.",
        code_version=code_version(definition),
        pool=IMPORT_POOL,
        check_specs=[check_spec(key, IMPORT_GATE, "block", partitions)],
    )
    def dynamodb_table(
        context: dg.AssetExecutionContext,
        kumo_assets_dynamodb: DynamoDBResource,
        kumo_assets_releases: ReleasesResource,
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        step = begin(context, definition, kumo_assets_releases, ASSET)
        artefact = step.existing()
        adopted = artefact is not None
        state: ImportState | None = None
        started = time.perf_counter()
        if artefact is None:
            attempt, state, was_adopted = _import(
                context, step, kumo_assets_dynamodb.client(), kumo_assets_releases.environment().bucket_owner
            )
            evidence = _evidence(step, kumo_assets_dynamodb.client(), state)
            shown = definition.spec.show_entities
            verdict = step.store.write_verdict(
                judge_import(evidence, opened=step.opened, run_id=step.run.run_id, show_entities=shown)
            )
            notify_of(definition.name, [verdict], step.store)
        else:
            stored = step.store.verdict(step.release_id, IMPORT_GATE)
            assert stored is not None, "the verdict is written before the artefact"
            verdict = stored
        # Yielded before anything can raise, so that the UI shows the red check and its reason on a failed import.
        yield check_result(key, verdict)
        if artefact is None:
            assert state is not None
            if not verdict.passed:
                _tag(context, step, kumo_assets_dynamodb.client(), state)
                raise ImportFailed(
                    "trust the import into",
                    to=state.table,
                    found=verdict.message,
                    next=step_after_failure(state.failure)
                    or "re-execute the run to import into a new table; the active release was not touched",
                )
            artefact = _prove(step, kumo_assets_dynamodb, attempt, state, was_adopted, started, context.log.info)
        sealed = seal_release(step, artefact)
        yield result(step, artefact, {**_metadata(step, artefact), "sealed at": sealed.sealed_at}, adopted)

    return dynamodb_table


@dataclass(frozen=True)
class _Arns:
    """The ARN of each attempt's import, in the release's folder."""

    step: Step

    def read(self, attempt: int) -> str | None:
        return self.step.store.import_arn(self.step.release_id, attempt)

    def write(self, attempt: int, table: str, arn: str) -> None:
        self.step.store.write_import(self.step.release_id, attempt, table, arn)


def _import(
    context: dg.AssetExecutionContext, step: Step, client: "DynamoDBClient", bucket_owner: str
) -> tuple[int, ImportState, bool]:
    source = step.upstream("s3_export")
    export = source.details_as(ExportDetails)
    spec = step.definition.spec

    def request_for(attempt: int) -> ImportRequest:
        return ImportRequest(
            table=step.names.dynamodb_table(step.release_id, attempt),
            bucket=step.names.bucket,
            prefix=export.prefix,
            key=KEY,
            format=export.format,
            tags=step.names.tags(step.release_id),
            sse=spec.table.sse,
            bucket_owner=bucket_owner,
        )

    # Right counts, but sampled items that differ: the same table would be judged the same again, so it is not adopted.
    judged = step.store.verdict(step.release_id, IMPORT_GATE)
    bad = judged.evidence.get("table") if judged is not None and not judged.passed else None

    def whole(state: ImportState) -> bool:
        return state.errors == 0 and state.imported == source.rows and state.table != bad

    narrator = Narrator(context.log.info)
    with narrator.waiting_for(f"DynamoDB to import {export.prefix}"):
        attempt, state, was_adopted = adopt_or_import(
            client, request_for, whole, lambda failed: _tag(context, step, client, failed), _Arns(step)
        )
        narrator(f"{'Adopted' if was_adopted else 'Started'} the import into {state.table} ({state.status})")
        state = wait_for_import(
            client,
            state,
            poll_seconds=spec.table.poll_seconds,
            deadline_seconds=spec.table.import_deadline_minutes * 60,
            on_progress=changes(narrator),
        )
    return attempt, state, was_adopted


def _tag(context: dg.AssetExecutionContext, step: Step, client: "DynamoDBClient", failed: ImportState) -> None:
    """Tag a failed attempt's table: retirement deletes nothing that does not carry our tags."""
    try:
        tables.tag(client, failed.table, step.names.tags(step.release_id))
    except KumoAssetsError as error:
        # The import's own failure is what a person must read.
        context.log.warning(f"{error}. Retirement will list the table as foreign")


def _prove(
    step: Step,
    dynamodb: DynamoDBResource,
    attempt: int,
    state: ImportState,
    adopted: bool,
    started: float,
    log: Callable[[str], None],
) -> Artefact:
    """Tag and protect the verified table, and record it. DynamoDB's time is all that passed since `started`, what it took
    to protect the table, to warm it and to make its replicas among it."""
    source = step.upstream("s3_export")
    client = dynamodb.client()
    wanted = step.definition.spec.table
    tables.care_for(client, state.table, wanted, step.names.tags(step.release_id))
    tables.wait_until_ready(
        client,
        state.table,
        wanted,
        deadline_seconds=wanted.import_deadline_minutes * 60,
        poll_seconds=wanted.poll_seconds,
        on_progress=changes(log),
    )
    return step.prove(
        name=state.table,
        attempt=attempt,
        rows=state.imported,
        entities=state.imported,
        seconds_outside=time.perf_counter() - started,
        details=ImportDetails(
            import_arn=state.arn,
            region=dynamodb.region(),
            key=KeyAttribute(KEY, "S"),
            errors=state.errors,
            bytes=state.bytes,
            sample=source.details_as(ExportDetails).sample,
            source=source.name,
            adopted=adopted,
        ),
    )


def _evidence(step: Step, client: "DynamoDBClient", state: ImportState) -> ImportEvidence:
    """Everything that rule 6 compares, read from the systems themselves."""
    post, export = step.upstream("postprocessed"), step.upstream("s3_export")
    sample = export.details_as(ExportDetails).sample
    differing = []
    if state.status == "COMPLETED":
        wanted = {item.entity: item.p for item in sample}
        stored = tables.read_items(client, state.table, KEY, list(wanted))
        differing = sorted(entity for entity, p in wanted.items() if stored.get(entity) != p)
    return ImportEvidence(
        keys=post.entities,
        exported=export.rows,
        imported=state.imported,
        processed=state.processed,
        errors=state.errors,
        status=state.status,
        failure=state.failure,
        sampled=len(sample),
        differing=differing,
        table=state.table,
    )


def _metadata(step: Step, artefact: Artefact) -> Metadata:
    details = artefact.details_as(ImportDetails)
    spec = step.definition.spec
    dollars = estimated_dollars(
        source_bytes=details.bytes,
        items=artefact.rows,
        export_bytes=step.upstream("s3_export").details_as(ExportDetails).bytes,
        replicas=len(spec.table.replicas),
        kept_days=spec.retention.keep,
    )
    return {
        "dagster/table_name": artefact.name,
        "table": table_link(details.region, artefact.name),
        "import": details.import_arn,
        "bytes imported": details.bytes,
        "estimated AWS cost (USD)": round(dollars["together"], 6),
        "estimated AWS cost, by part": dg.MetadataValue.json({name: round(sum_, 6) for name, sum_ in dollars.items()}),
        "preview": sample_preview(step.definition, details.sample),
    }
