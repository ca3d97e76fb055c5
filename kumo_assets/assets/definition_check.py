"""Whether a query can be used as its folder stands: everything that can be known without network and credentials.

Each fault is a ConfigError that names the file. `status`, `rollback` and the other commands of an incident do not ask:
they read the YAML alone, so that a broken SQL file stops none of them (rule 10).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from kumo_assets.assets import postprocess_sql, preprocess
from kumo_assets.config.index import DefinitionsIndex
from kumo_assets.config.load import QueryDefinition, RawSource
from kumo_assets.config.names import QUERY_PATTERN, RESERVED
from kumo_assets.config.outcomes import FILE as OUTCOMES_FILE
from kumo_assets.errors import ConfigError
from kumo_assets.gates.own import check_own_gates
from kumo_assets.outcomes import happened
from kumo_assets.resources.template import placeholders, read_sql


@dataclass(frozen=True)
class Usable:
    """A definition that was checked, the raw logs that it names, and the other queries that its SQL names."""

    definition: QueryDefinition
    sources: dict[str, RawSource]
    others: dict[str, QueryDefinition]


def demand_usable(index: DefinitionsIndex, definition: QueryDefinition) -> Usable:
    """The query with all that it needs of the project. ConfigError names the file and what is wrong with it."""
    if not re.fullmatch(QUERY_PATTERN.strip("^$"), definition.name):
        raise ConfigError(
            "use the folder",
            to=str(definition.folder),
            found=f"a query has its folder's name, and that must match {QUERY_PATTERN}",
            next="rename the folder",
        )
    if definition.name in RESERVED:
        raise ConfigError(
            "use the folder",
            to=str(definition.folder),
            found=f"a query has its folder's name, and {definition.name!r} is reserved: `kumo-assets prove` deletes what is under it",
            next="rename the folder",
        )
    index.demand_unique(definition.name)
    index.demand_readable(definition.name)
    sources = index.raw_sources(definition)
    _demand_tables(definition, sources)
    check_own_gates(definition)
    preprocess.check_file(definition)
    postprocess_sql.check_file(definition)
    happened.check_file(replace(definition, sources=sources))
    return Usable(definition, sources, _others(index, definition))


def _demand_tables(definition: QueryDefinition, sources: Mapping[str, RawSource]) -> None:
    """ConfigError where SQL names a raw log that has no Snowflake table, or drift is watched of one that is not counted."""
    elsewhere = {name for name, source in sources.items() if not source.table.table}
    for file in (preprocess.FILE, postprocess_sql.FILE, OUTCOMES_FILE):
        path = definition.folder / file
        named = sorted(placeholders(read_sql(path)) & elsewhere) if elsewhere and path.is_file() else []
        if named:
            raise ConfigError(
                "fill in the SQL file",
                to=str(path),
                found=f"{{{{ {named[0]} }}}} is a raw log outside Snowflake: it has no table",
                next="name raw logs that have a `table` in their RawLogs definition",
            )
    outcomes = definition.spec.outcomes
    if outcomes is not None and outcomes.events is not None and outcomes.events.log in elsewhere:
        raise ConfigError(
            "read the definition",
            to=str(definition.folder / "defs.yaml"),
            found=f"attributes.outcomes.events.log names {outcomes.events.log}, which is outside Snowflake: it has no table",
            next=f"name a raw log with a `table` in its RawLogs definition, or write {OUTCOMES_FILE}",
        )
    watched = definition.spec.gates.raw_drift
    uncounted = sorted(
        name
        for name in watched.columns.keys() | watched.per.keys()
        if name in sources and not sources[name].table.counted
    )
    if uncounted:
        raise ConfigError(
            "read the definition",
            to=str(definition.folder / "defs.yaml"),
            found=f"attributes.gates.raw_drift names {uncounted[0]}, whose rows are not read in Snowflake",
            next="watch raw logs with freshness_from: snowflake, or none",
        )


def faults(index: DefinitionsIndex) -> list[ConfigError]:
    """What is wrong with the project's definitions, each fault once; empty when all can be used."""
    found = {str(error): error for error in index.raw_faults()}
    for name in index.names():
        try:
            demand_usable(index, index.query(name))
        except ConfigError as error:
            found[str(error)] = error
    return list(found.values())


def _others(index: DefinitionsIndex, definition: QueryDefinition) -> dict[str, QueryDefinition]:
    others = {}
    for name in postprocess_sql.queries_named(definition):
        try:
            others[name] = index.query(name)
        except ConfigError as error:
            raise ConfigError(
                "fill in the SQL file",
                to=str(definition.folder / postprocess_sql.FILE),
                found=f"{{{{ {postprocess_sql.OTHER}{name} }}}}: {error.to}: {error.found}",
                next=error.next,
            ) from error
    return others
