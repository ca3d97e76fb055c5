"""`raw/<table>`: the raw logs, observed and never written. Rows and newest event are their data version.

One observation reads all selected tables in one session; logs outside Snowflake are in `raw_elsewhere`. Whether the logs
reach the end of a partition is checked by each query, in `log_arrival`.
"""

from collections.abc import Iterator
from datetime import timedelta
from importlib.metadata import version

import dagster as dg

from kumo_assets.assets.keys import raw_key
from kumo_assets.assets.raw_elsewhere import described, kinds_of, observe_elsewhere, what_is_checked
from kumo_assets.assets.templates import shipped
from kumo_assets.assets.ui import Metadata, column_schema
from kumo_assets.config.raw_logs import KafkaColumn, KafkaShape, RawLogsSpec, RawTable
from kumo_assets.errors import WarehouseError
from kumo_assets.resources.snowflake import Warehouse, connect
from kumo_assets.resources.sql import literal, quote, table
from kumo_assets.resources.views import ensure_view

SNOWFLAKE, S3 = "kumo_assets_snowflake", "kumo_assets_s3"
# A time of day that ends in Z, +05:30, +0530 or -08. No backslash: SQL dialects differ in what one means in a literal.
WITH_OFFSET = "^.*:[0-9.]+ ?(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"


def build_raw_logs(name: str, spec: RawLogsSpec) -> dg.Definitions:
    """The observable assets of one RawLogs definition, each with a check that it is not empty."""
    specs = [_asset_spec(asset, raw, spec) for asset, raw in spec.tables.items()]
    checks = [
        dg.AssetCheckSpec(
            "has_rows",
            asset=raw_key(asset),
            blocking=True,
            description=f"{what_is_checked(raw)}: predictions from an emptied log must not be launched.",
        )
        for asset, raw in spec.tables.items()
        if raw.freshness_from != "none"
    ]
    counted = {asset: raw for asset, raw in spec.tables.items() if raw.counted}
    on_s3 = any(raw.freshness_from == "s3" for raw in spec.tables.values())

    @dg.multi_observable_source_asset(  # type: ignore[untyped-decorator]  # Dagster 1.13 does not annotate it
        name=f"observe_{name}",
        specs=specs,
        check_specs=checks,
        can_subset=True,
        group_name="raw",
        # By key, because which ones depends on where the logs are.
        required_resource_keys={*([SNOWFLAKE] if counted else []), *([S3] if on_s3 else [])},
    )
    def observe(context: dg.AssetExecutionContext) -> Iterator[dg.ObserveResult]:
        selected = {asset: raw for asset, raw in spec.tables.items() if raw_key(asset) in context.selected_asset_keys}
        for asset, raw in selected.items():
            if not raw.counted:
                yield observe_elsewhere(asset, raw, lambda: getattr(context.resources, S3))
        if not selected.keys() & counted.keys():
            return
        with connect(getattr(context.resources, SNOWFLAKE)) as warehouse:
            database = spec.database or warehouse.database
            for asset, raw in selected.items():
                if not raw.counted:
                    continue
                if raw.kafka is not None:
                    made = ensure_flattening_view(warehouse, database, spec.schema_name, raw, raw.kafka)
                    if made:
                        context.log.info(
                            f"The flattening view {raw.table} was made, or replaced because its text in Snowflake was not "
                            "the definition's: tags and policies on it must be set again"
                        )
                yield _observe(warehouse, asset, raw, database, spec.schema_name)

    return dg.Definitions(assets=[observe])


def _asset_spec(asset: str, raw: RawTable, spec: RawLogsSpec) -> dg.AssetSpec:
    policy = None
    if raw.is_stream:
        warn = raw.freshness.warn_after_hours
        policy = dg.FreshnessPolicy.time_window(
            fail_window=timedelta(hours=raw.freshness.fail_after_hours),
            warn_window=timedelta(hours=warn) if warn is not None else None,
        )
    where = ".".join(filter(None, [spec.database, spec.schema_name, raw.table])) if raw.table else ""
    return dg.AssetSpec(
        raw_key(asset),
        description=raw.description or described(raw, where),
        owners=spec.owners,
        kinds=kinds_of(raw),
        metadata={
            **({"dagster/table_name": where} if where else {}),
            **({"location": raw.location} if raw.location else {}),
            **({} if raw.counted else {"freshness from": raw.freshness_from}),
        },
        code_version=version("kumo-assets"),
        freshness_policy=policy,
    )


def _observe(warehouse: Warehouse, asset: str, raw: RawTable, database: str, schema: str) -> dg.ObserveResult:
    where = table(database, schema, raw.table)
    newest = f"MAX({quote(raw.event_time)})" if raw.event_time else "NULL"
    columns = warehouse.columns(database, schema, raw.table)
    if not columns:
        raise WarehouseError(
            "observe the raw logs",
            to=where,
            found="no such table, or no grant to see it",
            next="check the RawLogs definition, and grant SELECT on the table to the role",
        )
    found = warehouse.row(shipped("observe.sql", newest=newest, table=where), doing=f"observe {where}")
    rows = int(found["ROW_COUNT"])
    event = found["NEWEST"] if rows else None  # for the MAX of no rows the sandbox gives 1970, Snowflake NULL
    metadata: Metadata = {
        "dagster/row_count": rows,
        "dagster/column_schema": column_schema(columns),
        "newest event": str(event) if event is not None else ("none" if raw.event_time else "not a stream"),
    }
    if event is not None:
        metadata["dagster/last_updated_timestamp"] = dg.MetadataValue.timestamp(raw.moment(event))
    passed = rows >= raw.min_rows
    return dg.ObserveResult(
        asset_key=raw_key(asset),
        data_version=dg.DataVersion(f"{rows}-{event}"),
        metadata=metadata,
        check_results=[
            dg.AssetCheckResult(
                asset_key=raw_key(asset),
                check_name="has_rows",
                passed=passed,
                description=f"{rows:,} rows; at least {raw.min_rows:,} wanted.",
                metadata={"rows": rows, "limit": raw.min_rows},
            )
        ],
    )


def ensure_flattening_view(warehouse: Warehouse, database: str, schema: str, raw: RawTable, shape: KafkaShape) -> bool:
    """The view that flattens what the Snowflake Kafka connector lands (RECORD_CONTENT, VARIANT), made or replaced where it
    does not say what the definition says; whether it was.

    Column names, paths and types were checked against patterns when the definition was read.
    """
    columns = ",\n    ".join(
        f"{_flattened(column, raw.event_time_zone)} AS {quote(name)}" for name, column in shape.columns.items()
    )
    select = shipped("flattening_view.sql", columns=columns, landing=table(database, schema, shape.landing_table))
    return ensure_view(warehouse, database, schema, raw.table, select, doing=f"create the flattening view {raw.table}")


def _flattened(column: KafkaColumn, zone: str) -> str:
    """SQL of one column of the view. Text that states a time with an offset becomes that time, in `zone`.

    Snowflake's cast of such text to TIMESTAMP_NTZ keeps the clock time and drops the offset. Text without an offset is
    cast directly: by way of TIMESTAMP_TZ it would get the TIMEZONE of whoever reads the view, Kumo or a person.
    """
    value = f"RECORD_CONTENT:{column.path}"
    if column.type != "TIMESTAMP_NTZ":
        return f"{value}::{column.type}"
    return (
        f"IFF(REGEXP_LIKE({value}::STRING, {literal(WITH_OFFSET)}), "
        f"CONVERT_TIMEZONE({literal(zone)}, {value}::TIMESTAMP_TZ)::TIMESTAMP_NTZ, {value}::TIMESTAMP_NTZ)"
    )
