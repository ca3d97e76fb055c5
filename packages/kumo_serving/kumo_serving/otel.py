"""The metrics hook for OpenTelemetry. Needs the extra `kumo-serving[otel]`; exporting is the service's own set-up.

Instruments, all with the attribute `query`: `kumo_serving.lookup.duration` (s), `kumo_serving.lookup.outcomes` (keys by
`outcome`), `kumo_serving.retries`, `kumo_serving.pointer.reads` (by `outcome`), `kumo_serving.pointer.age` (s, gauge;
with `release_id`, so that a swap shows in every instance's own series).
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from kumo_serving.errors import KumoAssetsError
from kumo_serving.metrics import Lookup, PointerSeen

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Meter, Observation


class OpenTelemetryMetrics:
    """`Reader(..., metrics=OpenTelemetryMetrics("next_best_product"))`; `meter` defaults to the global provider's."""

    def __init__(self, query: str, meter: Meter | None = None) -> None:
        try:
            from opentelemetry import metrics
        except ImportError:
            raise KumoAssetsError(
                "record metrics", found="opentelemetry is not installed", next="install kumo-serving[otel]"
            ) from None
        self._observation = metrics.Observation
        meter = meter or metrics.get_meter("kumo_serving")
        self._query = query
        self._duration = meter.create_histogram(
            "kumo_serving.lookup.duration",
            unit="s",
            explicit_bucket_boundaries_advisory=[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0],
        )
        self._outcomes = meter.create_counter("kumo_serving.lookup.outcomes", unit="{key}")
        self._retries = meter.create_counter("kumo_serving.retries", unit="{retry}")
        self._reads = meter.create_counter("kumo_serving.pointer.reads", unit="{read}")
        meter.create_observable_gauge("kumo_serving.pointer.age", callbacks=[self._age], unit="s")
        self._seen: tuple[str, float] | None = None

    def lookup(self, event: Lookup) -> None:
        self._duration.record(event.seconds, {"query": self._query, "operation": event.operation})
        for outcome, keys in event.outcomes.items():
            self._outcomes.add(keys, {"query": self._query, "outcome": outcome})

    def pointer(self, event: PointerSeen) -> None:
        self._reads.add(1, {"query": self._query, "outcome": event.outcome})
        self._seen = event.release_id, time.monotonic() - event.pointer_age_seconds

    def retry(self, reason: str) -> None:
        self._retries.add(1, {"query": self._query, "reason": reason})

    def _age(self, options: CallbackOptions) -> Iterable[Observation]:
        # Computed when it is collected: a reader whose refresh has stopped must show a growing age, not its last one.
        if self._seen is not None:
            release, confirmed = self._seen
            attributes = {"query": self._query, "release_id": release}
            yield self._observation(time.monotonic() - confirmed, attributes)
