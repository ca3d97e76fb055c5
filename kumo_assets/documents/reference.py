"""`references/<name>.json`: the table of another release that a placeholder of `postprocess.sql` stands for.

Written once, when the name is first needed, so that a resumed run uses the same table. What it is resolved to is decided
in `releases.references`.
"""

from __future__ import annotations

from pydantic import ConfigDict, Field

from kumo_assets.documents.base import Document, Record


class ReferredTable(Record):
    """A Snowflake table, and the release that was active when it was chosen. `home` is the release whose retirement
    drops the table: another one where the active release adopted it."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    query: str
    release_id: str
    home: str
    database: str
    schema_name: str = Field(alias="schema")
    table: str


class Reference(Document):
    """What `{{ name }}` stands for in one release. `source` is None when nothing was active: an empty table then."""

    release_id: str
    name: str
    resolved_at: str
    source: ReferredTable | None = None
