"""Are all of a day's predictions in the table yet? A table alone cannot say; the definition names what proves it.

Three proofs: a completion record that the producer inserts, a row of a control table, or rows newer than the partition's
end that two looks count alike. What is counted and copied is in `day_table`; waiting is in `table`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import ValidationError

from kumo_assets.config.table_source import CompletionRecords, NewRows
from kumo_assets.documents import Completion
from kumo_assets.errors import ConfigError, WarehouseError
from kumo_assets.resources.sql import literal, table
from kumo_assets.sources.day_table import Count, DayTable

# More records of one partition than this are not looked at; the newest is taken.
MOST_RECORDS = 100


@dataclass(frozen=True)
class Complete:
    """The day's rows are all there: what was counted, and the run they are from."""

    count: Count
    run: str


@dataclass(frozen=True)
class NotYet:
    """They are not all there, and why."""

    reason: str


def look(
    day: DayTable, query: str, columns: Mapping[str, str], *, sleep: Callable[[float], None] = time.sleep
) -> Complete | NotYet:
    """One look at the day's rows. Raises WarehouseError for a table, record or column that cannot be used."""
    proof = day.settings.complete
    if proof.record is not None:
        return _by_record(day, query, columns, proof.record)
    if proof.newer is not None:
        return _by_new_rows(day, columns, proof.newer, sleep)
    assert proof.control is not None  # the settings have exactly one
    where = day.predicate(proof.control.where, "complete.control.where")
    marks = day.warehouse.row(
        f"SELECT COUNT(*) AS MARKS FROM {table(*day.located(proof.control.table))}{where}",  # noqa: S608 - quoted
        doing=f"look for the mark of {day.partition} in {proof.control.table}",
    )
    if not int(marks["MARKS"]):
        return NotYet(f"{proof.control.table} has no row that marks {day.partition} as done")
    return _counted(day, columns, f"{day.name} marked as done")


def _by_record(day: DayTable, query: str, columns: Mapping[str, str], settings: CompletionRecords) -> Complete | NotYet:
    records = records_of(day, query, settings)
    if not records:
        return NotYet(f"{settings.table} has no completion record of {query} for {day.partition}")
    record = records[-1]
    counted = _counted(day, columns, record.run_id)
    if isinstance(counted, NotYet):
        return counted
    wrong = [
        f"{there:,} {what} where the completion record of run {record.run_id} has {told:,}"
        for what, there, told in (
            ("entities", counted.count.entities, record.entities),
            ("rows", counted.count.rows, record.rows),
        )
        if told is not None and there != told
    ]
    if wrong:
        return NotYet(f"{day.name} has {'; '.join(wrong)}")
    return counted


def records_of(day: DayTable, query: str, settings: CompletionRecords) -> list[Completion]:
    """The completion records of the query's partition, the newest last. WarehouseError for one that breaks the schema."""
    found = day.warehouse.rows(
        f"SELECT TO_JSON(RECORD) AS RECORD FROM {table(*day.located(settings.table))} "  # noqa: S608 - quoted, literals
        f"WHERE RECORD:query::VARCHAR = {literal(query)} AND RECORD:partition::VARCHAR = {literal(day.partition)} "
        f"ORDER BY RECORD:ended_at::VARCHAR DESC LIMIT {MOST_RECORDS}",
        doing=f"read the completion records of {query} in {settings.table}",
    )
    records = []
    for row in found:
        try:
            records.append(Completion.model_validate_json(row["RECORD"]))
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "the record"
            raise WarehouseError(
                f"read the completion record of {query} for {day.partition} in",
                to=settings.table,
                found=f"{field}: {first['msg']}",
                next="write it as docs/contract/completion.schema.json says, and delete the broken row",
            ) from error
    return sorted(records, key=lambda record: record.ended_at)


def _by_new_rows(
    day: DayTable, columns: Mapping[str, str], settings: NewRows, sleep: Callable[[float], None]
) -> Complete | NotYet:
    there = day.warehouse.columns(*day.parts)
    column = day.match(settings.column, there)
    kind = there[column] if column is not None else None
    if kind is None or not (kind.startswith("TIMESTAMP") or kind == "DATE"):
        raise ConfigError(
            "prove by new rows that the table is complete",
            to=day.name,
            found=f"its column {settings.column} is {kind}" if kind else f"it has no column {settings.column}",
            next="set source.table.complete.newer.column to a column with the time a row was written",
        )
    first = day.count(columns, column)
    newest = _utc(first.newest)
    if newest is None or newest < day.anchor:
        reaches = newest.isoformat() if newest else "nothing"
        return NotYet(f"{settings.column} of {day.name} reaches {reaches}, not yet {day.anchor.isoformat()}")
    day.warehouse.rest()
    sleep(settings.seconds_between_looks)
    second = day.count(columns, column)
    if second != first:
        return NotYet(f"{day.name} is being written: {first.rows:,} rows, then {second.rows:,}")
    return _judged(second, f"{day.name} as of {newest.isoformat()}")


def _counted(day: DayTable, columns: Mapping[str, str], run: str) -> Complete | NotYet:
    return _judged(day.count(columns), run)


def _judged(count: Count, run: str) -> Complete | NotYet:
    """Nothing is never complete: an empty table that is called done was emptied, or is about to be written."""
    return Complete(count, run) if count.rows else NotYet("it is called done and has no rows")


def _utc(value: object) -> datetime | None:
    """A time of the table; one without an offset is UTC, as Kumo writes it. A date is its midnight."""
    if value is None:
        return None
    found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
