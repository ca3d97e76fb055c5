"""A table that another job writes, as a source of predictions: waited for, copied for the release, and proved.

Nothing is launched and nothing can be cancelled; the job is somebody else's. The rows and their copy are in `day_table`,
what proves them complete is in `completeness`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from pydantic import JsonValue

from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.partitions import last_partition
from kumo_assets.config.table_source import TableSettings
from kumo_assets.documents import Completion, KumoNotice, PredictionDetails
from kumo_assets.errors import ConfigError, LateLogs, WarehouseError
from kumo_assets.models.registry import Model
from kumo_assets.resources.snowflake import connect_outside_dagster
from kumo_assets.sources.completeness import Complete, look, records_of
from kumo_assets.sources.day_table import DayTable, Frozen
from kumo_assets.sources.protocol import Figures, Link, Predicted, PredictionWork, Shown, TrainingWork

# A release has at most so many copies, whole or not, and one run makes so many of them.
MOST_ATTEMPTS = 20
MOST_COPIES = 3


class TableSource:
    """See `protocol.Source`."""

    predictions = Shown(
        kinds=frozenset({"snowflake"}),
        description="Predictions that another job wrote to a Snowflake table, copied for each release.",
        pool="table_copies",
        resources=frozenset(),
    )
    model = Shown(frozenset(), "The model belongs to the job that writes the table.", "table_copies", frozenset())
    tried = "Snowflake: the tables that other jobs write"

    def __init__(
        self,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._sleep, self._now = sleep, now

    def parameters(self, definition: QueryDefinition) -> Mapping[str, JsonValue]:
        """The table, its rows and its columns. What proves them complete changes none of them."""
        return _settings(definition).model_dump(mode="json", include={"table", "where", "columns", "binary_threshold"})

    def predict(self, work: PredictionWork) -> Predicted:
        """Adopt the release's copy, or wait for the day's rows and copy them. A copy that is not whole stays where it is;
        the next attempt has another name.

        Raises LateLogs when the rows are not complete at the cut-off, WarehouseError when they cannot be used.
        """
        started = time.perf_counter()
        spec = work.definition.spec
        day = DayTable(_settings(work.definition), spec.task, work.partition, work.anchor, work.warehouse)
        limit = spec.schedule.start_of_build(work.anchor) + timedelta(minutes=day.settings.wait_minutes)
        made, copy = 0, None
        for attempt in range(1, MOST_ATTEMPTS + 1):
            name = work.table(attempt)
            if work.attempts.differs(work.attempts.attempt(attempt)):
                continue
            existing = day.frozen(name)
            adopted = existing is not None
            begun = None if adopted else work.attempts.begin_attempt(attempt)
            if work.attempts.differs(begun):
                continue
            copy = existing or self._copied(work, day, name, limit, work.attempts.other_run(begun))
            if not copy.faults:
                work.say(f"{'Adopted' if adopted else 'Copied'} {copy.count.rows:,} rows of {day.name} ({copy.run})")
                return Predicted(
                    table=name,
                    attempt=attempt,
                    rows=copy.count.rows,
                    entities=copy.count.entities,
                    seconds=time.perf_counter() - started,
                    details=_details(work, day, copy, adopted),
                )
            work.warn(f"{name} is not used: {'; '.join(copy.faults)}")
            made += not adopted
            if made == MOST_COPIES or (made and self._now() >= limit):
                break
            if not adopted:
                work.warehouse.rest()  # and with it what is known of the columns, which the other job may change
                self._sleep(day.settings.poll_seconds)
        raise WarehouseError(
            f"copy the predictions of {work.partition} in",
            to=day.name,
            found="; ".join(copy.faults) if copy is not None else "nothing was copied",
            next="see what writes the table at this time, then materialize this partition again",
        )

    def _copied(self, work: PredictionWork, day: DayTable, name: str, limit: datetime, other: str) -> Frozen:
        """The copy `name`, made once the day's rows are complete."""
        ready = self._wait(work, day, limit)
        day.freeze(name, day.columns(), ready.count, ready.run, other)
        copy = day.frozen(name)
        assert copy is not None  # the statement above made it
        return copy

    def _wait(self, work: PredictionWork, day: DayTable, limit: datetime) -> Complete:
        while True:
            there = work.warehouse.columns(*day.parts)
            found = look(day, work.definition.name, day.columns(), sleep=self._sleep) if there else None
            if isinstance(found, Complete):
                return found
            reason = found.reason if found is not None else f"there is no table {day.name}"
            if self._now() >= limit:
                raise LateLogs(
                    "wait for the complete predictions of",
                    to=work.partition,
                    found=f"{reason}; the cut-off was {limit.isoformat()}",
                    next="see the job that writes the table, then materialize this partition again; "
                    "the active release was not touched",
                )
            work.progress(f"Waiting until {limit.isoformat()} for the predictions: {reason}")
            work.warehouse.rest()
            self._sleep(day.settings.poll_seconds)

    def figures(self, details: PredictionDetails) -> Figures:
        """The run that wrote the rows, with a link where its record has one, and its model."""
        run = details.job_id or "not reported"
        url = details.tracking_url
        return {"written by": Link(url) if url else run, "model": details.model_id or "not reported"}

    def train(self, work: TrainingWork) -> tuple[Model, bool]:
        """Always ConfigError: the model is not ours."""
        raise ConfigError(
            "train the model of",
            to=work.definition.name,
            found="its predictions come from a table that another job writes",
            next="train it in that job",
        )

    def check(self, queries: Sequence[QueryDefinition]) -> str:
        """Read each table's columns and completion records, for the newest partition. Raises WarehouseError or ConfigError."""
        seen = []
        with connect_outside_dagster() as warehouse:
            for definition in queries:
                spec = definition.spec
                newest = last_partition(definition, self._now())
                day = DayTable(_settings(definition), spec.task, newest.isoformat(), self._now(), warehouse)
                if day.settings.complete.record is not None:
                    records_of(day, definition.name, day.settings.complete.record)
                if not warehouse.columns(*day.parts):
                    seen.append(f"{definition.name}: {day.name} is not there yet")
                else:
                    seen.append(f"{definition.name}: {day.name} has {', '.join(day.columns().values())}")
        return "; ".join(seen)


def _settings(definition: QueryDefinition) -> TableSettings:
    settings = definition.spec.source.table
    assert settings is not None  # `opening` chose this source by it
    return settings


def _details(work: PredictionWork, day: DayTable, copy: Frozen, adopted: bool) -> PredictionDetails:
    record = _record(work, day, copy.run)
    return PredictionDetails(
        job_id=copy.run,
        model_id=record.model if record is not None else None,
        tracking_url=record.url if record is not None else None,
        warnings=tuple(KumoNotice(message=text) for text in record.warnings) if record is not None else (),
        database=work.warehouse.database,
        schema=work.warehouse.schema,
        adopted=adopted,
    )


def _record(work: PredictionWork, day: DayTable, run: str) -> Completion | None:
    """The completion record of the run that was copied, which need not be the newest one any more."""
    settings = day.settings.complete.record
    if settings is None:
        return None
    return next((item for item in records_of(day, work.definition.name, settings) if item.run_id == run), None)
