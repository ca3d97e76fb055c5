"""What the Dagster UI shows of an artefact: the figures that every asset has, previews and column schemas.

Links to consoles and prices are in `links`. Nothing is decided here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import dagster as dg

from kumo_assets.assets.links import s3_link
from kumo_assets.assets.step import Step, table_of
from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.query import NOT_SHOWN
from kumo_assets.documents import Artefact, SampledItem, WarehouseDetails
from kumo_assets.resources.snowflake import Warehouse
from kumo_assets.sources.protocol import Link

# Dagster takes more (lists, paths, dates); this is all that is shown here.
Metadata: TypeAlias = dict[str, dg.MetadataValue | str | int | float]


def result(step: Step, artefact: Artefact, metadata: Metadata, adopted: bool) -> dg.MaterializeResult[None]:
    """The figures that every asset has, and `metadata`, the asset's own.

    Time is shown in two parts: what outside services took when the artefact was made, and what this project's code
    took now.
    """
    spent = time.perf_counter() - step.started
    shown: Metadata = {
        "release": step.release_id,
        "adopted from an earlier attempt": adopted,
        "dagster/partition_row_count": artefact.rows,
        "entities": artefact.entities,
        "seconds in outside services": artefact.seconds_outside,
        "seconds of our own": round(spent if adopted else max(spent - artefact.seconds_outside, 0.0), 3),
        "release objects": s3_link(step.names.bucket, step.names.release_prefix(step.release_id)),
        **metadata,
    }
    return dg.MaterializeResult(metadata=shown, data_version=dg.DataVersion(f"{step.release_id}-a{artefact.attempt}"))


def table_metadata(definition: QueryDefinition, warehouse: Warehouse, artefact: Artefact) -> Metadata:
    """Name, columns and first rows of an artefact that is a Snowflake table."""
    place, where = artefact.details_as(WarehouseDetails), table_of(artefact)
    columns = warehouse.columns(place.database, place.schema_name, artefact.name)

    def first_rows() -> Sequence[Mapping[str, object]]:
        return warehouse.rows(f"SELECT * FROM {where} LIMIT 5", doing=f"preview {where}")  # noqa: S608 - quoted

    return {
        "dagster/table_name": ".".join((place.database, place.schema_name, artefact.name)),
        "dagster/column_schema": column_schema(columns),
        "preview": preview(definition, first_rows),
    }


def link(figure: Link | str | int | float) -> dg.MetadataValue | str | int | float:
    """A figure of a source's as metadata: a link as one that can be followed."""
    return dg.MetadataValue.url(figure.url) if isinstance(figure, Link) else figure


def sample_preview(definition: QueryDefinition, sample: Sequence[SampledItem]) -> dg.MetadataValue:
    """The first of the sampled items, as `preview` shows them."""
    return preview(definition, lambda: [item.model_dump() for item in sample[:5]])


def preview(definition: QueryDefinition, first_rows: Callable[[], Sequence[Mapping[str, object]]]) -> dg.MetadataValue:
    """Rows as a Markdown table, for a person; meant for five of them. A query that does not show its entities has none,
    and its rows are not asked for."""
    if not definition.spec.show_entities:
        return dg.MetadataValue.md(f"*{NOT_SHOWN}*")
    rows = first_rows()
    if not rows:
        return dg.MetadataValue.md("*no rows*")
    header = "| " + " | ".join(rows[0]) + " |\n|" + " --- |" * len(rows[0])
    # Value by value: a data frame would make floats of a column of whole numbers with a null, and 7 would read 7.0.
    body = "\n".join("| " + " | ".join(map(_cell, row.values())) + " |" for row in rows)
    return dg.MetadataValue.md(f"{header}\n{body}")


def _cell(value: object) -> str:
    return "NULL" if value is None else str(value).replace("|", "\\|")


def column_schema(columns: Mapping[str, str]) -> dg.MetadataValue:
    """Column name -> SQL type as Dagster's table schema."""
    return dg.MetadataValue.table_schema(
        dg.TableSchema(columns=[dg.TableColumn(name=name, type=kind) for name, kind in columns.items()])
    )
