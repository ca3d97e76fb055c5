"""What the assets that a source makes, `predictions` and `model`, hand to it from Dagster's context. No source is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict

import dagster as dg

from kumo_assets.assets.progress import changes
from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.names import QueryNames
from kumo_assets.models.registry import ModelRegistry
from kumo_assets.releases.store import ReleaseStore
from kumo_assets.resources.waiting import Narrator
from kumo_assets.sources.protocol import Shown

RELEASES = "kumo_assets_releases"


class RunValues(TypedDict):
    """The fields of `sources.protocol.Work` that are the same for every asset."""

    definition: QueryDefinition
    names: QueryNames
    registry: ModelRegistry
    say: Callable[[str], object]
    warn: Callable[[str], object]
    progress: Callable[[str], object]
    cancelling: Callable[[], bool]


def run_values(
    context: dg.AssetExecutionContext, definition: QueryDefinition, store: ReleaseStore, narrator: Narrator
) -> RunValues:
    """The query, its model registry, and the run's log, told through `narrator`, and state."""
    return RunValues(
        definition=definition,
        names=store.names,
        registry=registry_of(store),
        say=narrator,
        warn=context.log.warning,
        progress=changes(narrator),
        cancelling=lambda: _cancelling(context),
    )


def resources_of(context: dg.AssetExecutionContext, shown: Shown) -> dict[str, object]:
    """The Dagster resources that a source asks for, by key."""
    return {key: getattr(context.resources, key) for key in shown.resources}


def registry_of(store: ReleaseStore) -> ModelRegistry:
    """The model registry of the query whose releases these are."""
    return ModelRegistry(store.names, store.objects)


def _cancelling(context: dg.AssetExecutionContext) -> bool:
    run = context.instance.get_run_by_id(context.run.run_id)
    return run is not None and run.status in (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED)
