"""The OpenTelemetry hook, against OpenTelemetry's own SDK."""

from __future__ import annotations

import time
from typing import Any

import pytest
from kumo_serving import Reader
from kumo_serving.otel import OpenTelemetryMetrics
from serving_support import DOWN, NEW, RANKING, THROTTLE, FakeDynamoDB, MemoryPointer, pointer_to

sdk = pytest.importorskip("opentelemetry.sdk.metrics", reason="opentelemetry-sdk is not installed")
export = pytest.importorskip("opentelemetry.sdk.metrics.export", reason="opentelemetry-sdk is not installed")


def points(reader: Any) -> dict[str, list[Any]]:
    data = reader.get_metrics_data()
    metrics = [m for resource in data.resource_metrics for scope in resource.scope_metrics for m in scope.metrics]
    return {metric.name: list(metric.data.data_points) for metric in metrics}


def test_outcomes_latency_retries_and_the_pointer_s_age_are_recorded(dynamodb: FakeDynamoDB) -> None:
    dynamodb.put(NEW, ann=RANKING)
    collected = export.InMemoryMetricReader()
    meter = sdk.MeterProvider(metric_readers=[collected]).get_meter("test")
    store = MemoryPointer(pointer_to(NEW))
    hook = OpenTelemetryMetrics("shop", meter)
    with Reader("shop", store, metrics=hook, budget_seconds=2, start_seconds=30, endpoint_url=dynamodb.url) as reader:
        dynamodb.faults.append(THROTTLE)
        reader.get("ann")
        reader.get_many(["ann", "nobody"])
        store.error = DOWN
        reader.refresh()
        time.sleep(0.05)
        seen = points(collected)
    outcomes = {point.attributes["outcome"]: point.value for point in seen["kumo_serving.lookup.outcomes"]}
    assert outcomes == {"answer": 2, "miss": 1}
    assert sum(point.count for point in seen["kumo_serving.lookup.duration"]) == 2
    assert [(point.attributes["reason"], point.value) for point in seen["kumo_serving.retries"]] == [("throttled", 1)]
    assert {point.attributes["outcome"] for point in seen["kumo_serving.pointer.reads"]} >= {"new", "failed"}
    (age,) = seen["kumo_serving.pointer.age"]
    assert age.value >= 0.05
    assert dict(age.attributes) == {"query": "shop", "release_id": "20171130-1a2b3c4d"}
