"""A real worker process for tests that kill one: the daily job in a process of its own, forked from a server that has
imported everything already, so that each costs a second and not ten."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from multiprocessing.forkserver import set_forkserver_preload

from kumo_assets.releases.run import ROOT_RUN_TAG

IMPORTED = [
    "kumo_assets.definitions",
    "kumo_assets.components",
    "kumo_assets_tests.chain.worker",
    "snowflake.connector",
]


def build(environment: dict[str, str], job_name: str, day: str, root: str) -> None:
    """Run in the child: the shipped definitions' job for a day, under the release of `root`."""
    import dagster as dg

    os.environ.update(environment)
    from kumo_assets.definitions import defs

    with dg.DagsterInstance.ephemeral() as instance:
        defs().resolve_job_def(job_name).execute_in_process(
            instance=instance,
            partition_key=day,
            tags={ROOT_RUN_TAG: root},
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            raise_on_error=False,
        )


@contextmanager
def worker(environment: dict[str, str], job_name: str, day: str, root: str) -> Iterator[ForkServerProcess]:
    """A running worker; SIGKILLed at the end, wherever it is."""
    set_forkserver_preload(IMPORTED)
    process = multiprocessing.get_context("forkserver").Process(target=build, args=(environment, job_name, day, root))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def until(happened: Callable[[], bool], process: ForkServerProcess, seconds: float = 120.0) -> None:
    """Return when it happened; AssertionError when the worker ended first, or nothing happened for long."""
    import time

    deadline = time.monotonic() + seconds
    while not happened():
        assert process.is_alive(), "the worker ended before it came to the step where it is killed"
        assert time.monotonic() < deadline, "the worker never came to the step where it is killed"
        time.sleep(0.1)
