"""The settings of `source.table`: predictions that another job wrote to a Snowflake table, and what proves them complete.

Names are written as Snowflake prints them: a name made without quotes is in upper case. What is done with the settings is
in `kumo_assets.sources.table`.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from kumo_assets.config.raw_logs import IDENTIFIER, Strict

# Columns that a table may be asked for, in the words of this project.
COLUMNS = ("ENTITY", "CLASS", "SCORE", "TARGET_PRED", "TRUE_PROB", "PREDICTED")
# What a predicate may ask for.
PREDICATE = frozenset({"partition", "anchor"})
# The date codes that a table's name may have, as in `NEXT_BUY_%Y%m%d`.
DATE_CODES = frozenset("Ymd")


def _named(text: str) -> str:
    codes = set(re.findall(r"%(.?)", text))
    if codes - DATE_CODES:
        raise ValueError(f"{text!r} has %{min(codes - DATE_CODES)}; a table's name may have %Y, %m and %d")
    parts = date(2001, 2, 3).strftime(text).split(".")
    if len(parts) > 3 or not all(re.fullmatch(IDENTIFIER, part) for part in parts):
        raise ValueError(f"{text!r} is not NAME, SCHEMA.NAME or DATABASE.SCHEMA.NAME of letters, digits, _ and $")
    return text


def _predicate(text: str) -> str:
    unknown = sorted(set(re.findall(r"\{\{\s*([^{}]*?)\s*\}\}", text)) - PREDICATE)
    if unknown:
        raise ValueError(f"{{{{ {unknown[0]} }}}} is unknown; use {{{{ partition }}}} or {{{{ anchor }}}}")
    if ";" in text:
        raise ValueError("one SQL condition without a semicolon")
    return text


TableName = Annotated[str, AfterValidator(_named)]
Predicate = Annotated[str, Field(min_length=1), AfterValidator(_predicate)]
ColumnName = Annotated[str, Field(pattern=IDENTIFIER)]


class CompletionRecords(Strict):
    """The producer inserts a completion record when it is done: one row of a table with the column RECORD, a VARIANT."""

    table: TableName = "KUMO_ASSETS_COMPLETIONS"


class ControlTable(Strict):
    """The producer, or its scheduler, marks the day as done in a table of its own."""

    table: TableName
    where: Predicate = Field(description="True for the row that marks the day as done.")


class NewRows(Strict):
    """The newest value of a column is past the partition's end, and two looks at the table count the same rows."""

    column: ColumnName = "JOB_TIMESTAMP"
    seconds_between_looks: float = Field(default=60, gt=0, le=3600)


class Completeness(Strict):
    """What proves that a day's rows are all there; exactly one."""

    record: CompletionRecords | None = None
    control: ControlTable | None = None
    newer: NewRows | None = None

    @model_validator(mode="after")
    def _one(self) -> Completeness:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"one of record, control and newer is needed; found {', '.join(given) or 'none'}")
        return self


class TableSettings(Strict):
    """Predictions that any job wrote to a Snowflake table: a notebook, dbt, the Kumo Engine elsewhere, another vendor."""

    table: TableName = Field(
        description="As Snowflake prints it; %Y, %m and %d stand for the partition's date: ML.PUBLIC.NEXT_BUY_%Y%m%d."
    )
    where: Predicate | None = Field(
        default=None,
        description="The partition's rows, where one table has many days: AS_OF = {{ partition }}. `{{ partition }}` is "
        "the date as text, `{{ anchor }}` the partition's end as a TIMESTAMP_NTZ in UTC.",
    )
    columns: dict[str, ColumnName] = Field(
        default_factory=dict,
        description="Our name -> the table's, for columns that are called otherwise: {ENTITY: user_id}.",
    )
    complete: Completeness
    wait_minutes: float = Field(default=120, ge=0, le=1440, description="How long a late table is waited for.")
    poll_seconds: float = Field(default=60, gt=0, le=3600)
    binary_threshold: float | None = Field(
        default=None, ge=0, le=1, description="From which SCORE on a binary prediction is true; default 0.5."
    )

    @model_validator(mode="after")
    def _known_columns(self) -> TableSettings:
        unknown = sorted(self.columns.keys() - set(COLUMNS))
        if unknown:
            raise ValueError(f"columns: {unknown[0]} is none of {', '.join(COLUMNS)}")
        return self
