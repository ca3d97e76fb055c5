"""Train a query's model with the Engine: one bundle a run, kept on S3 with its fingerprint, version and question."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from pydantic import JsonValue

from kumo_assets.config.engine_source import EngineSettings
from kumo_assets.config.load import QueryDefinition
from kumo_assets.documents import utc_now
from kumo_assets.models.registry import Model
from kumo_assets.models.training import register
from kumo_assets.resources.snowflake import Warehouse
from kumo_assets.sources.engine.environment import VERSION, engine_python
from kumo_assets.sources.engine.lease import Held, held
from kumo_assets.sources.engine.question import read_question
from kumo_assets.sources.engine.records import Bundle, bundle_folder, inputs_of, read_bundle, training_folder
from kumo_assets.sources.engine.runs import EngineRun, settings_of
from kumo_assets.sources.engine.scratch import scratch
from kumo_assets.sources.protocol import TrainingWork

# The metrics of a model on its test split: what two models are compared by.
TEST = "test_"


def train(work: TrainingWork, warehouse: Warehouse) -> tuple[Model, bool]:
    """(the new model, adopted): the bundle of this run, trained or found, registered as the candidate.

    One training of a query at a time; a run that was killed is begun anew. Raises ConfigError and EngineError.
    """
    names, objects = work.names, work.registry.objects
    question = read_question(work.definition)
    python = engine_python()
    model_id = f"engine-{work.root_run_id.replace('-', '')[:12].lower()}"
    # No session of Snowflake's is held while somebody else's training is waited for.
    warehouse.rest()
    lease_key = f"{training_folder(names)}lease.json"
    with held(objects, lease_key, names.query, progress=work.progress) as lease:
        bundle = read_bundle(objects, names, model_id)
        adopted = bundle is not None
        if bundle is None:
            # What a run that was killed has left, which no manifest names.
            objects.delete_many([item.key for item in objects.list(bundle_folder(names, model_id))])
            with scratch(f"{names.query}-training") as folder:
                settings = settings_of(work.definition)
                run = EngineRun(
                    work=work,
                    warehouse=warehouse,
                    python=python,
                    question=question,
                    folder=folder,
                    inputs=inputs_of(training_folder(names), model_id, 1),
                    run_id=work.root_run_id,
                    anchor=newest_anchor(work.definition),
                    deadline_seconds=settings.training.deadline_minutes * 60,
                    watch=lease.demand,
                )
                found = run.result(
                    "train",
                    settings=_asked(settings),
                    bundle={"bucket": names.bucket, "folder": bundle_folder(names, model_id)},
                )
            bundle = Bundle(
                query=names.query,
                model_id=model_id,
                engine=VERSION,
                question=question.digest,
                sha256=found["sha256"],
                bytes=found["bytes"],
                trained_at=utc_now(),
                metrics={name: value for name, value in found["metrics"].items() if name.startswith(TEST)},
                curves=found["curves"],
            )
            _keep(work, lease, bundle)
            work.say(
                f"Trained {model_id}: a bundle of {bundle.bytes / 1e6:.0f} MB; at most {found['peak'] / 1e9:.1f} GB of memory"
            )
    model = Model(training_job_id=model_id, metrics=bundle.metrics, trained_at=bundle.trained_at, curves=bundle.curves)
    register(work.registry, model)
    return model, adopted


def _keep(work: TrainingWork, lease: Held, bundle: Bundle) -> None:
    """Write the manifest, last: a bundle without one is not whole, and is never used."""
    lease.demand()
    key = f"{bundle_folder(work.names, bundle.model_id)}bundle.json"
    work.registry.objects.create_once(key, bundle.to_json())


def purpose_of(definition: QueryDefinition) -> str:
    """16 hex digits of what a training by hand is for: the same question and the same model are trained once."""
    asked = {"question": read_question(definition).digest, **_asked(settings_of(definition))}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]


def _asked(settings: EngineSettings) -> dict[str, JsonValue]:
    names = ("epochs", "experiments", "small", "channels", "batch_size", "learning_rate", "fan_out", "seed")
    return settings.model_dump(mode="json", include=set(names))


def newest_anchor(definition: QueryDefinition, now: datetime | None = None) -> datetime:
    """The end of the newest partition, in UTC: logs of a day that has not ended are not trained on."""
    schedule = definition.spec.schedule
    zone = ZoneInfo(schedule.time_zone)
    today = (now or datetime.now(UTC)).astimezone(zone).date()
    if schedule.end is not None:
        today = min(today, schedule.end + timedelta(days=1))
    return datetime(today.year, today.month, today.day, tzinfo=zone).astimezone(UTC)
