"""Find and read query definitions without Dagster: one folder per query under a `defs` folder.

Reading one query never opens another's file, so one query's broken YAML cannot stop another's rollback (rule 10).
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from kumo_assets.config.query import PredictiveQuerySpec
from kumo_assets.config.raw_logs import RawLogsSpec, RawTable
from kumo_assets.errors import ConfigError

QUERY_TYPE = "kumo_assets.components.PredictiveQuery"
RAW_LOGS_TYPE = "kumo_assets.components.RawLogs"

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class QueryDefinition:
    """One query's folder, read and checked."""

    name: str
    folder: Path
    spec: PredictiveQuerySpec


def defs_folder(environ: Mapping[str, str] | None = None, start: Path | None = None) -> Path:
    """The folder of definitions: `KUMO_ASSETS_DEFS`, else the `dg` project around `start`, else this package's."""
    value = (os.environ if environ is None else environ).get("KUMO_ASSETS_DEFS", "")
    if value:
        folder = Path(value)
        if not folder.is_dir():
            raise ConfigError(
                "read the definitions in",
                to=str(folder),
                found="no such folder",
                next="set KUMO_ASSETS_DEFS to the folder that holds one folder per query",
            )
        return folder
    here = (start or Path.cwd()).resolve()
    for candidate in (here, *here.parents):
        project = candidate / "pyproject.toml"
        if project.is_file():
            settings = tomllib.loads(project.read_text()).get("tool", {}).get("dg", {}).get("project", {})
            root = settings.get("root_module")
            if root:
                for base in (candidate, candidate / "src"):
                    folder = base / str(settings.get("defs_module", f"{root}.defs")).replace(".", "/")
                    if folder.is_dir():
                        return folder
    return Path(__file__).resolve().parents[1] / "defs"


def load_query(name: str, folder: Path | None = None) -> QueryDefinition:
    """Read one query's definition. ConfigError names file, field, value and what would be right."""
    base = folder or defs_folder()
    path = base / name / "defs.yaml"
    if not path.is_file():
        known = ", ".join(query_names(base)) or "none"
        raise ConfigError(
            "find the query",
            to=repr(name),
            found=f"no {path}",
            next=f"use one of: {known}; or write a new one with `dg scaffold defs {QUERY_TYPE} {name}`",
        )
    document = _document(path)
    if document.get("type") != QUERY_TYPE:
        raise ConfigError(
            "read the query definition",
            to=str(path),
            found=f"type is {document.get('type')!r}",
            next=f"write `type: {QUERY_TYPE}`",
        )
    return QueryDefinition(
        name=name, folder=path.parent, spec=validate(PredictiveQuerySpec, document.get("attributes"), path)
    )


def query_names(folder: Path | None = None) -> list[str]:
    """Names of the folders that hold a PredictiveQuery, sorted. Broken files are listed by their folder's name too."""
    base = folder or defs_folder()
    names = []
    for path in sorted(base.rglob("defs.yaml")):
        try:
            kind = _document(path).get("type")
        except ConfigError:
            kind = QUERY_TYPE
        if kind == QUERY_TYPE:
            names.append(path.parent.name)
    return names


def load_raw_logs(folder: Path | None = None) -> dict[str, RawLogsSpec]:
    """Every RawLogs definition under the folder, by its folder's name."""
    base = folder or defs_folder()
    found = _raw_logs_in(sorted(base.rglob("defs.yaml")))
    _seen[base] = list(found)
    return {path.parent.name: spec for path, spec in found.items()}


# The files that held RawLogs when a folder was last looked through: each of 100 queries asks, and looks there first.
_seen: dict[Path, list[Path]] = {}


def _raw_logs_in(paths: Iterable[Path]) -> dict[Path, RawLogsSpec]:
    documents = {path: _document(path) for path in paths}
    return {
        path: validate(RawLogsSpec, document.get("attributes"), path)
        for path, document in documents.items()
        if document.get("type") == RAW_LOGS_TYPE
    }


def validate(model: type[M], attributes: Any, path: Path) -> M:
    """The model made from a file's `attributes`; ConfigError with every wrong field otherwise."""
    try:
        return model.model_validate(attributes if attributes is not None else {})
    except ValidationError as error:
        raise explain(error, path) from error


def _document(path: Path) -> dict[str, Any]:
    found = path.stat()
    return _parsed(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=4096)
def _parsed(path: Path, changed_ns: int, size: int) -> dict[str, Any]:
    """A file's document, parsed once for as long as the file stays as it is: each of 100 queries asks for the raw logs
    among all files. Nobody changes what is returned."""
    try:
        # libyaml's loader is ten times as fast; the pure one is there where PyYAML was built without it.
        document = yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ConfigError(
            "read", to=str(path), found=f"not YAML: {error}", next="fix the YAML at the line named"
        ) from error
    if not isinstance(document, dict):
        raise ConfigError("read", to=str(path), found="no mapping at the top", next="write `type:` and `attributes:`")
    return document


def explain(error: ValidationError, path: Path) -> ConfigError:
    """One ConfigError out of pydantic's list: file, field, value, and the allowed ones."""
    lines = []
    for item in error.errors():
        field = "attributes." + ".".join(str(part) for part in item["loc"]) if item["loc"] else "attributes"
        value = "" if item["type"] == "missing" else f" (found {_short(item.get('input'))})"
        if item["type"] == "value_error":
            # The message is one of our own; of a whole section it says enough without repeating the section.
            value = value if item["loc"] else ""
        lines.append(f"{field}: {item['msg'].removeprefix('Value error, ')}{value}")
    return ConfigError("read the definition", to=str(path), found="; ".join(lines), next="fix the fields named")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


@dataclass(frozen=True)
class RawSource:
    """One raw log table together with where it lives."""

    name: str
    database: str | None
    schema: str
    table: RawTable


def raw_sources(names: Sequence[str], query_path: Path, folder: Path | None = None) -> dict[str, RawSource]:
    """The raw tables a query names, from every RawLogs definition under the folder; ConfigError for an unknown one."""
    base = folder or defs_folder()
    known = _tables(_raw_logs_in(path for path in _seen.get(base, ()) if path.is_file()).values())
    if not known.keys() >= set(names):
        known = _tables(load_raw_logs(base).values())
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigError(
            "read the definition",
            to=str(query_path),
            found=f"attributes.raw_logs names {', '.join(map(repr, unknown))}, which no RawLogs definition has",
            next=f"use some of: {', '.join(sorted(known))}"
            if known
            else f"none is defined yet: dg scaffold defs {RAW_LOGS_TYPE} raw_logs",
        )
    return {name: known[name] for name in names}


def _tables(logs: Iterable[RawLogsSpec]) -> dict[str, RawSource]:
    return {
        name: RawSource(name=name, database=spec.database, schema=spec.schema_name, table=table)
        for spec in logs
        for name, table in spec.tables.items()
    }
