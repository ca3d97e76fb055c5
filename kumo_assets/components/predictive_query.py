"""The `PredictiveQuery` component: one folder becomes the chain of assets, its gates, its jobs and its schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import dagster as dg
from pydantic import BaseModel

from kumo_assets.assets.active_pointer import build_active_pointer
from kumo_assets.assets.definition_check import demand_usable
from kumo_assets.assets.dynamodb_table import build_dynamodb_table
from kumo_assets.assets.keys import daily_partitions
from kumo_assets.assets.model import build_model, build_model_check
from kumo_assets.assets.outcomes import build_outcomes
from kumo_assets.assets.postprocessed import build_postprocessed
from kumo_assets.assets.predictions import build_predictions
from kumo_assets.assets.s3_export import build_s3_export
from kumo_assets.automation.jobs import build_jobs
from kumo_assets.automation.operator_jobs import build_operator_jobs, build_retirement_schedule
from kumo_assets.automation.outcomes import build_outcomes_job, build_outcomes_schedule
from kumo_assets.automation.schedules import build_schedule, build_training_schedule
from kumo_assets.components.scaffold import PredictiveQueryScaffolder
from kumo_assets.config.index import DefinitionsIndex
from kumo_assets.config.load import QueryDefinition, RawSource
from kumo_assets.config.query import PredictiveQuerySpec
from kumo_assets.gates.checks import build_gate_checks


@dg.scaffold_with(PredictiveQueryScaffolder)
class PredictiveQuery(dg.Component):
    """One Kumo predictive query and how it is served: predictions, gates, export, table, pointer, schedule."""

    def __init__(self, definition: QueryDefinition) -> None:
        self.definition = definition

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        return PredictiveQuerySpec

    @classmethod
    def load(cls, attributes: Any, context: dg.ComponentLoadContext) -> PredictiveQuery:
        folder = Path(context.path)
        return cls(QueryDefinition(name=folder.name, folder=folder, spec=attributes))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The query's definitions. ConfigError when another folder has its name, when it names raw logs that no RawLogs
        definition in the whole project has, and for a SQL file or a gate of its own that cannot be used as it stands."""
        usable = demand_usable(_index_of(context), self.definition)
        return build_query(self.definition, usable.sources, usable.others)


def _index_of(context: dg.ComponentLoadContext) -> DefinitionsIndex:
    """The index of the load that this context belongs to: each of 100 queries asks for the raw logs among all files, and
    one load parses each file once. It is kept on Dagster's tree of components, of which every load makes one.
    """
    kept = vars(context.component_tree)
    if "kumo_assets_index" not in kept:
        kept["kumo_assets_index"] = DefinitionsIndex(context.defs_module_path)
    index: DefinitionsIndex = kept["kumo_assets_index"]
    return index


def build_query(
    definition: QueryDefinition,
    sources: Mapping[str, RawSource],
    others: Mapping[str, QueryDefinition] = MappingProxyType({}),
) -> dg.Definitions:
    """Everything Dagster knows of one query. `sources` are the raw logs that it names, `others` the queries that its
    `postprocess.sql` names. No I/O but reading its folder."""
    definition = replace(definition, sources=sources)
    partitions = daily_partitions(definition)
    jobs = build_jobs(definition, partitions)
    operator_jobs = build_operator_jobs(definition)
    trained = definition.spec.source.training is not None
    outcomes_job = build_outcomes_job(definition, partitions) if definition.spec.outcomes is not None else None
    return dg.Definitions(
        assets=[
            *([build_model(definition)] if trained else []),
            build_predictions(definition, sources, partitions, others),
            build_postprocessed(definition, partitions, sources, others),
            build_s3_export(definition, partitions),
            build_dynamodb_table(definition, partitions),
            build_active_pointer(definition),
            *([build_outcomes(definition, sources, partitions)] if outcomes_job is not None else []),
        ],
        asset_checks=[
            *([build_model_check(definition)] if trained else []),
            *build_gate_checks(definition, partitions),
        ],
        jobs=[*jobs.all(), *operator_jobs, *([outcomes_job] if outcomes_job is not None else [])],
        schedules=[
            build_schedule(definition, jobs.daily),
            build_retirement_schedule(definition, operator_jobs),
            *([build_training_schedule(definition, jobs.train)] if jobs.train is not None else []),
            *([build_outcomes_schedule(definition, outcomes_job)] if outcomes_job is not None else []),
        ],
    )
