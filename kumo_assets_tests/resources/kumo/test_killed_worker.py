"""A worker killed with SIGKILL at any moment of a launch leaves one Kumo job for its release, and the next worker has it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

from kumo_assets.resources.kumo.model import Launch
from kumo_assets_tests.resources.kumo.world import GRAPH, KEY, POLL, World, new_release

ROUNDS = 50 if os.environ.get("KUMO_SOAK") else 5


def test_a_worker_killed_between_accept_and_record_leaves_one_job(world: World, tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    accepted_unrecorded = 0
    whole = 0.4  # seconds from `go` to the record; measured by each worker that was quicker than its killer
    for number in range(ROUNDS):
        release = new_release()
        launch = world.launch(release)
        record = tmp_path / release
        if number % 2 == 0:
            # The server has the job, its answer is still on the way.
            world.fault({"kind": "accept_then_hang", "with": {"seconds": 10}})
        worker = _start(world, launch, record)
        started = time.monotonic()
        if number % 2 == 0:
            _until_accepted(world, release, worker)
            time.sleep(chance.uniform(0, 0.01))
        else:
            time.sleep(chance.uniform(0, whole * 1.2))
        worker.send_signal(signal.SIGKILL)
        worker.wait(10)
        if record.exists():
            whole = min(whole, time.monotonic() - started)
        elif _jobs(world, release):
            accepted_unrecorded += 1
        # The next worker: the run executed again, which knows nothing but its release.
        with world.client() as client:
            _, job, _ = client.adopt_or_launch(
                lambda attempt, launch=launch: launch,  # type: ignore[misc]
                lambda attempt, launch=launch: _with_model(world, launch),  # type: ignore[misc]
            )
            job = client.wait(job, POLL)
        assert _jobs(world, release) == [job.job_id], f"round {number} of seed {seed}"
        world.prove(job, launch.table)
        if record.exists():
            assert record.read_text() in ("", job.job_id)
    assert accepted_unrecorded >= (ROUNDS + 1) // 2, f"a kill missed its moment (seed {seed})"


def _start(world: World, launch: Launch, record: Path) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "kumo_assets_tests.resources.kumo.worker",
        world.url + "/api",
        KEY,
        GRAPH,
        str(record),
    ]
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(json.dumps(asdict(launch), default=str) + "\n")
    worker.stdin.flush()
    assert worker.stdout.readline() == "ready\n"
    worker.stdin.write("go\n")
    worker.stdin.flush()
    return worker


def _jobs(world: World, release: str) -> list[str]:
    return [job["job_id"] for job in world.jobs() if job["tags"].get("kumo_assets.release") == release]


def _until_accepted(world: World, release: str, worker: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 30
    while not _jobs(world, release) and worker.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def _with_model(world: World, launch: Launch) -> Launch:
    with world.client() as client:
        return replace(launch, training_job_id=client.newest_model(launch.query_id).job_id)
