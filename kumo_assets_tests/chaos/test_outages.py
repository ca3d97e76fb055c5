"""S3 that answers 500, 503, slowly or not at all, ZooKeeper stopped and started again, a full disk under the sandbox's state:
nothing is lost or half-changed, the words are clear, and doing it again works. Faults are put in at the HTTP boundary, by the
sandbox's AWS proxy; processes are stopped for real."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from kumo_sandbox.testing import SandboxHandle, start_sandbox
from kumo_sandbox.testing.releases import BUCKET, Shop, client, shop
from kumo_serving import Answer, Reader, open_pointer

from kumo_assets.config.environment import Environment
from kumo_assets.errors import ReleaseError
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.operations.promote import promote
from kumo_assets.releases.operations.reconcile import reconcile
from kumo_assets.releases.operations.rollback import rollback
from kumo_assets.releases.operations.status import report
from kumo_assets.resources.aws import client_config
from kumo_assets_tests.support.zookeeper import restartable_zookeeper

SOAK = bool(os.environ.get("KUMO_SOAK"))
# How long S3 is out; longer than all retries of one call together.
OUTAGE_SECONDS = 60.0 if SOAK else 6.0


@pytest.fixture
def store(sandbox: SandboxHandle) -> Shop:
    """A query with two releases, the first of them live; its S3 client is the one production uses."""
    client("s3").create_bucket(Bucket=BUCKET)
    return _with_production_clients(shop())


def _with_production_clients(made: Shop) -> Shop:
    environment = Environment(name="local", bucket=BUCKET)
    assert made.ctx.definition is not None
    made.ctx = ReleaseContext.from_environment(made.ctx.definition, environment)
    return made


def _impatient(made: Shop) -> None:
    """A client that waits a second, and asks three times: what is seen after production's is seen sooner."""
    config = client_config().merge(Config(read_timeout=1, retries={"mode": "standard", "max_attempts": 3}))
    assert made.ctx.definition is not None
    made.ctx = ReleaseContext.from_environment(
        made.ctx.definition, Environment(name="local", bucket=BUCKET), s3=boto3.client("s3", config=config)
    )


KINDS: dict[str, dict[str, Any]] = {
    "500": {"status": 500, "code": "InternalError"},
    "503": {"status": 503, "code": "SlowDown"},
    "cut": {"cut": "before"},
}
# No trouble to a client that waits: nothing ends in an error.
SLOW: dict[str, dict[str, Any]] = {"slow": {"delay": 1.0}}


@pytest.mark.parametrize("kind", [*KINDS, *SLOW])
def test_a_passing_trouble_of_s3_is_not_even_noticed(store: Shop, sandbox: SandboxHandle, kind: str) -> None:
    release = store.build()
    sandbox.aws_faults({"service": "s3", "match": store.query, "times": 2, **(KINDS | SLOW)[kind]})
    assert promote(store.ctx, release, by="sensor").moved
    assert store.active() == release


def test_an_s3_slower_than_its_client_waits_moves_the_pointer_once(store: Shop, sandbox: SandboxHandle) -> None:
    """The request that was given up arrives late and is done all the same: its retries lose to it (412), or it to them."""
    first = store.build("2017-11-29")
    promote(store.ctx, first, by="sensor")
    second = store.build("2017-11-30")
    _impatient(store)
    late = {"operation": "PutObject", "match": "active.json", "delay": 1.2}
    sandbox.aws_faults({**late, "times": -1})
    assert promote(store.ctx, second, by="sensor").pointer.generation == 2
    sandbox.reset_faults()
    sandbox.aws_faults({**late, "times": 1})
    assert rollback(store.ctx, by="ann", reason="odd").pointer.release_id == first
    assert store.active() == first
    assert [entry.generation for entry in store.ctx.ledger.moves()] == [1, 2, 3]


def test_conditional_writes_that_s3_takes_one_at_a_time_are_asked_again(
    store: Shop, sandbox: SandboxHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS answers 409 ConditionalRequestConflict when another conditional write to the key is under way; nobody has won."""
    first = store.build("2017-11-29")
    conflict = {"operation": "PutObject", "match": "active.json", "status": 409, "code": "ConditionalRequestConflict"}
    sandbox.aws_faults({**conflict, "times": 2})
    assert promote(store.ctx, first, by="sensor").pointer.generation == 1
    second = store.build("2017-11-30")
    sandbox.aws_faults({**conflict, "times": 2})
    assert promote(store.ctx, second, by="sensor").pointer.generation == 2
    third = store.build("2017-12-01")
    sandbox.aws_faults({**conflict, "times": -1})
    monkeypatch.setattr("kumo_assets.resources.s3_objects.CONFLICTS", 3)  # all eight take 2.5 s
    with pytest.raises(ReleaseError, match=r"ConditionalRequestConflict.*the old pointer stands"):
        promote(store.ctx, third, by="sensor")
    assert store.active() == second
    assert [entry.to_release for entry in store.ctx.ledger.moves()] == [first, second]


def test_a_conflict_at_the_ledger_is_retried_as_well(store: Shop, sandbox: SandboxHandle) -> None:
    release = store.build()
    conflict = {"operation": "PutObject", "match": "/ledger/", "status": 409, "code": "ConditionalRequestConflict"}
    sandbox.aws_faults({**conflict, "times": 2})
    assert "But:" not in promote(store.ctx, release, by="sensor").message
    assert [entry.to_release for entry in store.ctx.ledger.history()] == [release]


@pytest.mark.parametrize("kind", KINDS)
def test_a_lasting_trouble_of_s3_moves_nothing_and_says_so(store: Shop, sandbox: SandboxHandle, kind: str) -> None:
    first = store.build("2017-11-29")
    promote(store.ctx, first, by="sensor")
    second = store.build("2017-11-30")
    sandbox.aws_faults({"operation": "PutObject", "match": "active.json", "times": -1, **KINDS[kind]})
    with pytest.raises(ReleaseError, match="the old pointer stands, and readers go on with it"):
        promote(store.ctx, second, by="sensor")
    assert store.active() == first
    sandbox.reset_faults()
    assert promote(store.ctx, None, by="sensor").pointer.release_id == second
    assert [entry.to_release for entry in store.ctx.ledger.moves()] == [first, second]


def test_a_write_whose_answer_is_lost_is_known_to_have_happened(store: Shop, sandbox: SandboxHandle) -> None:
    """A failed pointer write reported as good, and the reverse, are the same mistake: only reading back tells."""
    release = store.build()
    sandbox.aws_faults({"operation": "PutObject", "match": "active.json", "times": 1, "cut": "after"})
    done = promote(store.ctx, release, by="sensor")
    assert done.moved
    assert done.pointer.generation == 1
    (entry,) = store.ctx.ledger.moves()
    assert entry.to_release == release


def test_readers_answer_while_s3_is_out_or_slow(store: Shop, sandbox: SandboxHandle) -> None:
    """Only the pointer and the documents are on S3; what a service looks up is not."""
    first = store.build("2017-11-29")
    promote(store.ctx, first, by="sensor")
    reader = Reader(store.query, pointer=open_pointer(store.ctx.pointers.uri), refresh_seconds=0.5)
    try:
        for fault in ({"delay": 3.0}, {"status": 503, "code": "SlowDown"}):
            sandbox.aws_faults({"service": "s3", "times": -1, **fault})
            end = time.monotonic() + OUTAGE_SECONDS / 2
            while time.monotonic() < end:
                answer = reader.get("1", budget_seconds=5.0)
                assert isinstance(answer, Answer)
                time.sleep(0.05)
            sandbox.reset_faults()
        second = store.build("2017-11-30")
        promote(store.ctx, second, by="sensor")
        _soon(lambda: reader.get("1", budget_seconds=5.0).release_id == second)
    finally:
        reader.close()


def test_a_ledger_that_is_out_loses_no_entry(store: Shop, sandbox: SandboxHandle) -> None:
    release = store.build()
    _impatient(store)
    sandbox.aws_faults({"operation": "PutObject", "match": "/ledger/", "times": -1, "status": 503, "code": "SlowDown"})
    done = promote(store.ctx, release, by="sensor", run_id="run-1")
    assert done.moved
    assert "append to the ledger" in done.message
    assert store.ctx.ledger.history() == []
    sandbox.reset_faults()
    reconcile(store.ctx)
    (entry,) = store.ctx.ledger.history()
    assert (entry.to_release, entry.run_id) == (release, "run-1")


@pytest.fixture
def zookeeper(tmp_path: Path) -> Iterator[Any]:
    with restartable_zookeeper(tmp_path) as made:
        yield made


@pytest.mark.zookeeper
def test_zookeeper_stopped_and_started_again(sandbox: SandboxHandle, zookeeper: Any) -> None:
    """Readers go on, a promotion says that nothing moved, and the same processes go on when it is back."""
    client("s3").create_bucket(Bucket=BUCKET)
    store = shop("zookeeper", zookeeper.hosts)
    first, second = store.build("2017-11-29"), store.build("2017-11-30")
    promote(store.ctx, first, by="sensor")
    reader = Reader(store.query, pointer=open_pointer(store.ctx.pointers.uri), refresh_seconds=1.0)
    try:
        assert reader.get("1", budget_seconds=5.0).release_id == first
        zookeeper.kill()
        told: list[Exception] = []

        def attempt() -> None:
            try:
                promote(store.ctx, second, by="sensor")
            except Exception as error:  # noqa: BLE001 - looked at below
                told.append(error)

        trying = threading.Thread(target=attempt)
        trying.start()
        while trying.is_alive():
            assert reader.get("1", budget_seconds=5.0).release_id == first
            time.sleep(0.05)
        (error,) = told
        assert isinstance(error, ReleaseError)
        assert "read the active pointer" in str(error)
        assert "readers keep the last pointer they saw" in str(error)
        zookeeper.start()
        _soon(lambda: _moved(store, second))
        assert store.active() == second
        _soon(lambda: reader.get("1", budget_seconds=5.0).release_id == second)
        assert rollback(store.ctx, by="ann", reason="odd").pointer.release_id == first
        assert [entry.generation for entry in store.ctx.ledger.moves()] == [1, 2, 3]
    finally:
        reader.close()
        store.ctx.close()


def _moved(store: Shop, release: str) -> bool:
    try:
        return promote(store.ctx, release, by="sensor").pointer.release_id == release
    except ReleaseError:
        return False  # kazoo has not found it again yet


def _soon(what: Any, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.1)


@pytest.mark.sandbox
def test_a_full_disk_under_the_sandbox_loses_nothing_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=48m", "small", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs leave to mount a small disk")
    try:
        handle = start_sandbox(disk / "home")
        try:
            for name, value in handle.env.items():
                monkeypatch.setenv(name, value)
            monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it keeps the other sandbox's credentials
            client("s3").create_bucket(Bucket=BUCKET)
            store = shop()
            first = store.build("2017-11-29")
            promote(store.ctx, first, by="sensor")
            second = store.build("2017-11-30")
            filler = disk / "filler"
            _fill(filler)
            with pytest.raises(ReleaseError, match=r"disk is full.*the old pointer stands"):
                promote(store.ctx, second, by="sensor")
            assert store.active() == first
            assert report(store.ctx).candidate == second
            filler.unlink()
            assert promote(store.ctx, second, by="sensor").moved
            handle.stop()
            handle.start()
            assert store.active() == second
            moves = [(entry.generation, entry.to_release) for entry in store.ctx.ledger.moves()]
            assert moves == [(1, first), (2, second)]
        finally:
            handle.stop()
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 65_536)
        except OSError:
            return
