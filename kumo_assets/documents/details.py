"""What each asset of the chain records about its artefact, for the assets and gates after it: `Artefact.details`.

A writer gives its own type. A reader asks for the type it needs with `Artefact.details_as`, and gets an error that names
the field when the stored details do not fit. Fields that a reader cannot do without are required; the others have a
default.
"""

from __future__ import annotations

from typing import Literal

from kumo_serving.pointer import KeyAttribute
from pydantic import ConfigDict, Field

from kumo_assets.documents.base import Record


class Details(Record):
    """The details of any asset, as stored. Only a type below gives access to the fields."""

    model_config = ConfigDict(extra="allow")


class _Typed(Details):
    """Details whose fields are known."""

    model_config = ConfigDict(extra="ignore")


class KumoNotice(Record):
    """A warning or an error of Kumo's, verbatim."""

    title: str = ""
    message: str = ""


class SampledItem(Record):
    """An entity, and exactly the item (`p`, as compact JSON) that its table must have."""

    entity: str
    p: str


class ExportedFile(Record):
    """One object of an export: its name under the prefix, its compressed size and its rows, as Snowflake reported them."""

    name: str
    bytes: int
    rows: int


class PredictionDetails(_Typed):
    """`predictions`: the source's job or run, what the source said about it, and the Snowflake schema its table is in.
    `predictive_query_id` and `snapshot_id` are Kumo's alone. `adopted` says that an earlier attempt had started it."""

    job_id: str | None = None
    predictive_query_id: str | None = None
    model_id: str | None = None
    snapshot_id: str | None = None
    tracking_url: str | None = None
    warnings: tuple[KumoNotice, ...] = ()
    errors: tuple[KumoNotice, ...] = ()
    database: str
    schema_name: str = Field(alias="schema")
    adopted: bool = False


class PostprocessedDetails(_Typed):
    """`postprocessed`: the Snowflake schema its table is in, the table it was made from, and its longest list."""

    database: str
    schema_name: str = Field(alias="schema")
    source: str
    longest: int = 0


class ExportDetails(_Typed):
    """`s3_export`: the objects under `prefix`, the URI of the fallback list, and a sample to compare the import with."""

    prefix: str
    format: Literal["csv", "dynamodb_json"]
    files: tuple[ExportedFile, ...] = ()
    bytes: int = 0
    fallback: str | None = None
    source: str = ""
    sample: tuple[SampledItem, ...] = ()


class ImportDetails(_Typed):
    """`dynamodb_table`: the import, the table's region and key, and the sample it was compared with. `bytes` are
    uncompressed, as AWS counts them."""

    import_arn: str
    region: str
    key: KeyAttribute
    errors: int
    bytes: int = 0
    sample: tuple[SampledItem, ...] = ()
    source: str = ""
    adopted: bool = False


class WarehouseDetails(_Typed):
    """What `predictions` and `postprocessed` have in common: the Snowflake schema their table is in."""

    database: str
    schema_name: str = Field(alias="schema")


class NoticeDetails(_Typed):
    """What the source said about its job; empty for any asset but `predictions`, and for a source that gives no notices."""

    warnings: tuple[KumoNotice, ...] = ()
    errors: tuple[KumoNotice, ...] = ()


class SampleDetails(_Typed):
    """The sample of `s3_export` or `dynamodb_table`; empty for any other asset."""

    sample: tuple[SampledItem, ...] = ()
