"""A query's question for the Engine: `engine.py` in its folder, run as plain Python and checked. Nothing outside is asked.

The file sets `TABLES` (of which raw log, which columns, how many days), `EDGES` (which column of one table is the primary
key of another) and `PQL`. It calls nothing of the Engine's: all such calls are in `child/engine_calls.py`.
"""

from __future__ import annotations

import hashlib
import json
import runpy
import traceback
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.raw_logs import IDENTIFIER, Strict
from kumo_assets.errors import ConfigError

FILE = "engine.py"
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,62}$")]
ColumnName = Annotated[str, Field(pattern=IDENTIFIER)]


class QuestionTable(Strict):
    """A table of the graph: columns of one raw log."""

    raw_log: str
    columns: list[ColumnName] = Field(min_length=1)
    primary_key: ColumnName | None = None
    time_column: ColumnName | None = None
    days: int | None = Field(default=None, ge=1, le=36_600, description="Events of so many days before the anchor.")
    distinct: bool = Field(default=False, description="Each row once: the entities that appear in a log.")
    stypes: dict[ColumnName, Literal["numerical", "categorical", "ID", "text", "timestamp", "multicategorical"]] = (
        Field(default_factory=dict, description="What a column means, where the Engine's guess is wrong.")
    )

    @model_validator(mode="after")
    def _whole(self) -> QuestionTable:
        if len(set(self.columns)) != len(self.columns):
            raise ValueError("columns has a name twice")
        for field in ("primary_key", "time_column"):
            if getattr(self, field) is not None and getattr(self, field) not in self.columns:
                raise ValueError(f"{field} {getattr(self, field)} is not among the columns")
        if unknown := self.stypes.keys() - set(self.columns):
            raise ValueError(f"stypes names {min(unknown)}, which is not among the columns")
        if self.days is not None and self.time_column is None:
            raise ValueError("days needs a time_column")
        return self


class Question(Strict):
    """The graph and the PQL. An edge is (table, its column, the table whose primary key that is)."""

    tables: dict[Name, QuestionTable] = Field(min_length=1)
    edges: list[tuple[Name, ColumnName, Name]] = Field(default_factory=list)
    pql: str = Field(min_length=1)

    @model_validator(mode="after")
    def _linked(self) -> Question:
        for source, key, target in self.edges:
            for name in (source, target):
                if name not in self.tables:
                    raise ValueError(f"EDGES names the table {name}, which is not in TABLES")
            if key not in self.tables[source].columns:
                raise ValueError(f"EDGES names the column {key}, which {source} does not have")
            if self.tables[target].primary_key is None:
                raise ValueError(f"EDGES leads to {target}, which has no primary_key")
        return self

    @property
    def digest(self) -> str:
        """32 hex digits of what is asked; comments and layout of the file do not matter. A model answers one question."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def read_question(definition: QueryDefinition) -> Question:
    """The question in the query's folder. ConfigError names the file and what is wrong in it."""
    path = definition.folder / FILE
    if not path.is_file():
        raise ConfigError(
            "read the question of",
            to=definition.name,
            found=f"there is no {path}",
            next="write its TABLES, EDGES and PQL there (docs/sources.md)",
        )
    try:
        values = runpy.run_path(str(path))
    except BaseException as error:  # whatever a user's file raises is a message about that file
        if isinstance(error, KeyboardInterrupt):
            raise
        raise _wrong(path, _place(path, error)) from error
    missing = [name for name in ("TABLES", "PQL") if name not in values]
    if missing:
        raise _wrong(path, f"it sets no {' and no '.join(missing)}")
    try:
        question = Question.model_validate(
            {"tables": values["TABLES"], "edges": values.get("EDGES", []), "pql": values["PQL"]}
        )
    except ValidationError as error:
        raise _wrong(
            path,
            "; ".join(
                f"{'.'.join(map(str, item['loc'])) or 'the question'}: {item['msg'].removeprefix('Value error, ')}"
                for item in error.errors()
            ),
        ) from error
    for name, table in question.tables.items():
        if table.raw_log not in definition.spec.raw_logs:
            raise _wrong(
                path,
                f"table {name} is of raw log {table.raw_log}, and the definition has "
                f"raw_logs: {', '.join(definition.spec.raw_logs) or 'none'}",
            )
    return question


def _place(path: Path, error: BaseException) -> str:
    """The error, and its line in the file."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    line = error.lineno if isinstance(error, SyntaxError) else (lines[-1] if lines else None)
    return f"{'line ' + str(line) + ': ' if line else ''}{type(error).__name__}: {error}"


def _wrong(path: Path, found: str) -> ConfigError:
    return ConfigError("use the question in", to=str(path), found=found, next="correct the file (docs/sources.md)")
