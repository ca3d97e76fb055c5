"""Kumo's service as a source of predictions: one batch prediction job a release, and training jobs, over REST.

What is Kumo's alone and no outside call is here: how its assets are shown, cancelling a training, what `doctor` tries. The
job of a release is in `kumo_job`; training itself, which the command line shares, is in `kumo_assets.models.training`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, cast

from pydantic import JsonValue

from kumo_assets.config.load import QueryDefinition
from kumo_assets.documents import PredictionDetails
from kumo_assets.errors import ConfigError, KumoApiError
from kumo_assets.models.registry import Model
from kumo_assets.models.training import policy_of, train, training_tags
from kumo_assets.resources.kumo.client import KumoClient
from kumo_assets.resources.kumo.environment import client_from_environment
from kumo_assets.sources.kumo_job import in_progress, in_silence, run_job
from kumo_assets.sources.protocol import Figures, Link, Predicted, PredictionWork, Shown, TrainingWork, Work

if TYPE_CHECKING:
    from kumo_assets.resources.kumo.resource import KumoResource

RESOURCE = "kumo_assets_kumo"


class KumoSource:
    """See `protocol.Source`."""

    # The pools take their limits from dagster.yaml. Training has one of its own, so that a training of hours never makes
    # predictions wait.
    predictions = Shown(
        kinds=frozenset({"kumo", "snowflake"}),
        description="Kumo's batch predictions, one Snowflake table per release.",
        pool="kumo_jobs",
        resources=frozenset({RESOURCE}),
    )
    model = Shown(
        kinds=frozenset({"kumo"}),
        description="The query's model, trained again by Kumo; used for predictions only once it proved not to be worse.",
        pool="kumo_trainings",
        resources=frozenset({RESOURCE}),
    )
    tried = "Kumo: key, connectors, models"

    def parameters(self, definition: QueryDefinition) -> Mapping[str, JsonValue]:
        """Of the model only whether it is pinned: a training that ends meanwhile makes no job another one. Fewer workers,
        another rhythm of polls, or another proof of the table, give the same table."""
        spec = definition.spec.kumo
        fields = spec.model_dump(mode="json", exclude={"poll", "training", "num_workers", "entities_agree"})
        lists = definition.spec.task in ("ranking", "multiclass_classification")
        return {**fields, "candidates": definition.spec.classes_per_entity if lists else 0}

    def predict(self, work: PredictionWork) -> Predicted:
        """One Kumo job a release, found again by its tags. Raises KumoApiError."""
        with _client(work) as client:
            return run_job(work, client)

    def figures(self, details: PredictionDetails) -> Figures:
        """The job, with a link to it where Kumo gave one, its model and snapshot, and how many warnings it has."""
        url = details.tracking_url
        return {
            "Kumo job": Link(url) if url else details.job_id or "not reported",
            "Kumo model": details.model_id or "not reported",
            "graph snapshot": details.snapshot_id or "none",
            "Kumo warnings": len(details.warnings),
        }

    def train(self, work: TrainingWork) -> tuple[Model, bool]:
        """One Kumo training job, found again by its tags. Raises KumoApiError."""
        spec = work.definition.spec.kumo
        launched: list[str] = []
        with _client(work) as client:
            try:
                return train(
                    client,
                    work.registry,
                    spec,
                    training_tags(work.names.environment, work.definition.name, work.root_run_id),
                    say=work.say,
                    on_launch=launched.append,
                    on_progress=in_progress(work.progress, "Kumo training job", " trials"),
                    on_silence=in_silence(work.progress, "Kumo training job"),
                )
            except BaseException as error:
                # A job that ended needs no cancelling. A worker that dies leaves the job alone: its re-execution adopts it.
                if launched and not isinstance(error, KumoApiError) and work.cancelling():
                    work.say(f"Kumo training job {launched[0]} {client.end_training(launched[0], policy_of(spec))}")
                raise

    def check(self, queries: Sequence[QueryDefinition]) -> str:
        """The key, and each query's connector and model. Raises ConfigError or KumoApiError."""
        with client_from_environment() as client:
            client.probe()
            connectors = client.connectors()
            names = {str(item.get("name")) for item in connectors}
            # In 3.0 a definition may also write a connector's id.
            ids = {str(item.get("id")) for item in connectors}
            seen = []
            for definition in queries:
                spec = definition.spec.kumo
                client.check_classes(definition.spec.task, definition.spec.classes_per_entity)
                if spec.connector not in names | ids:
                    raise ConfigError(
                        "find the connector of",
                        to=definition.name,
                        found=f"{spec.connector!r} is not among {', '.join(sorted(names)) or 'none'}",
                        next="correct source.kumo.connector, or make the connector in Kumo",
                    )
                found = next(item for item in connectors if spec.connector in (item.get("name"), item.get("id")))
                _must_write_where_we_read(spec.connector, found)
                model = spec.training_job_id or client.newest_model(spec.predictive_query_id).job_id
                seen.append(f"{definition.name} by {model}")
            return "; ".join(seen)


def _must_write_where_we_read(
    name: str, connector: Mapping[str, object], environ: Mapping[str, str] | None = None
) -> None:
    """ConfigError for a connector of another database or schema than the pipeline's session has: the job would succeed, and
    its table would not be found. What Kumo does not say of a connector is not compared, and neither is case."""
    source = os.environ if environ is None else environ
    for field, variable in (("database", "SNOWFLAKE_DATABASE"), ("schema_name", "SNOWFLAKE_SCHEMA")):
        theirs, ours = str(connector.get(field) or ""), source.get(variable, "")
        if theirs and ours and theirs.strip('"').upper() != ours.upper():
            raise ConfigError(
                "find predictions by the connector",
                to=name,
                found=f"its {field.removesuffix('_name')} is {theirs}, and {variable} is {ours}",
                next=f"make the connector in Kumo with {ours}, or set {variable} to {theirs}",
            )


def _client(work: Work) -> AbstractContextManager[KumoClient]:
    return cast("KumoResource", work.resources[RESOURCE]).client()
