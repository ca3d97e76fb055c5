"""Late logs are waited for without a slot of the source's pool: a real run on an instance on disk, for only that has pools."""

import threading

import dagster as dg
import pytest

from kumo_assets.assets import predictions
from kumo_assets.assets.predictions import _leave_out, _outside_of_the_pool


def test_a_step_that_waits_leaves_its_slot_to_others() -> None:
    seen: list[int] = []
    ended = threading.Event()

    @dg.op(pool="kumo_jobs")
    def waits(context: dg.OpExecutionContext) -> None:
        if context.retry_number < 3:
            _outside_of_the_pool(context)(0.4)  # type: ignore[arg-type]

    @dg.job
    def build() -> None:
        waits()

    with dg.instance_for_test() as instance:
        instance.event_log_storage.set_concurrency_slots("kumo_jobs", 1)

        def look() -> None:
            while not ended.wait(0.02):
                seen.append(instance.event_log_storage.get_concurrency_info("kumo_jobs").active_slot_count)

        looks = threading.Thread(target=look)
        looks.start()
        try:
            result = build.execute_in_process(instance=instance)
        finally:
            ended.set()
            looks.join()
        assert result.success
        assert instance.event_log_storage.get_concurrency_info("kumo_jobs").active_slot_count == 0
    first = seen.index(1)
    last = len(seen) - 1 - seen[::-1].index(1)
    assert 0 in seen[first:last], "between two looks the slot is free"


def test_logs_are_looked_at_as_seldom_as_the_definition_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "EVERY_SECONDS", 0.01)
    looked: list[int] = []

    @dg.op
    def waits(context: dg.OpExecutionContext) -> None:
        _leave_out(context, 0.025)  # type: ignore[arg-type]
        looked.append(context.retry_number)
        if context.retry_number < 6:
            _outside_of_the_pool(context)(0.01)  # type: ignore[arg-type]

    @dg.job
    def build() -> None:
        waits()

    assert build.execute_in_process().success
    assert looked == [0, 3, 6]
