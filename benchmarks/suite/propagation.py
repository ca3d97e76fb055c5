"""From a promotion to each of 100 readers seeing it, on either pointer store; what a rollback takes as a whole process; and
whether any read failed through 50 promotions, rollbacks and retirements. MiniStack and a real ZooKeeper."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from kumo_sandbox.testing.watch import Seen, watching

from benchmarks.figures import Figure, Result, Table
from benchmarks.reader.measure import ministack, set_variables

TITLE = "Promotion: until every reader sees it"
PROCESSES, READERS = 4, 25
TARGETS = {"zookeeper": 250.0, "s3": 1500.0}
NOTES = [
    "100 readers in 4 processes, which look entities up all the while. Counted from the moment the pointer's new document "
    "is sent to its store, to the moment a reader's hook hears of it; clocks are one machine's.",
    "S3 is polled each second (with the reader's jitter of 20%); ZooKeeper tells by a watch.",
    "The load: promotions, rollbacks, holds lifted and retirements in turn, on S3, with the grace of a retirement set to 3 s.",
]


def run(quick: bool) -> Result:
    """30 promotions a store and 5 minutes of load; `quick`: 5, and 20 seconds."""
    set_variables()
    from kumo_sandbox.testing import ZooKeeper
    from kumo_sandbox.testing.releases import BUCKET, client

    count, seconds = (5, 20.0) if quick else (30, 300.0)
    figures: list[Figure] = []
    rows = []
    with tempfile.TemporaryDirectory() as home, ministack() as aws, ZooKeeper(Path(home)) as zookeeper:
        os.environ["AWS_ENDPOINT_URL"] = aws
        try:
            client("s3").create_bucket(Bucket=BUCKET)
            for store in TARGETS:
                took, seen = _propagation(store, zookeeper.hosts, count)
                cut = statistics.quantiles(took, n=100)
                figures.append(Figure(f"{store}: seen by a reader, p99", cut[98], "ms", target=TARGETS[store]))
                rows.append(
                    [store, *(f"{value:.0f}" for value in (cut[49], cut[89], cut[98], max(took))), f"{len(took):,}"]
                )
                figures.append(Figure(f"{store}: failed or empty reads", len(seen.wrong), target=0))
            moves, seen, rollback = _load(seconds, 10 if quick else 50)
            figures += [
                Figure("promotions, rollbacks, holds lifted and retirements under load", moves),
                Figure("reads under that load", seen.lookups),
                Figure("failed or empty reads under that load", len(seen.wrong), target=0),
                Figure("kumo-assets rollback, the whole process, median of 5", rollback, "s", target=2.0),
            ]
        finally:
            del os.environ["AWS_ENDPOINT_URL"]
    table = Table(
        "Milliseconds until a reader sees a promotion", ("store", "p50", "p90", "p99", "most", "sights"), rows
    )
    return Result(TITLE, figures, [table], [*NOTES, *(f"Seen: {text}" for text in seen.wrong[:5])])


def _propagation(store: str, hosts: str, count: int) -> tuple[list[float], Seen]:
    """Milliseconds from each promotion to each reader that saw it."""
    from kumo_sandbox.testing.releases import shop

    from kumo_assets.releases.operations.promote import promote

    made = shop(store, hosts)
    releases = [made.build(f"2017-{1 + day // 28:02d}-{1 + day % 28:02d}") for day in range(count + 1)]
    promote(made.ctx, releases[0], by="bench")
    sent: dict[str, float] = {}
    write = made.ctx.pointers.write

    def timed(pointer: Any, *arguments: Any) -> Any:
        sent[pointer.release_id] = time.time()
        return write(pointer, *arguments)

    made.ctx.pointers.write = timed  # type: ignore[method-assign]
    with watching(made.query, made.ctx.pointers.uri, PROCESSES, READERS, 1) as seen:
        for release in releases[1:]:
            promote(made.ctx, release, by="bench")
            time.sleep(2.0)
    made.ctx.close()
    took = [(at - sent[release]) * 1000 for sights in seen.sights for release, at in sights if release in sent]
    expected = count * PROCESSES * READERS
    if len(took) != expected:
        seen.wrong.append(f"{expected - len(took)} of {expected} sights are missing")
    return took, seen


def _load(seconds: float, moves: int) -> tuple[int, Seen, float]:
    """(moves made, what readers saw meanwhile, median seconds of five rollbacks by the command line)."""
    from kumo_sandbox.testing.releases import shop

    from kumo_assets.releases.operations.hold import preview_unhold, unhold
    from kumo_assets.releases.operations.promote import promote
    from kumo_assets.releases.operations.retire import retire
    from kumo_assets.releases.operations.rollback import rollback

    made = shop(retention={"keep": 1, "min_age_hours": 0, "grace_minutes": 0.05})
    days = iter(f"2017-{month:02d}-{day:02d}" for month in range(1, 13) for day in range(1, 29))
    ctx = made.ctx
    promote(ctx, made.build(next(days)), by="bench")
    promote(ctx, made.build(next(days)), by="bench")
    done, pause = 0, seconds / moves
    commands = []
    with watching(made.query, ctx.pointers.uri, 2, 4, 4) as seen:
        while done < moves:
            promote(ctx, made.build(next(days)), by="bench")
            time.sleep(pause)
            promote(ctx, made.build(next(days)), by="bench")
            time.sleep(pause)
            rollback(ctx, by="bench", reason="a drill")
            time.sleep(pause)
            unhold(ctx, preview_unhold(ctx), by="bench")
            time.sleep(max(pause, 3.5))
            retire(ctx, lambda names: None, by="bench")
            time.sleep(pause)
            done += 5
        for _ in range(5):
            promote(ctx, made.build(next(days)), by="bench")
            commands.append(_command(ctx.pointers.uri))
            unhold(ctx, preview_unhold(ctx), by="bench")
    return done, seen, statistics.median(commands)


def _command(uri: str) -> float:
    started = time.monotonic()
    program = [sys.executable, "-m", "kumo_assets.cli.main"]
    done = subprocess.run(
        [*program, "rollback", "--pointer", uri, "--reason", "a drill", "--json"], capture_output=True, text=True
    )
    took = time.monotonic() - started
    if done.returncode != 0:
        raise RuntimeError(f"rollback failed: {done.stderr}")
    json.loads(done.stdout)
    return took
