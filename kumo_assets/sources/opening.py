"""Which source a definition means. Adding a source is a module beside this one and a line in `SOURCES`.

A definition names its source by the one field under `source:` in its YAML.
"""

from __future__ import annotations

from collections.abc import Callable

from kumo_assets.config.load import QueryDefinition
from kumo_assets.sources.protocol import Source


def _kumo() -> Source:
    from kumo_assets.sources.kumo import KumoSource

    return KumoSource()


def _table() -> Source:
    from kumo_assets.sources.table import TableSource

    return TableSource()


def _engine() -> Source:
    from kumo_assets.sources.engine.source import EngineSource

    return EngineSource()


# The name under `source:` -> what opens it. A source's module is imported only when a definition names it.
SOURCES: dict[str, Callable[[], Source]] = {"kumo": _kumo, "engine": _engine, "table": _table}


def source_of(definition: QueryDefinition) -> Source:
    """The source of a query's predictions."""
    return SOURCES[definition.spec.source.name]()
