"""SIGKILL at random moments of the chain and of promotion, then the same again: the right release is active, each outside
job was started once, nothing is left over after retirement, and no read failed meanwhile. `make soak`: 50 rounds, here
5, each with a kill in the chain and one in the promotion.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.forkserver import set_forkserver_preload
from typing import Any

import pytest
from kumo_sandbox.snowflake.client import connect
from kumo_serving import Answer, Reader, S3Pointer

from kumo_assets.config.environment import Environment
from kumo_assets.config.query import Retention
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.operations.reconcile import reconcile
from kumo_assets.releases.operations.retire import retire
from kumo_assets.releases.run import ROOT_RUN_TAG
from kumo_assets.resources.drop import drop_tables
from kumo_assets_tests.chain.conftest import DAY, QUERY, QUIET, Chain, materialize_pointer

ROUNDS = 50 if os.environ.get("KUMO_SOAK") else 5
IMPORTED = ["kumo_assets.definitions", "snowflake.connector", "kumo_assets_tests.chaos.test_kill_loop"]


def work(environment: dict[str, str], root: str, began: Any) -> None:
    """In a process of its own: the day's chain under the release of `root` (none: not), then the promotion."""
    import dagster as dg

    os.environ.update(environment)
    from kumo_assets.definitions import defs

    definitions = defs()
    with dg.DagsterInstance.ephemeral() as instance:
        daily = definitions.resolve_job_def(f"{QUERY}_daily")
        began.set()
        if root:
            daily.execute_in_process(
                instance=instance, partition_key=DAY, tags={ROOT_RUN_TAG: root}, run_config=QUIET, raise_on_error=False
            )
        materialize_pointer(definitions, QUERY, instance=instance)


def killed_after(seconds: float, root: str) -> bool:
    """Start the work, SIGKILL it `seconds` after it began; True when it was still at it."""
    set_forkserver_preload(IMPORTED)
    context = multiprocessing.get_context("forkserver")
    began = context.Event()
    process = context.Process(target=work, args=(dict(os.environ), root, began))
    process.start()
    assert began.wait(120), "the worker never began"
    process.join(seconds)
    process.kill()
    process.join()
    return process.exitcode == -9


class Watcher:
    """A service's reader that never stops asking; what it was told other than an answer."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.reads = 0
        self.wrong: list[str] = []
        self.releases: list[str] = []
        self._over = threading.Event()

    def _run(self) -> None:
        with_pointer = Reader(QUERY, pointer=S3Pointer(self.uri), refresh_seconds=0.5, budget_seconds=10.0)
        try:
            while not self._over.is_set():
                try:
                    answer = with_pointer.get(1)
                    self.reads += 1
                    if not isinstance(answer, Answer):
                        self.wrong.append(f"{type(answer).__name__} of {answer.release_id}")
                    elif not self.releases or self.releases[-1] != answer.release_id:
                        self.releases.append(answer.release_id)
                except Exception as error:  # noqa: BLE001 - every kind of trouble is what this looks for
                    self.wrong.append(str(error))
                time.sleep(0.05)
        finally:
            with_pointer.close()

    @contextmanager
    def watching(self) -> Iterator[None]:
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()


@pytest.mark.timeout(7200 if ROUNDS > 5 else 900)
def test_whatever_is_killed_doing_it_again_makes_it_right(chain: Chain) -> None:
    seed = int(os.environ.get("KUMO_SEED", "")) if os.environ.get("KUMO_SEED") else random.randrange(10**6)
    print(f"KUMO_SEED={seed}")
    chance = random.Random(seed)
    started = time.monotonic()
    first = chain.run()
    assert first.success
    whole = time.monotonic() - started
    assert chain.promote().success
    ctx = chain.ctx()
    built, kills = [chain.release(first)], 0
    watcher = Watcher(ctx.pointers.uri)
    with watcher.watching():
        for _ in range(ROUNDS):
            root = str(uuid.uuid4())
            kills += killed_after(chance.uniform(0.0, whole), root)
            again = chain.run(root=root)
            assert again.success
            built.append(chain.release(again, root=root))
            kills += killed_after(chance.uniform(0.0, 1.5), "")
            assert chain.promote().success
            assert chain.active() == built[-1]
        reconcile(ctx)
        keep = replace(
            chain.definition,
            spec=chain.definition.spec.model_copy(
                update={"retention": Retention(keep=1, min_age_hours=0, grace_minutes=0)}
            ),
        )
        time.sleep(1.5)  # the reader's refresh: what a grace period is for
        gone = retire(ReleaseContext.from_environment(keep, Environment.from_variables()), drop_tables, by="the test")
    assert kills > 0, "every worker was done before it was killed"
    assert watcher.wrong == []
    assert watcher.reads > 10
    assert watcher.releases == sorted(watcher.releases, key=built.index), "a reader went backwards"
    _nothing_started_twice(chain, built)
    _nothing_left_over(chain, built, gone)
    entries = ctx.ledger.moves()
    assert [entry.generation for entry in entries] == list(range(1, len(entries) + 1)), "the history has a gap"


def _nothing_started_twice(chain: Chain, built: list[str]) -> None:
    jobs = [job["tags"]["kumo_assets.release"] for job in chain.kumo_jobs()]
    assert sorted(jobs) == sorted(built), "a Kumo job was started twice, or for nothing"
    tables = sorted(chain.ctx().names.dynamodb_table(release) for release in built)
    assert sorted(chain.imports()) == tables, "an import was started twice, or for nothing"


def _nothing_left_over(chain: Chain, built: list[str], gone: list[str]) -> None:
    ctx = chain.ctx()
    kept = [release for release in built if release not in gone]
    assert len(kept) <= 3, "active, the one before it, and one more"
    listed = ctx.dynamodb.get_paginator("list_tables").paginate()
    tables = {name for page in listed for name in page["TableNames"] if name.startswith(chain.environment + "-")}
    assert tables == {ctx.names.dynamodb_table(release) for release in kept}
    with connect(chain.handle.env) as connection:
        cursor = connection.cursor()
        cursor.execute(
            "SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_NAME LIKE %s",
            (f"KUMO_{chain.environment.upper()}_%",),
        )
        found = {row[0] for row in cursor.fetchall()}
    wanted = {
        ctx.names.warehouse_table(release, asset) for release in kept for asset in ("predictions", "postprocessed")
    }
    # What was served of a retired release is still to be compared with what happens.
    assert found == wanted | {ctx.names.served_table(release) for release in built}
    for release in gone:
        prefix = ctx.names.export_prefix(release)
        assert list(ctx.objects.list(prefix)) == []
