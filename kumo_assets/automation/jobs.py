"""The jobs of one query: the daily chain, and training. Nothing here decides; assets and sensor do. There is none for
the promotion: sensor and people materialise `active_pointer`, and each job costs 100 queries a good part of their load.

`<query>_daily` selects raw logs by key: a selection of `*` leaves sources and their checks out (dagster_facts).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dagster as dg

from kumo_assets.assets.keys import key_of, raw_key
from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.names import CHAIN

QUERY_TAG = "kumo_assets/query"


@dataclass(frozen=True)
class QueryJobs:
    """The jobs of one query."""

    daily: Any
    train: Any | None = None

    def all(self) -> list[Any]:
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
            tags={QUERY_TAG: definition.name},
        ),
        train=None
        if definition.spec.source.kumo.training is None
        else dg.define_asset_job(
            train_job_name(definition.name),
            selection=dg.AssetSelection.assets(key_of(definition.name, "model")),
            description=f"Train {definition.name} again; the new model is used only when it is not worse.",
            tags={QUERY_TAG: definition.name},
        ),
    )
