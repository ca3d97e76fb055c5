"""What the placeholders of a query's `postprocess.sql` stand for in one release: tables of other releases, resolved once,
and the values put in.

Which table a name means is decided in `releases.references`; the names, and the text itself, are in `postprocess_sql`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager

from kumo_assets.assets.postprocess_sql import empty_tables, fixed_values, query_meant, referred, served_columns
from kumo_assets.assets.step import Step, predictions_of
from kumo_assets.config.load import QueryDefinition, RawSource
from kumo_assets.documents import Artefact, Reference, ReferredTable
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.references import resolve
from kumo_assets.resources.snowflake import Warehouse
from kumo_assets.resources.sql import table


def resolve_references(
    step: Step,
    warehouse: Warehouse,
    contexts: Callable[[QueryDefinition], ReleaseContext],
    others: Mapping[str, QueryDefinition],
) -> dict[str, Reference]:
    """Placeholder -> the table of another release that it stands for, as this release has recorded it, or records now.

    Empty for a query without a file of its own. Raises ReleaseError for what `releases.references` refuses.
    """

    def exists(place: ReferredTable) -> bool:
        return bool(warehouse.columns(place.database, place.schema_name, place.table))

    found = {}
    for name in referred(step.definition):
        with closing(contexts(query_meant(step.definition, name, others))) as source:
            found[name] = resolve(step.store, step.opened, name, source, exists)
    return found


@contextmanager
def release_values(
    step: Step,
    warehouse: Warehouse,
    sources: Mapping[str, RawSource],
    others: Mapping[str, QueryDefinition],
    references: Mapping[str, Reference],
    predictions: Artefact,
) -> Iterator[dict[str, str]]:
    """Every value that the query's file may ask for. What nothing was active for is an empty table, inside the context."""
    readable, keys = predictions_of(warehouse, predictions)
    empty = {
        name: served_columns(query_meant(step.definition, name, others).spec.task, keys)
        for name, reference in references.items()
        if reference.source is None
    }
    with empty_tables(warehouse, empty) as stand_ins:
        yield {
            **fixed_values(step.definition, sources, step.opened.partition, warehouse),
            "predictions": readable,
            **stand_ins,
            **{
                name: table(source.database, source.schema_name, source.table)
                for name, reference in references.items()
                if (source := reference.source) is not None
            },
        }
