"""Scenes of the pointer's stores, with releases built in a second: ZooKeeper dies and returns, and a backfill races a
promotion, on ZooKeeper and on S3."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

from kumo_sandbox.testing.releases import Shop
from kumo_serving import Reader, open_pointer

from kumo_assets.releases.operations.promote import promote
from kumo_assets_tests.chaos.gameday.stage import Stage, Typed
from kumo_assets_tests.chaos.gameday.timeline import Timeline, wait_until

STORES = {"zookeeper": "ZooKeeper", "s3": "S3"}
# Each store sees both orders of starting.
RACES = 2
OUT_SECONDS = 3.0
BACK_SECONDS = 15.0
SETTLE_SECONDS = 3.0


def zookeeper_dies(stage: Stage, timeline: Timeline) -> None:
    with timeline.scene("c ZooKeeper dies"), contextlib.ExitStack() as stack:
        made, defs = stage.open_shop("zookeeper")
        stack.callback(made.ctx.close)
        first, second = made.build("2017-11-28"), made.build("2017-11-29")
        live = stage.type("promote", made.query, first, defs=defs)
        timeline.demand(live.status == 0, f"kumo-assets promote QUERY {first}", live.words)
        uri = made.ctx.pointers.uri
        with timeline.readers(made.query, uri) as seen:
            with Reader(made.query, pointer=open_pointer(uri), cache_dir=stage.home / "witness") as witness:
                _out_and_back(stage, timeline, made, defs, witness, first, second)
            time.sleep(SETTLE_SECONDS)
        behind = [sights[-1:] for sights in seen.sights if not sights or sights[-1][0] != second]
        timeline.demand(
            not behind, "the readers are asked what they serve", f"{second}: {len(seen.sights) - len(behind)} readers"
        )


def _out_and_back(
    stage: Stage, timeline: Timeline, made: Shop, defs: Path, witness: Reader, first: str, second: str
) -> None:
    stage.zookeeper.kill()
    out = time.monotonic()
    timeline.add("SIGKILL to ZooKeeper", "no pointer can be read or moved")
    refused = stage.type("promote", made.query, second, defs=defs)
    timeline.demand(
        refused.status == 1 and "readers keep the last pointer they saw" in refused.words,
        f"kumo-assets promote QUERY {second}",
        refused.words,
    )
    time.sleep(OUT_SECONDS)
    answer = witness.get("1")
    timeline.demand(answer.release_id == first, "a reader is asked meanwhile", f"answers from {answer.release_id}")
    stage.zookeeper.start()
    timeline.add("ZooKeeper is started again", f"serves, after {time.monotonic() - out:.1f} s away")
    again = stage.type("promote", made.query, second, defs=defs)
    timeline.demand(again.status == 0, f"kumo-assets promote QUERY {second}", again.words)
    started = time.monotonic()
    followed = wait_until(lambda: witness.get("1").release_id == second, BACK_SECONDS)
    timeline.demand(
        followed, "the reader is asked again", f"answers from {second}, {time.monotonic() - started:.1f} s later"
    )


def backfill_races(stage: Stage, timeline: Timeline) -> None:
    for store, name in STORES.items():
        with timeline.scene(f"d a race on {name}"), contextlib.ExitStack() as stack:
            made, defs = stage.open_shop(store)
            stack.callback(made.ctx.close)
            days = (f"2017-11-{day:02d}" for day in count(1))
            base = made.build(next(days))
            promote(made.ctx, base, by="game day")
            with timeline.readers(made.query, made.ctx.pointers.uri) as seen:
                for number in range(RACES):
                    older, newer = made.build(next(days)), made.build(next(days))
                    _race(stage, timeline, made, defs, older, newer, newer_first=bool(number % 2))
                time.sleep(SETTLE_SECONDS)
            _nobody_went_back(timeline, made, seen.sights)


def _race(
    stage: Stage, timeline: Timeline, made: Shop, defs: Path, older: str, newer: str, *, newer_first: bool
) -> None:
    order = (newer, older) if newer_first else (older, newer)
    with ThreadPoolExecutor(2) as two:
        running = {release: two.submit(stage.type, "promote", made.query, release, defs=defs) for release in order}
    ended: dict[str, Typed] = {release: future.result() for release, future in running.items()}
    lost = ended[newer].status == 4 and made.active() == older
    if lost:
        # The backfill's compare-and-set came between; the sensor would ask again at its next tick, a person likewise.
        timeline.add(f"two processes at once: {order[0]}, {order[1]}", f"the newer lost: {ended[newer].words}")
        ended[newer] = stage.type("promote", made.query, newer, defs=defs)
    told = "went live first" if ended[older].status == 0 else f"was refused ({ended[older].words})"
    timeline.demand(
        ended[newer].status == 0 and ended[older].status in (0, 4) and made.active() == newer,
        f"promote {newer} again" if lost else f"two processes at once: promote {order[0]}, promote {order[1]}",
        f"{made.active()} is live; the backfill {told}",
    )


def _nobody_went_back(timeline: Timeline, made: Shop, sights: list[list[tuple[str, float]]]) -> None:
    """Neither the history nor any reader ever saw an older day after a newer one."""
    moves = [(entry.generation, entry.to_release) for entry in made.ctx.ledger.moves()]
    linear = [generation for generation, _ in moves] == list(range(1, len(moves) + 1))
    releases = [release for _, release in moves]
    backwards = sum([release for release, _ in seen] != sorted(release for release, _ in seen) for seen in sights)
    last = {seen[-1][0] for seen in sights if seen}
    timeline.demand(
        linear and releases == sorted(releases) and not backwards and last == {made.active()},
        "history and readers are looked through",
        f"{len(moves)} moves, generations without a gap; readers that went back a day: {backwards}",
    )
