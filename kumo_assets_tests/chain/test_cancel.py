"""Only a run that Dagster is cancelling ends its Kumo job; a worker that is merely stopped leaves it to the next one."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest

from kumo_assets_tests.chain.conftest import Chain


@pytest.mark.parametrize(("cancelling", "ends"), [(True, "CANCELLED"), (False, "QUEUED")])
def test_a_kumo_job_is_cancelled_only_by_a_run_that_is(chain: Chain, cancelling: bool, ends: str) -> None:
    mine = {"kumo_assets.environment": chain.environment}
    chain.handle.kumo_faults({"kind": "long_queue", "tags": mine, "with": {"seconds": 600}})
    ended: list[BaseException | None] = []

    def work() -> None:
        try:
            chain.run(assets=("predictions",))
            ended.append(None)
        except BaseException as error:  # noqa: BLE001 - what Dagster raises on an interrupt is the point
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        _until(lambda: [job for job in chain.kumo_jobs() if job["status"] == "QUEUED"])
        [run] = chain.instance.get_runs()
        if cancelling:
            chain.instance.report_run_canceling(run)
    finally:
        # What Dagster raises in a step when its process is told to end.
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident or 0), ctypes.py_object(dg.DagsterExecutionInterruptedError)
        )
        thread.join(60)
    assert not thread.is_alive()
    time.sleep(0.5)
    [job] = chain.kumo_jobs()
    assert job["status"] == ends
    assert job["cancel_requested"] is cancelling


def _until(ready: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.05)
