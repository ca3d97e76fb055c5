"""One day's rows in a table that another job writes: which columns they are in, how many they are, and their copy.

The copy is one CREATE TABLE AS under a name of the release, so what the other job writes next cannot change the release.
When the rows are complete is decided in `completeness`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from kumo_assets.config.table_source import TableSettings
from kumo_assets.config.tasks import OUTPUT_COLUMNS, Task
from kumo_assets.errors import WarehouseError
from kumo_assets.resources.creating import create_once, is_there
from kumo_assets.resources.snowflake import Warehouse
from kumo_assets.resources.sql import literal, moment_sql, quote, table
from kumo_assets.resources.template import render

# The names that `Warehouse.columns` has for Snowflake's types. A key of type FLOAT is refused: its text, which is what
# DynamoDB's key is made of, is not exact.
KEYS = frozenset({"TEXT", "VARCHAR", "NUMBER"})
NUMBERS = frozenset({"NUMBER", "FLOAT"})
FLAGS = frozenset({"BOOLEAN"})
# What the copy records beside the predictions: whose rows they are, and what was counted just before they were copied.
RUN, ROWS, ENTITIES = "SOURCE_RUN", "SOURCE_ROWS", "SOURCE_ENTITIES"


@dataclass(frozen=True)
class Count:
    """Rows, distinct entities and null entities. `newest` is the newest value of a column, where one was asked for."""

    rows: int
    entities: int
    nulls: int
    newest: datetime | None = None


@dataclass(frozen=True)
class Frozen:
    """A release's copy: its own count, and what was counted of the other job's table just before, with its run."""

    count: Count
    run: str
    rows: int
    entities: int

    @property
    def faults(self) -> list[str]:
        """Why the copy is not the rows that were found complete; empty when it is."""
        if self.count.rows == 0:
            return ["it has no rows"]
        found = []
        if (self.count.rows, self.count.entities) != (self.rows, self.entities):
            found.append(
                f"the copy has {self.count.rows:,} rows of {self.count.entities:,} entities, where {self.rows:,} of "
                f"{self.entities:,} were counted just before: the table was written while it was read"
            )
        if self.count.nulls:
            found.append(f"{self.count.nulls:,} of its rows have no entity")
        return found


@dataclass(frozen=True)
class DayTable:
    """A partition's rows of the table that `settings` name. Names are parts, unquoted; `anchor` is in UTC."""

    settings: TableSettings
    task: Task
    partition: str
    anchor: datetime
    warehouse: Warehouse

    @property
    def parts(self) -> tuple[str, str, str]:
        """Database, schema and name."""
        return self.located(self.settings.table)

    @property
    def name(self) -> str:
        """The table as a person would write it."""
        return ".".join(self.parts)

    def located(self, name: str) -> tuple[str, str, str]:
        """The database, schema and name that `name` means on this day, with the session's own where it says none."""
        day = datetime.fromisoformat(self.partition)
        parts = tuple(day.strftime(name).split("."))
        whole = (self.warehouse.database, self.warehouse.schema)[: 3 - len(parts)] + parts
        return whole[0], whole[1], whole[2]

    def predicate(self, text: str | None, field: str) -> str:
        """The WHERE clause that `text`, of the definition's `field`, means on this day; empty for None."""
        values = {"partition": literal(self.partition), "anchor": moment_sql(self.anchor)}
        return f" WHERE ({render(text, f'source.table.{field}', **values)})" if text is not None else ""

    def columns(self) -> dict[str, str]:
        """Our name -> the table's own, for the columns that the task needs. Names match without regard to case.

        Raises WarehouseError that names the column when one is missing, is there twice in other cases, or has a type
        that cannot be used; and when there is no such table.
        """
        there = self.warehouse.columns(*self.parts)
        if not there:
            raise self._refused("there is no such table, or its role may not read it")
        found, reasons = None, []
        for form in OUTPUT_COLUMNS[self.task]:
            matched = {ours: self.match(self.settings.columns.get(ours, ours), there) for ours in form}
            missing = [self.settings.columns.get(ours, ours) for ours, theirs in matched.items() if theirs is None]
            if not missing:
                found = {ours: theirs for ours, theirs in matched.items() if theirs is not None}
                break
            reasons.append(", ".join(missing))
        if found is None:
            raise self._refused(
                f"it has no column {' (or no '.join(reasons)}{')' * (len(reasons) - 1)}; it has {', '.join(there)}",
                "name the columns in source.table.columns, such as {ENTITY: user_id}",
            )
        wrong = [
            f"{theirs} is {there[theirs]}, and {ours} must be {' or '.join(sorted(self._types(ours)))}"
            for ours, theirs in found.items()
            if there[theirs] not in self._types(ours)
        ]
        if wrong:
            raise self._refused("; ".join(wrong), "cast the columns where the table is written")
        return found

    def _types(self, ours: str) -> frozenset[str]:
        if ours in ("ENTITY", "CLASS"):
            return KEYS
        if ours == "PREDICTED" or (ours == "TARGET_PRED" and self.task == "binary_classification"):
            return FLAGS
        return NUMBERS

    def match(self, wanted: str, there: Mapping[str, str]) -> str | None:
        """The column that is called `wanted` exactly; else the only one that is so in another case."""
        if wanted in there:
            return wanted
        same = [name for name in there if name.upper() == wanted.upper()]
        if len(same) > 1:
            raise self._refused(
                f"columns {' and '.join(same)} differ only in case, and none is exactly {wanted}",
                "name the one that is meant in source.table.columns",
            )
        return same[0] if same else None

    def count(self, columns: Mapping[str, str], newest: str | None = None) -> Count:
        """One scan of the day's rows; `newest` is a column whose largest value is asked for too."""
        top = f"MAX({quote(newest)})" if newest is not None else "NULL"
        return self._counted(
            f"{table(*self.parts)}{self.predicate(self.settings.where, 'where')}", quote(columns["ENTITY"]), top
        )

    def _counted(self, rows: str, entity: str, newest: str = "NULL") -> Count:
        found = self.warehouse.row(
            f"SELECT COUNT(*) AS ROW_COUNT, COUNT(DISTINCT {entity}) AS ENTITY_COUNT, "  # noqa: S608 - quoted names
            f"COUNT_IF({entity} IS NULL) AS NULL_COUNT, {newest} AS NEWEST FROM {rows}",
            doing=f"count the predictions in {self.name}",
        )
        rows_found = int(found["ROW_COUNT"])
        # The sandbox gives 1970 for the MAX of nothing, Snowflake NULL.
        top = found["NEWEST"] if rows_found else None
        return Count(rows_found, int(found["ENTITY_COUNT"]), int(found["NULL_COUNT"] or 0), top)

    def freeze(self, name: str, columns: Mapping[str, str], counted: Count, run: str, other: str = "") -> None:
        """Copy the day's rows into the new table `name`, in one atomic statement and in our column names; or find that
        another run of the release has done so meanwhile. `other` names one that has begun to."""
        selected = [
            f"{quote(theirs)}{'::FLOAT' if self._types(ours) is NUMBERS else ''} AS {ours}"
            for ours, theirs in columns.items()
        ]
        selected += [f"{literal(run)} AS {RUN}", f"{counted.rows} AS {ROWS}", f"{counted.entities} AS {ENTITIES}"]
        create_once(
            self.warehouse,
            name,
            f"SELECT {', '.join(selected)} FROM {table(*self.parts)}"  # noqa: S608
            f"{self.predicate(self.settings.where, 'where')}",
            doing=f"copy the predictions in {self.name} into {name}",
            other=other,
        )

    def frozen(self, name: str) -> Frozen | None:
        """What the release's copy `name` holds; None when there is none."""
        if not is_there(self.warehouse, name):
            return None
        count = self._counted(self._own(name), "ENTITY")
        if count.rows == 0:
            return Frozen(count, "", 0, 0)
        noted = self.warehouse.row(
            f"SELECT MAX({RUN}) AS RUN, MAX({ROWS}) AS ROW_COUNT, MAX({ENTITIES}) AS ENTITY_COUNT "  # noqa: S608
            f"FROM {self._own(name)}",
            doing=f"read what {name} was copied from",
        )
        return Frozen(count, str(noted["RUN"]), int(noted["ROW_COUNT"]), int(noted["ENTITY_COUNT"]))

    def _own(self, name: str) -> str:
        return table(self.warehouse.database, self.warehouse.schema, name)

    def _refused(self, found: str, next_step: str = "correct source.table in the definition") -> WarehouseError:
        return WarehouseError(
            f"use the {self.task} predictions of {self.partition} in the table",
            to=self.name,
            found=found,
            next=next_step + ", then materialize this partition again",
        )
