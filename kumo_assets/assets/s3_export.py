"""`<query>/s3_export`: one COPY INTO from Snowflake to an S3 prefix that was empty, and the fallback list beside it.

One row per entity, the ranked list packed into one attribute by SQL; no row passes through Python. The count that the
unload reports must equal the distinct entities that were proved before it.
"""

import json
from collections.abc import Mapping

import dagster as dg
from dagster_snowflake import SnowflakeResource

from kumo_assets.assets.keys import code_version, key_of
from kumo_assets.assets.links import s3_link
from kumo_assets.assets.step import Step, begin, table_of
from kumo_assets.assets.templates import shipped
from kumo_assets.assets.ui import Metadata, result, sample_preview
from kumo_assets.config.environment import Environment
from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.query import NOT_SHOWN, Export, PredictiveQuerySpec
from kumo_assets.documents import Artefact, ExportDetails, ExportedFile, SampledItem, WarehouseDetails
from kumo_assets.errors import ExportError
from kumo_assets.releases.resource import ReleasesResource
from kumo_assets.resources.aws import encryption
from kumo_assets.resources.s3_objects import ObjectStore
from kumo_assets.resources.snowflake import MOST_ROWS_FETCHED, Warehouse, connect
from kumo_assets.resources.sql import literal
from kumo_assets.resources.stages import location
from kumo_assets.resources.storage import storage_clauses

ASSET = "s3_export"
MOST_ATTEMPTS = 20
# Entities that the sample is chosen from. It is so many that the chance of finding fewer than the sample is below 10^-30.
LOOKED_AT = 200


def build_s3_export(definition: QueryDefinition, partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The asset that unloads one release to S3."""
    spec = definition.spec

    @dg.asset(
        key=key_of(definition.name, ASSET),
        deps=[key_of(definition.name, "postprocessed")],
        partitions_def=partitions,
        group_name=definition.name,
        owners=spec.owners,
        kinds={"s3", "snowflake"},
        description=f"One object set on S3, one row per {spec.entity}, unloaded by one COPY INTO.",
        code_version=code_version(definition),
    )
    def s3_export(
        context: dg.AssetExecutionContext,
        kumo_assets_snowflake: SnowflakeResource,
        kumo_assets_releases: ReleasesResource,
    ) -> dg.MaterializeResult[None]:
        step = begin(context, definition, kumo_assets_releases, ASSET)
        artefact = step.existing()
        adopted = artefact is not None
        if artefact is None:
            with connect(kumo_assets_snowflake, show_values=spec.show_entities) as warehouse:
                artefact = _export(context, step, warehouse, kumo_assets_releases.environment())
        return result(step, artefact, _metadata(step, artefact), adopted)

    return s3_export


def _export(context: dg.AssetExecutionContext, step: Step, warehouse: Warehouse, environment: Environment) -> Artefact:
    source = step.upstream("postprocessed")
    attempt, prefix = _empty_prefix(context, step)
    spec = step.definition.spec
    where = table_of(source)
    score = score_type_of(warehouse, source, spec.task)
    files = unload(
        warehouse,
        step.store.objects,
        prefix,
        packed(spec.task, where, score),
        spec.export,
        environment,
        entities=source.entities,
        source=source.name,
    )
    rows = sum(item.rows for item in files)
    fallback = _put_fallback(step, warehouse, where)
    return step.prove(
        name=f"s3://{step.names.bucket}/{prefix}",
        attempt=attempt,
        rows=rows,
        entities=rows,
        seconds_outside=warehouse.seconds,
        details=ExportDetails(
            prefix=prefix,
            format=spec.export.format,
            files=files,
            bytes=sum(item.bytes for item in files),
            fallback=fallback,
            source=source.name,
            sample=taken_sample(warehouse, where, source.entities, spec, step.release_id, score),
        ),
    )


def unload(
    warehouse: Warehouse,
    objects: ObjectStore,
    prefix: str,
    select: str,
    export: Export,
    environment: Environment,
    *,
    entities: int,
    source: str,
) -> tuple[ExportedFile, ...]:
    """Run one COPY INTO an empty prefix of the bucket, by URL or through the environment's stage, and compare what it reports
    with `entities` and with what is there.

    ExportError when the counts differ: then nothing of it may be imported. `source` is the table's name, for a person.
    """
    uri = objects.uri(prefix)
    unloaded = warehouse.rows(
        copy_into(
            location(environment, prefix) if environment.stage else uri,
            select,
            export.format,
            environment.storage_integration,
            export.max_file_size_mb,
            encryption(),
        ),
        doing=f"unload {source} to {uri}",
    )
    files = tuple(
        ExportedFile(name=str(row["FILE_NAME"]), bytes=int(row["FILE_SIZE"]), rows=int(row["ROW_COUNT"]))
        for row in unloaded
    )
    rows = sum(item.rows for item in files)
    listed = list(objects.list(prefix))
    if rows != entities or len(listed) != len(files):
        raise ExportError(
            "trust the unload to",
            to=uri,
            found=f"{rows:,} rows in {len(files)} files, {len(listed)} objects under the prefix; {entities:,} entities in {source}",
            next="re-execute the run: it unloads to a new prefix; nothing was imported",
        )
    return files


def packed(task: str, where: str, score_type: str = "FLOAT") -> str:
    """SELECT of "e" and "p", one row per entity, from a quoted table name (or a parenthesised query); `score_type` is the
    SQL type of its scores."""
    name, column = ("pack_number.sql", "TARGET_PRED") if task == "regression" else ("pack_list.sql", "SCORE")
    return shipped(name, postprocessed=where, score=as_text(column, score_type))


def as_text(column: str, score_type: str) -> str:
    """SQL of a score as JSON has it. A plain TO_VARCHAR of a float keeps some 10 to 15 digits; with the format TME it keeps
    the 17 that a double needs (docs/assumptions.md). A NUMBER is exact in either form, and plain is easier to read."""
    return f"TO_VARCHAR({column})" if score_type == "NUMBER" else f"TO_VARCHAR({column}::FLOAT, 'TME')"


def copy_into(
    to: str,
    select: str,
    format: str,
    integration: str,
    max_file_size_mb: int,
    encryption: Mapping[str, str] | None = None,
) -> str:
    """The one unload statement, `to` an S3 URL or a place in a stage (`@...`), which has an integration and an encryption of
    its own. It never has credentials in it: Snowflake's query history would keep them. `encryption` has the encryption
    parameters as PutObject takes them (`resources.aws.encryption`).

    CSV: fields always quoted, quotes doubled, header in each file, as ImportTable reads it. DynamoDB JSON: one object
    per line. Source: Snowflake, "COPY INTO <location>".
    """
    if format == "csv":
        file_format = "TYPE = CSV COMPRESSION = GZIP FIELD_OPTIONALLY_ENCLOSED_BY = '\"' NULL_IF = ()"
        header = "TRUE"
    else:
        select = (
            "SELECT OBJECT_CONSTRUCT('Item', OBJECT_CONSTRUCT('e', OBJECT_CONSTRUCT('S', \"e\"), "  # noqa: S608
            f"'p', OBJECT_CONSTRUCT('S', \"p\"))) FROM ({select})"
        )
        file_format = "TYPE = JSON COMPRESSION = GZIP"
        header = "FALSE"
    storage = "" if to.startswith("@") else storage_clauses(integration, encryption)
    return (
        f"COPY INTO {literal(to)}\nFROM (\n{select}\n)\n{storage}"
        f"FILE_FORMAT = ({file_format})\nHEADER = {header}\n"
        f"MAX_FILE_SIZE = {max_file_size_mb * 1024 * 1024}\nDETAILED_OUTPUT = TRUE"
    )


def _empty_prefix(context: dg.AssetExecutionContext, step: Step) -> tuple[int, str]:
    """The first attempt whose prefix is empty and begun by no other run: what an interrupted unload left behind is never
    imported, and the unload of a killed run, or of one beside this one, may still write."""
    for attempt in range(1, MOST_ATTEMPTS + 1):
        prefix = step.names.export_prefix(step.release_id, attempt)
        left = list(step.store.objects.list(prefix))
        if left:
            context.log.warning(
                f"s3://{step.names.bucket}/{prefix} holds {len(left)} objects of an earlier attempt; using the next prefix"
            )
        elif step.begin_attempt(attempt).run_id == step.run.run_id:
            return attempt, prefix
    raise ExportError(
        "find an empty prefix for release",
        to=step.release_id,
        found=f"{MOST_ATTEMPTS} prefixes hold objects",
        next="find out what writes there, and build a new release",
    )


def score_type_of(warehouse: Warehouse, source: Artefact, task: str) -> str:
    """The SQL type of the scores in a post-processed table."""
    place = source.details_as(WarehouseDetails)
    columns = warehouse.columns(place.database, place.schema_name, source.name)
    return columns["TARGET_PRED" if task == "regression" else "SCORE"]


def taken_sample(
    warehouse: Warehouse, where: str, entities: int, spec: PredictiveQuerySpec, salt: str, score_type: str
) -> tuple[SampledItem, ...]:
    """A few entities, each with exactly the item that the export must have: what the import is compared with.

    ExportError when an item's scores, read as a service reads them, are not those of the table bit by bit: the text
    would have lost digits alike here and in the export, so that no later comparison could see it.
    """
    task = spec.task
    picked = sample_select(where, entities, spec.table.sample, salt)
    chosen = f"(SELECT * FROM {where} WHERE ENTITY IN ({picked}))"  # noqa: S608 - quoted
    rows = warehouse.rows(packed(task, chosen, score_type), doing=f"sample {where}")
    sample = tuple(SampledItem(entity=str(row["e"]), p=str(row["p"])) for row in rows)
    stored = _scores(warehouse, task, chosen, where)
    for item in sample:
        if item.entity in stored and scores_in(item.p) != stored[item.entity]:
            shown = f"entity {item.entity}", item.p[:200]
            whose, what = shown if spec.show_entities else ("a sampled entity", NOT_SHOWN)
            raise ExportError(
                "trust the unload of",
                to=where,
                found=f"the item of {whose} does not have the table's scores: {what}",
                next="report this; Snowflake wrote a number with fewer digits than a double has. Nothing was imported",
            )
    return sample


def _scores(warehouse: Warehouse, task: str, chosen: str, where: str) -> dict[str, list[float]]:
    """Entity -> its scores in order of rank, as the connector has them: doubles, which no text has been made of."""
    column, rank = ("TARGET_PRED", "") if task == "regression" else ("SCORE", ", RANK")
    rows = warehouse.rows(
        f'SELECT TO_VARCHAR(ENTITY) AS "e", {column} AS "s" FROM {chosen} ORDER BY "e"{rank}',  # noqa: S608 - quoted
        doing=f"read the scores of the sample of {where}",
    )
    stored: dict[str, list[float]] = {}
    for row in rows:
        stored.setdefault(str(row["e"]), []).append(float(row["s"]))
    if len(rows) == MOST_ROWS_FETCHED:
        stored.popitem()  # its list may have been cut: no more rows are fetched
    return stored


def scores_in(p: str) -> list[float]:
    """The scores of an item's `p`, in its order."""
    value = json.loads(p)
    return [float(score) for _, score in value] if isinstance(value, list) else [float(value)]


def sample_select(where: str, entities: int, size: int, salt: str) -> str:
    """SELECT of `size` of the table's `entities`, the same for the same `salt`."""
    one_in = max(1, entities // max(LOOKED_AT, 8 * size))
    return shipped("sample.sql", postprocessed=where, salt=literal(salt), size=str(size), one_in=str(one_in))


def _put_fallback(step: Step, warehouse: Warehouse, where: str) -> str | None:
    """The most recommended classes as one S3 object; a regression has none."""
    if step.definition.spec.task == "regression":
        return None
    size = step.definition.spec.export.fallback_size
    rows = warehouse.rows(
        shipped("fallback.sql", postprocessed=where, size=str(size)), doing=f"list the most recommended of {where}"
    )
    items = [[str(row["CLASS"]), round(float(row["SHARE"]), 6)] for row in rows]
    return step.store.put_fallback(step.release_id, step.definition.spec.item_format, items)


def _metadata(step: Step, artefact: Artefact) -> Metadata:
    details = artefact.details_as(ExportDetails)
    return {
        "dagster/uri": artefact.name,
        "objects": s3_link(step.names.bucket, details.prefix),
        "files": len(details.files),
        "bytes": details.bytes,
        "format": details.format,
        "fallback list": details.fallback or "none",
        "preview": sample_preview(step.definition, details.sample),
    }
