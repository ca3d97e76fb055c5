"""Whether a query can be used as its folder stands: everything that can be known without network and credentials.

Each fault is a ConfigError that names the file. `status`, `rollback` and the other commands of an incident do not ask:
they read the YAML alone, so that a broken SQL file stops none of them (rule 10).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kumo_assets.assets import postprocess_sql, preprocess
from kumo_assets.config.index import DefinitionsIndex
from kumo_assets.config.load import QueryDefinition, RawSource
from kumo_assets.config.names import QUERY_PATTERN, RESERVED
from kumo_assets.errors import ConfigError
from kumo_assets.gates.own import check_own_gates


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
    sources = index.raw_sources(definition)
    check_own_gates(definition)
    preprocess.check_file(definition)
    postprocess_sql.check_file(definition)
    return Usable(definition, sources, _others(index, definition))


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
