"""Where each definition is: from a query's name to its folder under the folder of definitions, however deep it lies.

An index belongs to whoever loads: one load of Dagster's, or one command. It lists the folder once and parses a file
once, when it is first asked for, so a new index sees what has changed since. One file's models are made in `load`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from kumo_assets.config.load import (
    QUERY_TYPE,
    RAW_LOGS_TYPE,
    QueryDefinition,
    RawSource,
    query_of,
    validate,
)
from kumo_assets.config.raw_logs import RawLogsSpec
from kumo_assets.config.yaml_file import read_mapping
from kumo_assets.errors import ConfigError


class DefinitionsIndex:
    """The definitions under `folder`. A file that cannot be read never stops what is asked of another (rule 10)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._documents: dict[Path, dict[str, Any]] = {}

    def names(self) -> list[str]:
        """Names of the folders that hold a PredictiveQuery, sorted, each once.

        A file that cannot be read may be a query, so its folder is listed too: `query` then says what is wrong.
        """
        return sorted(name for name, files in self._files.items() if any(map(self._may_be_query, files)))

    def query(self, name: str) -> QueryDefinition:
        """One query's definition; of the other files only those in folders of the same name are opened.

        Raises ConfigError for a name that no folder or more than one has, and for a file that is no valid query.
        """
        files = self._named(name)
        if not files:
            known = ", ".join(self.names()) or "none"
            raise ConfigError(
                "find the query",
                to=repr(name),
                found=f"no folder of that name with a defs.yaml is under {self.folder}",
                next=f"use one of: {known}; or write a new one with `dg scaffold defs {QUERY_TYPE} {name}`",
            )
        self.demand_unique(name)
        return query_of(files[0], self._document(files[0]))

    def demand_unique(self, name: str) -> None:
        """ConfigError with both paths when two folders hold a query of this name: every artefact is named after it."""
        files = self._named(name)
        if len(files) > 1:
            raise _twice("query", name, files)

    def demand_readable(self, name: str) -> None:
        """ConfigError for a file that Dagster's own YAML loader takes and ours does not, as one with a key twice."""
        for path in self._named(name):
            self._document(path)

    def raw_logs(self) -> dict[str, RawLogsSpec]:
        """Every readable RawLogs definition, by its folder's name.

        Raises ConfigError for one that is not valid, for two folders of one name, and for a raw log in two of them.
        """
        for fault in self.raw_faults():
            raise fault
        return {path.parent.name: spec for path, spec in self._raw_specs()}

    def raw_faults(self) -> list[ConfigError]:
        """What is wrong with the RawLogs definitions; a query that needs none of them can be used all the same."""
        return [found for found in (*self._raw_logs.values(), *self._tables.values()) if isinstance(found, ConfigError)]

    def raw_logs_of(self, definition: QueryDefinition) -> dict[str, RawLogsSpec]:
        """The RawLogs definitions that have a raw log which the query names, by their folders' names. ConfigError as of
        `raw_sources`."""
        self.raw_sources(definition)
        wanted = set(definition.spec.raw_logs)
        return {path.parent.name: spec for path, spec in self._raw_specs() if wanted & spec.tables.keys()}

    def raw_sources(self, definition: QueryDefinition) -> dict[str, RawSource]:
        """The raw tables that a query names, wherever under the folder they are defined.

        Raises ConfigError for one that no RawLogs definition has, or that two have. A RawLogs definition that is wrong
        stops only the queries that need it.
        """
        known = {name: source for name, source in self._tables.items() if isinstance(source, RawSource)}
        for name in definition.spec.raw_logs:
            if isinstance(twice := self._tables.get(name), ConfigError):
                raise twice
        unknown = [name for name in definition.spec.raw_logs if name not in known]
        if unknown:
            raise ConfigError(
                "read the definition",
                to=str(definition.folder / "defs.yaml"),
                found=f"attributes.raw_logs names {', '.join(map(repr, unknown))}, which no RawLogs definition has"
                + self._unread(),
                next=f"use some of: {', '.join(sorted(known))}"
                if known
                else f"none is defined yet: dg scaffold defs {RAW_LOGS_TYPE} raw_logs",
            )
        return {name: known[name] for name in definition.spec.raw_logs}

    @cached_property
    def _files(self) -> dict[str, list[Path]]:
        """Every `defs.yaml`, by the name of its folder; none is opened."""
        found: dict[str, list[Path]] = {}
        for path in _definition_files(self.folder, frozenset()):
            found.setdefault(path.parent.name, []).append(path)
        return found

    def _named(self, name: str) -> list[Path]:
        """The files that may define the query. A folder that is alone under its name is not opened to tell its type."""
        files = self._files.get(name, [])
        return files if len(files) == 1 else [path for path in files if self._may_be_query(path)]

    @cached_property
    def _raw_logs(self) -> dict[Path, RawLogsSpec | ConfigError]:
        """Every file that says it is a RawLogs definition: its specification, or what is wrong with it."""
        found: dict[Path, RawLogsSpec | ConfigError] = {}
        for name, files in self._files.items():
            logs = [path for path in files if self._type(path) == RAW_LOGS_TYPE]
            for path in logs:
                try:
                    spec = validate(RawLogsSpec, self._document(path).get("attributes"), path)
                    found[path] = spec if len(logs) == 1 else _twice("RawLogs", name, logs)
                except ConfigError as error:
                    found[path] = error
        return found

    def _raw_specs(self) -> list[tuple[Path, RawLogsSpec]]:
        return [(path, spec) for path, spec in self._raw_logs.items() if isinstance(spec, RawLogsSpec)]

    @cached_property
    def _tables(self) -> dict[str, RawSource | ConfigError]:
        """Raw log -> where it is, or that two definitions have it."""
        places: dict[str, list[tuple[Path, RawSource]]] = {}
        for path, spec in self._raw_specs():
            for name, table in spec.tables.items():
                source = RawSource(name=name, database=spec.database, schema=spec.schema_name, table=table)
                places.setdefault(name, []).append((path, source))
        return {
            name: found[0][1] if len(found) == 1 else _twice("raw log", name, [path for path, _ in found])
            for name, found in places.items()
        }

    def _document(self, path: Path) -> dict[str, Any]:
        if path not in self._documents:
            self._documents[path] = read_mapping(path)
        return self._documents[path]

    def _type(self, path: Path) -> str:
        """The type that a file names; "" where the file cannot be read."""
        try:
            return str(self._document(path).get("type"))
        except ConfigError:
            return ""

    def _may_be_query(self, path: Path) -> bool:
        return self._type(path) in (QUERY_TYPE, "")

    def _unread(self) -> str:
        """Files that may have a raw log which nobody else has: those that cannot be read, and wrong RawLogs definitions."""
        paths = [str(path) for files in self._files.values() for path in files if not self._type(path)]
        unread = f" (not looked into, because they cannot be read: {', '.join(paths)})" if paths else ""
        wrong = [f"{error.to}: {error.found}" for error in self._raw_logs.values() if isinstance(error, ConfigError)]
        return unread + (f" (and wrong: {'; '.join(dict.fromkeys(wrong))})" if wrong else "")


def _definition_files(folder: Path, above: frozenset[str]) -> Iterator[Path]:
    """Every `defs.yaml` under the folder, in order of path. As Dagster does, links are followed and hidden folders are
    not looked into; `above` is where the walk has been on its way down, for a link may lead back up."""
    real = os.path.realpath(folder)
    if real in above:
        return
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        if above:
            return  # one query's folder that may not be listed stops no other query's command
        raise ConfigError(
            "list the definitions in", to=str(folder), found=str(error), next="let this user list the folder"
        ) from error
    for name in names:
        if os.path.isdir(folder / name):
            if not name.startswith(".") and name != "__pycache__":
                yield from _definition_files(folder / name, above | {real})
        elif name == "defs.yaml":
            yield folder / name


def _twice(what: str, name: str, paths: list[Path]) -> ConfigError:
    return ConfigError(
        f"use the {what}",
        to=repr(name),
        found=f"it is defined {len(paths)} times: in {' and in '.join(map(str, paths))}",
        next="rename or remove all but one: names are shared by all folders of definitions, nested ones too",
    )
