"""What is assumed of Kumo: that it is reached and has what the queries name; and with `--with-kumo-job` one small job."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.names import PROOF
from kumo_assets.documents import Attempt, utc_now
from kumo_assets.models.registry import ModelRegistry
from kumo_assets.proving.proof import Proof
from kumo_assets.proving.report import NotTried
from kumo_assets.releases.run import person


def prove_kumo(proof: Proof) -> None:
    """Try every row of the area, for the queries whose predictions are Kumo's."""
    from kumo_assets.sources.kumo import KumoSource

    using = [query for query in proof.queries if query.spec.source.name == "kumo"]
    with proof.report.trying("kumo-reached") as trial:
        if not using:
            raise NotTried("no query has source.kumo")
        trial.seen = KumoSource().check(using)
    with proof.report.trying("kumo-job") as trial:
        if not proof.options.with_kumo_job:
            raise NotTried("--with-kumo-job was not given")
        if not proof.report.holds("kumo-reached"):
            raise NotTried("kumo-reached does not hold")
        trial.seen = _job(proof, using[0])


@dataclass
class _Attempts:
    """What attempts were begun with. Nothing outlives this process: a proof adopts no job of another."""

    proof: Proof
    begun: dict[int, Attempt] = field(default_factory=dict)

    def attempt(self, number: int) -> Attempt | None:
        return self.begun.get(number)

    def differs(self, begun: Attempt | None) -> str:
        return ""

    def other_run(self, begun: Attempt | None) -> str:
        return ""

    def begin_attempt(self, number: int) -> Attempt:
        made = Attempt(
            query=PROOF,
            release_id=self.proof.release,
            asset="predictions",
            attempt=number,
            made_from={},
            fingerprint="",
            run_id=self.proof.names.proof,
            by=person(),
            begun_at=utc_now(),
        )
        return self.begun.setdefault(number, made)


def _small(query: QueryDefinition) -> QueryDefinition:
    """The query under the name of the proof, with one worker and as few candidates as it takes."""
    fields = {"num_workers": 1}
    if query.spec.task in ("ranking", "multiclass_classification"):
        fields["classes_per_entity"] = query.spec.top_k
    source = query.spec.source.model_copy(update={"kumo": query.spec.kumo.model_copy(update=fields)})
    return replace(query, name=PROOF, spec=query.spec.model_copy(update={"source": source}))


def _job(proof: Proof, query: QueryDefinition) -> str:
    """One job of the query's model, into a table of the proof's. It is cancelled when the proof is interrupted."""
    from kumo_assets.config.partitions import anchor_time
    from kumo_assets.resources.kumo.environment import client_from_environment
    from kumo_assets.resources.snowflake import connect_outside_dagster
    from kumo_assets.sources.kumo_job import run_job
    from kumo_assets.sources.protocol import PredictionWork

    schedule = query.spec.schedule
    day = datetime.now(UTC).astimezone(ZoneInfo(schedule.time_zone)).date() - timedelta(days=1)
    day = min(day, schedule.end or day)
    with client_from_environment() as client, connect_outside_dagster() as warehouse:
        proof.makes(warehouse=(warehouse.database, warehouse.schema))
        work = PredictionWork(
            definition=_small(query),
            names=proof.names,
            registry=ModelRegistry(proof.environment.names(query.name), proof.objects),
            resources={},
            say=proof.narrator,
            warn=proof.narrator,
            progress=proof.waiting("Kumo"),
            cancelling=lambda: isinstance(sys.exc_info()[1], KeyboardInterrupt),
            partition=day.isoformat(),
            release_id=proof.release,
            root_run_id=proof.names.proof,
            anchor=anchor_time(day, schedule.time_zone),
            warehouse=warehouse,
            attempts=_Attempts(proof),
        )
        done = run_job(work, client)
    return f"job {done.details.job_id} of {query.name}: {done.rows:,} rows of {done.entities:,} entities"
