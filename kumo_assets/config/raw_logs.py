"""The `RawLogs` definition: which Snowflake tables are raw logs, how to find their newest event, when they are stale.

Values only; the observed assets built from it are in `kumo_assets.assets.raw`.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from kumo_assets.errors import ConfigError

IDENTIFIER = r"^[A-Za-z_][A-Za-z0-9_$]{0,254}$"
# More than any table has; what JSON, Snowflake and a float hold exactly.
MOST_ROWS = 10**15
PATH = r"^[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z0-9_]+)*$"


def check_owner(value: str) -> str:
    """The owner back when Dagster takes it (`team:NAME` or an e-mail address); ValueError otherwise."""
    if not re.fullmatch(r"team:.+|[^@\s]+@[^@\s]+\.[^@\s]+", value):
        raise ValueError(f"{value!r} is neither 'team:NAME' nor an e-mail address")
    return value


Owner = Annotated[str, AfterValidator(check_owner)]


class Strict(BaseModel):
    """An unknown field is a typing mistake, never ignored. No number is infinite or NaN: YAML has both (`.inf`, `.nan`)."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class KafkaColumn(Strict):
    """One column of the flattening view: a path in RECORD_CONTENT and the SQL type it is cast to."""

    path: str = Field(pattern=PATH, description="Path inside RECORD_CONTENT, e.g. `basket.id`.")
    type: Literal["NUMBER", "FLOAT", "STRING", "BOOLEAN", "DATE", "TIMESTAMP_NTZ"] = Field(
        description="SQL type of the column. As TIMESTAMP_NTZ, a text with an offset becomes its moment in the table's "
        "event_time_zone; a text without one is taken as it stands, a number as seconds (or finer) of UTC since 1970."
    )


class KafkaShape(Strict):
    """The table the Snowflake Kafka connector lands: RECORD_METADATA and RECORD_CONTENT, both VARIANT."""

    landing_table: str = Field(
        pattern=IDENTIFIER,
        description="Table the connector writes to; `table` is the view made over it, and replaced "
        "when its definition changes: tags, masking and row access policies on it are lost then, and only then.",
    )
    columns: dict[str, KafkaColumn] = Field(min_length=1, description="View column name -> where it is in the record.")


class Freshness(Strict):
    """When the stream counts as stale, for the Dagster freshness policy.

    For a person looking at the catalogue. Dagster 1.13 evaluates the policy of an asset it materialises and shows
    "unknown" for one that is only observed (freshness_evaluator.py), so nothing hangs on it here: each query looks at
    the logs itself, against its own partition, before Kumo is launched.
    """

    fail_after_hours: float = Field(default=36, ge=1 / 60, le=24 * 31)
    warn_after_hours: float | None = Field(default=None, ge=1 / 60, le=24 * 31)

    @model_validator(mode="after")
    def _warns_first(self) -> Freshness:
        if self.warn_after_hours is not None and self.warn_after_hours >= self.fail_after_hours:
            raise ValueError(
                f"warn_after_hours ({self.warn_after_hours:g}) must be less than fail_after_hours ({self.fail_after_hours:g})"
            )
        return self


class RawTable(Strict):
    """One stream of raw logs."""

    table: str = Field(pattern=IDENTIFIER, description="Snowflake table or view name.")
    event_time: str | None = Field(
        default=None,
        pattern=IDENTIFIER,
        description="Column with the event's time (UTC). Leave out for a table that is no stream.",
    )
    event_time_zone: str = Field(default="UTC", description="Time zone event_time is stored in (TIMESTAMP_NTZ).")
    description: str = ""
    freshness: Freshness = Field(default_factory=Freshness)
    kafka: KafkaShape | None = Field(
        default=None, description="Present when the Kafka connector lands this table as VARIANTs."
    )
    min_rows: int = Field(default=1, ge=0, le=MOST_ROWS, description="Fewer rows than this fails the volume check.")

    @model_validator(mode="after")
    def _time_zone(self) -> RawTable:
        check_time_zone(self.event_time_zone)
        return self

    def moment(self, newest: Any) -> datetime:
        """The moment, aware, of a value of `event_time` as the connector gives it. One without an offset is of
        `event_time_zone`; a date speaks of its whole day, and means its end. ConfigError for any other type."""
        if isinstance(newest, date) and not isinstance(newest, datetime):
            newest = datetime(newest.year, newest.month, newest.day) + timedelta(days=1)
        if not isinstance(newest, datetime):
            raise ConfigError(
                "read the event time of",
                to=self.table,
                found=f"event_time {self.event_time} holds {type(newest).__name__}, no time",
                next="name a column of type TIMESTAMP or DATE in the RawLogs definition",
            )
        return newest if newest.tzinfo is not None else newest.replace(tzinfo=ZoneInfo(self.event_time_zone))


class RawLogsSpec(Strict):
    """Raw logs: streams in one Snowflake schema, observed, never written."""

    database: str | None = Field(default=None, pattern=IDENTIFIER, description="Default: SNOWFLAKE_DATABASE.")
    schema_name: str = Field(alias="schema", pattern=IDENTIFIER, description="Schema of the tables.")
    owners: list[Owner] = Field(default_factory=list, description="`team:NAME` or an e-mail address.")
    tables: dict[str, RawTable] = Field(min_length=1, description="Asset name -> table.")

    model_config = ConfigDict(populate_by_name=True)


def check_time_zone(name: str) -> str:
    """The name back when the machine's tz database knows it; ValueError otherwise."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone of the tz database; write it like 'America/New_York'") from error
    return name
