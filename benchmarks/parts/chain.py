"""The chain of one day and its promotion in one Dagster process, timed once the process is up.

    python -m benchmarks.parts.chain PACKAGE QUERY DAY

Up means: definitions loaded, jobs resolved, instance open, as in a run worker that is about to begin. Prints JSON.
"""

from __future__ import annotations

import gc
import json
import logging
import sys
import time
from importlib import import_module
from typing import Any

from benchmarks.machine import peak_mb, reset_peak, resident_mb
from benchmarks.parts.calls import Calls


def main() -> None:
    package, query, day = sys.argv[1:4]
    import dagster as dg

    definitions: Any = import_module(f"{package}.definitions").defs()
    daily = definitions.resolve_job_def(f"{query}_daily")
    pointer = definitions.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection={dg.AssetKey([query, "active_pointer"])}
    )
    logging.getLogger("dagster").setLevel(logging.ERROR)
    with dg.DagsterInstance.get() as instance:
        calls = Calls().install()
        gc.collect()
        idle = resident_mb()
        reset_peak()
        started, cpu = time.perf_counter(), time.process_time()
        quiet = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
        built = daily.execute_in_process(instance=instance, partition_key=day, run_config=quiet)
        moved = pointer.execute_in_process(instance=instance, run_config=quiet)
        seconds, used = time.perf_counter() - started, time.process_time() - cpu
        assert built.success
        assert moved.success
        steps = {
            event.step_key: event.step_success_data.duration_ms / 1000
            for event in built.all_events
            if event.is_step_success
        }
    print(
        json.dumps(
            {
                "seconds": seconds,
                "cpu": used,
                "idle_mb": idle,
                "peak_mb": peak_mb(),
                "calls": calls.counts,
                "outside": calls.seconds,
                "steps": steps,
            }
        )
    )


if __name__ == "__main__":
    main()
