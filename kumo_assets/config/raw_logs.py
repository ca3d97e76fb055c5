"""The `RawLogs` definition: where raw logs are, how to find their newest event, when they are stale.

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
# `package.module:function`, as Python writes both.
FUNCTION = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$"
# S3, "Bucket naming rules"; then a prefix of keys, which may be empty.
LOCATION = r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^\x00-\x1f]*$"
# The date codes that a location may have, as in `s3://logs/clicks/%Y/%m/%d/`.
DATE_CODES = frozenset("Ymd")


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
    """One stream of raw logs: a Snowflake table, or logs that are elsewhere and whose newest event is found there."""

    table: str = Field(default="", pattern=IDENTIFIER, description="Snowflake table or view name.")
    freshness_from: str = Field(
        default="snowflake",
        description="Who says how far the logs reach: `snowflake` (the table), `s3` (the newest objects at `location`), "
        "`none` (nobody: the logs are not waited for), or `package.module:function`, a function of your own that gets the "
        "log's name and returns its newest event time.",
    )
    location: str | None = Field(
        default=None,
        pattern=LOCATION,
        description="With freshness_from: s3: the prefix, such as s3://logs/clicks/. %Y, %m and %d stand for a day, and "
        "then only the folders of the days around the partition's end are listed.",
    )
    newest_objects: int = Field(
        default=8, ge=1, le=100, description="With freshness_from: s3: how many of the newest objects are looked into."
    )
    function_seconds: float = Field(
        default=60, gt=0, le=3600, description="With a function of your own: how long it may take."
    )
    event_time: str | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        description="Column with the event's time (UTC); on S3 a column of the Parquet or a path in the JSON. Leave out for "
        "a table that is no stream.",
    )
    event_time_zone: str = Field(default="UTC", description="Time zone of an event_time that states none.")
    description: str = ""
    freshness: Freshness = Field(default_factory=Freshness)
    kafka: KafkaShape | None = Field(
        default=None, description="Present when the Kafka connector lands this table as VARIANTs."
    )
    min_rows: int = Field(default=1, ge=0, le=MOST_ROWS, description="Fewer rows than this fails the volume check.")

    @property
    def counted(self) -> bool:
        """Whether rows and newest event are read in Snowflake."""
        return self.freshness_from == "snowflake"

    @property
    def is_stream(self) -> bool:
        """Whether somebody says how far it reaches, so that it can be late."""
        return ":" in self.freshness_from or (self.freshness_from != "none" and self.event_time is not None)

    @model_validator(mode="after")
    def _time_zone(self) -> RawTable:
        check_time_zone(self.event_time_zone)
        return self

    @model_validator(mode="after")
    def _of_one_kind(self) -> RawTable:
        """The fields that the chosen `freshness_from` needs are there, and none that it would ignore."""
        kind = "function" if ":" in self.freshness_from else self.freshness_from
        if kind not in ("snowflake", "s3", "none", "function"):
            raise ValueError(f"freshness_from: {kind!r} is none of snowflake, s3, none and package.module:function")
        if kind == "function" and not re.fullmatch(FUNCTION.strip("^$"), self.freshness_from):
            raise ValueError(f"freshness_from: {self.freshness_from!r} is not package.module:function")
        needed = {"snowflake": ["table"], "s3": ["location"]}.get(kind, [])
        for name in needed:
            if not getattr(self, name):
                raise ValueError(f"{name}: needed with freshness_from: {kind}")
        for name, kinds in _ONLY.items():
            if name in self.model_fields_set and kind not in kinds:
                raise ValueError(f"{name}: says nothing with freshness_from: {self.freshness_from}")
        if kind == "snowflake" and self.event_time and not re.fullmatch(IDENTIFIER.strip("^$"), self.event_time):
            raise ValueError(f"event_time: {self.event_time!r} is no column name of letters, digits, _ and $")
        if wrong := sorted(set(re.findall(r"%(.?)", self.location or "")) - DATE_CODES):
            raise ValueError(f"location: %{wrong[0]} is no date code; it may have %Y, %m and %d")
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


# A field that says something only with some kinds of `freshness_from`.
_ONLY = {
    "location": ("s3",),
    "newest_objects": ("s3",),
    "function_seconds": ("function",),
    "event_time": ("snowflake", "s3"),
    "kafka": ("snowflake",),
    "min_rows": ("snowflake",),
    "table": ("snowflake", "none", "function"),
}


class RawLogsSpec(Strict):
    """Raw logs: streams in one Snowflake schema, or elsewhere; observed, never written."""

    database: str | None = Field(default=None, pattern=IDENTIFIER, description="Default: SNOWFLAKE_DATABASE.")
    schema_name: str = Field(
        default="",
        alias="schema",
        pattern=IDENTIFIER,
        description="Schema of the tables; needed where a log has a Snowflake table.",
    )
    owners: list[Owner] = Field(default_factory=list, description="`team:NAME` or an e-mail address.")
    tables: dict[str, RawTable] = Field(min_length=1, description="Asset name -> table.")

    model_config = ConfigDict(populate_by_name=True)

    @model_validator(mode="after")
    def _has_a_schema(self) -> RawLogsSpec:
        named = [name for name, raw in self.tables.items() if raw.table]
        if named and not self.schema_name:
            raise ValueError(f"schema: needed, because {named[0]} is a Snowflake table")
        return self


def check_time_zone(name: str) -> str:
    """The name back when the machine's tz database knows it; ValueError otherwise."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone of the tz database; write it like 'America/New_York'") from error
    return name
