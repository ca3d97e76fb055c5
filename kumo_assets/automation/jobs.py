"""The jobs of one query: the daily chain, and training. Nothing here decides; assets and the sensor do. Promotion has no
job: the sensor and people materialise `active_pointer`, and each job adds to the load time of a project of 100 queries.

`<query>_daily` selects raw logs by key, because a selection of `*` leaves sources and their checks out (dagster 1.13).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

from kumo_assets.assets.keys import key_of, raw_key
from kumo_assets.automation.run_slots import BUILD, TRAINING
from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.names import CHAIN

if TYPE_CHECKING:
    # What `define_asset_job` returns; dagster 1.13 gives the type no public name.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

QUERY_TAG = "kumo_assets/query"
# Every job of ours runs in one process, whatever the project's own executor is. The work is remote, and Dagster's
# multiprocess executor starts an interpreter for each step: about 3 s of the worker's time for nothing.
EXECUTOR = dg.in_process_executor


@dataclass(frozen=True)
class QueryJobs:
    """The jobs of one query."""

    daily: UnresolvedAssetJobDefinition
    train: UnresolvedAssetJobDefinition | None = None

    def all(self) -> list[UnresolvedAssetJobDefinition]:
        return [job for job in (self.daily, self.train) if job is not None]


def daily_job_name(query: str) -> str:
    return f"{query}_daily"


def train_job_name(query: str) -> str:
    return f"{query}_train"


def build_jobs(definition: QueryDefinition, partitions: dg.PartitionsDefinition) -> QueryJobs:
    """Unresolved asset jobs; Dagster resolves them when the definitions are assembled."""
    chain = [key_of(definition.name, asset) for asset in CHAIN]
    raw = [raw_key(name) for name in definition.spec.raw_logs]
    return QueryJobs(
        daily=dg.define_asset_job(
            daily_job_name(definition.name),
            selection=dg.AssetSelection.assets(*raw, *chain),
            description=f"Build one release of {definition.name} from one day of raw logs, gated. Does not promote.",
            tags={QUERY_TAG: definition.name, **BUILD},
            executor_def=EXECUTOR,
        ),
        train=None
        if definition.spec.source.training is None
        else dg.define_asset_job(
            train_job_name(definition.name),
            selection=dg.AssetSelection.assets(key_of(definition.name, "model")),
            description=f"Train {definition.name} again; the new model is used only when it is not worse.",
            tags={QUERY_TAG: definition.name, **TRAINING},
            executor_def=EXECUTOR,
        ),
    )
