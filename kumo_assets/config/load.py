"""Reading one definition file without Dagster: its YAML, and the model made from it, with errors that name the field.

Which files there are, and which of them a name stands for, is `index`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from kumo_assets.config.explain import explain
from kumo_assets.config.query import PredictiveQuerySpec
from kumo_assets.config.raw_logs import RawTable
from kumo_assets.config.yaml_file import read_mapping
from kumo_assets.errors import ConfigError

QUERY_TYPE = "kumo_assets.components.PredictiveQuery"
RAW_LOGS_TYPE = "kumo_assets.components.RawLogs"

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class QueryDefinition:
    """One query's folder, read and checked. `sources` are the raw logs that it names, where they have been looked up."""

    name: str
    folder: Path
    spec: PredictiveQuerySpec
    sources: Mapping[str, RawSource] = field(default_factory=dict)


@dataclass(frozen=True)
class RawSource:
    """One raw log together with where its Snowflake table lives; `schema` is "" for one that has no table."""

    name: str
    database: str | None
    schema: str
    table: RawTable


def read_query(folder: Path) -> QueryDefinition:
    """The query whose folder this is; no other file is opened. ConfigError names file, field, value and what would be
    right."""
    path = folder / "defs.yaml"
    return query_of(path, read_mapping(path))


def query_of(path: Path, document: dict[str, Any]) -> QueryDefinition:
    """The query that a parsed file defines; ConfigError when it defines something else, or has a wrong field."""
    if document.get("type") != QUERY_TYPE:
        raise ConfigError(
            "read the query definition",
            to=str(path),
            found=f"type is {document.get('type')!r}",
            next=f"write `type: {QUERY_TYPE}`",
        )
    folder = path.parent
    return QueryDefinition(
        name=folder.name, folder=folder, spec=validate(PredictiveQuerySpec, document.get("attributes"), path)
    )


def validate(model: type[M], attributes: Any, path: Path) -> M:
    """The model made from a file's `attributes`; ConfigError with every wrong field otherwise."""
    try:
        return model.model_validate(attributes if attributes is not None else {})
    except ValidationError as error:
        raise explain(error, model, path) from error
