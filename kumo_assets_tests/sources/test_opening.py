"""The one table from the name under `source:` in a definition to the source."""

from __future__ import annotations

from kumo_assets.config.query import Source
from kumo_assets.sources.kumo import KumoSource
from kumo_assets.sources.opening import SOURCES


def test_every_name_under_source_has_a_source_and_the_reverse() -> None:
    assert Source.model_fields.keys() == SOURCES.keys()


def test_a_definition_means_the_source_whose_field_it_writes() -> None:
    written = Source.model_validate({"kumo": {"predictive_query_id": "q", "connector": "c"}})
    assert isinstance(SOURCES[written.name](), KumoSource)
