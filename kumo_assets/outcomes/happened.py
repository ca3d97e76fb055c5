"""What happened, as SQL: rows of a raw log by `outcomes.events`, or the query's own `outcomes.sql`.

The file is one SELECT of ENTITY, CLASS (ranking) or ENTITY, VALUE (other tasks). Placeholders: each raw log of the query,
`{{ start }}` and `{{ end }}` (the window, TIMESTAMP_NTZ of UTC), `{{ partition }}`, and `{{ served }}`, the sample of what
the release served.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kumo_assets.config.load import QueryDefinition, RawSource
from kumo_assets.config.outcomes import FILE, Events
from kumo_assets.errors import ConfigError, WarehouseError
from kumo_assets.outcomes.due import Window
from kumo_assets.resources.snowflake import Warehouse
from kumo_assets.resources.sql import literal, moment_sql, quote, table
from kumo_assets.resources.sql_values import raw_values, within
from kumo_assets.resources.template import check_sql, placeholders, read_sql, render

OURS = ("start", "end", "partition", "served")


@dataclass(frozen=True)
class Happened:
    """A SELECT of what happened in a window. `types` are those of its ENTITY and CLASS where they are known."""

    select: str
    types: Mapping[str, str]
    # A SELECT of every CLASS that was taken by anybody; "" where it is not known.
    classes: str = ""


def check_file(definition: QueryDefinition) -> None:
    """ConfigError for a query whose outcomes nobody says, or say twice, and for a file that cannot be used. No network."""
    settings = definition.spec.outcomes
    if settings is None:
        return
    path = _path(definition)
    if settings.events is not None and path.is_file():
        raise _wrong(definition, f"outcomes.events, and {FILE} beside it", "keep one of the two")
    if settings.events is None and not path.is_file():
        raise _wrong(definition, f"neither outcomes.events nor {FILE}", f"write one; {FILE} is one SELECT")
    if settings.events is not None:
        source = definition.sources.get(settings.events.log)
        if source is not None and source.table.event_time is None:
            raise _wrong(definition, f"outcomes.events.log {settings.events.log} has no event_time", "name a stream")
        return
    check_sql(read_sql(path), str(path), {*OURS, *definition.spec.raw_logs})


def logs_named(definition: QueryDefinition) -> list[str]:
    """The raw logs that what happened is read from: those whose arrival matters."""
    settings = definition.spec.outcomes
    if settings is not None and settings.events is not None:
        return [settings.events.log]
    named = placeholders(read_sql(_path(definition)))
    return [name for name in definition.spec.raw_logs if name in named]


def happened(
    definition: QueryDefinition,
    sources: Mapping[str, RawSource],
    warehouse: Warehouse,
    partition: str,
    window: Window,
    served: str,
) -> Happened:
    """What happened in a window. Raises WarehouseError for an event table without the columns that are named."""
    settings = definition.spec.outcomes
    assert settings is not None, "asked only of a query with outcomes"
    if settings.events is not None:
        return _of_events(settings.events, sources[settings.events.log], warehouse, window)
    path = _path(definition)
    select = render(
        read_sql(path),
        str(path),
        **raw_values(sources, warehouse),
        start=moment_sql(window.start),
        end=moment_sql(window.end),
        partition=literal(partition),
        served=served,
    )
    classes = f"SELECT CLASS FROM (\n{select}\n) V" if definition.spec.task == "ranking" else ""  # noqa: S608
    return Happened(select, {}, classes)


def _of_events(events: Events, source: RawSource, warehouse: Warehouse, window: Window) -> Happened:
    database = source.database or warehouse.database
    columns = warehouse.columns(database, source.schema, source.table.table)
    wanted = {"ENTITY": events.entity, "CLASS": events.class_}
    missing = sorted({*wanted.values(), source.table.event_time or ""} - columns.keys())
    if missing:
        has = ", ".join(columns) or "no column: it is not there, or may not be read"
        raise WarehouseError(
            "read what happened from",
            to=source.table.table,
            found=f"no column {', '.join(missing)}; it has {has}",
            next="correct outcomes.events of the query, or restore the table",
        )
    where = table(database, source.schema, source.table.table)
    when = within(source.table, columns, window.start, window.end)
    names = ", ".join(f"{quote(column)} AS {name}" for name, column in wanted.items())
    return Happened(
        f"SELECT {names} FROM {where} WHERE {when}",  # noqa: S608 - quoted
        {name: columns[column] for name, column in wanted.items()},
        f"SELECT {quote(events.class_)} AS CLASS FROM {where} WHERE {when}",  # noqa: S608 - quoted
    )


def _path(definition: QueryDefinition) -> Path:
    return definition.folder / FILE


def _wrong(definition: QueryDefinition, found: str, advice: str) -> ConfigError:
    return ConfigError("read the outcomes of", to=str(definition.folder / "defs.yaml"), found=found, next=advice)
