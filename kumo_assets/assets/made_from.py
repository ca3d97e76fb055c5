"""What each asset of the chain is made from, as the definition says it now: the one list of what matters to which asset.

A new setting or placeholder that changes rows belongs here; one that only changes how they are waited for does not. How
two such lists are compared is in `kumo_assets.releases.fingerprints`. Nothing outside is asked.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import date

from pydantic import JsonValue

from kumo_assets.assets.postprocess_sql import FILE, has_file
from kumo_assets.assets.templates import source_text
from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.partitions import anchor_time
from kumo_assets.documents import Artefact
from kumo_assets.releases.fingerprints import MadeFrom, Now, of_file
from kumo_assets.resources.template import placeholders, read_sql
from kumo_assets.sources.opening import source_of

LISTS = ("ranking", "multiclass_classification")
TASK_SQL = {
    "ranking": "rank.sql",
    "multiclass_classification": "multiclass.sql",
    "binary_classification": "binary.sql",
    "regression": "regression.sql",
}


def made_from_now(definition: QueryDefinition, partition: str) -> Now:
    """What an asset of this partition would be made from, given the artefact that it is built on."""

    def now(asset: str, source: Artefact | None) -> MadeFrom:
        built_on: dict[str, JsonValue] = {source.asset: source.fingerprint} if source is not None else {}
        return built_on | dict(PARTS[asset](definition, partition))

    return now


def _predictions(definition: QueryDefinition, partition: str) -> MadeFrom:
    anchor = anchor_time(date.fromisoformat(partition), definition.spec.schedule.time_zone)
    source = source_of(definition).parameters(definition)
    return {"task": definition.spec.task, "source": definition.spec.source.name, "anchor": anchor.isoformat(), **source}


def _postprocessed(definition: QueryDefinition, partition: str) -> MadeFrom:
    """The SQL, and what its placeholders are filled with. Tables that the release itself names are fixed with the release."""
    spec, own = definition.spec, has_file(definition)
    name = FILE if own else TASK_SQL[spec.task]
    text = read_sql(definition.folder / FILE) if own else source_text(name)
    asked = placeholders(text)
    values: dict[str, JsonValue] = {"task": spec.task, "SQL": of_file(name, text.strip())}
    # The proof of a list goes by top_k as well, so it matters to SQL that does not name it.
    if spec.task in LISTS or "top_k" in asked:
        values["top_k"] = spec.top_k
    for session in ("database", "schema"):
        if session in asked:
            values[session] = _of_session(session)
    for log in sorted(asked & definition.sources.keys()):
        source = definition.sources[log]
        values[f"raw log {log}"] = ".".join(
            (source.database or _of_session("database"), source.schema, source.table.table)
        )
    return values


def _of_session(part: str) -> str:
    """The database or schema of the Snowflake session, as the environment names it."""
    return os.environ.get(f"SNOWFLAKE_{part.upper()}", "")


def _s3_export(definition: QueryDefinition, partition: str) -> MadeFrom:
    spec = definition.spec
    regression = spec.task == "regression"
    shipped = ["pack_number.sql" if regression else "pack_list.sql", "sample.sql", "fallback.sql"]
    return {
        "export.format": spec.export.format,
        "export.max_file_size_mb": spec.export.max_file_size_mb,
        "export.fallback_size": None if regression else spec.export.fallback_size,
        "table.sample": spec.table.sample,
        "SQL": of_file("the SQL of the export", "\n".join(source_text(name) for name in shipped)),
    }


def _dynamodb_table(definition: QueryDefinition, partition: str) -> MadeFrom:
    table = definition.spec.table
    return {
        "table.deletion_protection": table.deletion_protection,
        "table.point_in_time_recovery": table.point_in_time_recovery,
        "table.reads_per_second": table.reads_per_second,
        "table.replicas": [*table.replicas],
        "table.sse": table.sse,
    }


PARTS: Mapping[str, Callable[[QueryDefinition, str], MadeFrom]] = {
    "predictions": _predictions,
    "postprocessed": _postprocessed,
    "s3_export": _s3_export,
    "dynamodb_table": _dynamodb_table,
}
