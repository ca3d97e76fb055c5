"""One reader serves while ten others start in the same process: a script, run by `test_sessions` in a process of its own.

Prints the most CPU of this process that passed within one lookup, and between two turns of the serving loop, while the
others started (in ms: what a pause costs, however busy the machine is); how many lookups failed; and the memory of a
further reader (MB).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from kumo_serving import AsyncReader, Reader
from kumo_serving.errors import ReadError

OTHERS = 10
# Wide: what is measured is CPU, and a busy machine may let this process wait for longer than any service would.
OPTIONS: dict[str, Any] = {"budget_seconds": 5.0, "start_seconds": 60}


class Watch:
    """CPU of this process within each lookup, and between one turn and the next."""

    def __init__(self) -> None:
        self.lookups = self.failed = 0
        self.longest_lookup = self.longest_turn = 0.0
        self._turn = time.process_time()

    def turn(self) -> None:
        now = time.process_time()
        self.longest_turn = max(self.longest_turn, now - self._turn)
        self._turn = now

    def lookup(self, began: float) -> None:
        self.lookups += 1
        self.longest_lookup = max(self.longest_lookup, time.process_time() - began)


def address(number: int) -> str:
    return f"s3://{os.environ['BUCKET']}/local/query_{number}/active.json"


def resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def serve_async() -> dict[str, Any]:
    first = await AsyncReader("query_0", address(0), **OPTIONS).start()
    watch, ended = Watch(), False

    async def serve() -> None:
        while not ended:
            began = time.process_time()
            try:
                await first.get("ann")
            except ReadError:
                watch.failed += 1
            watch.lookup(began)
            await asyncio.sleep(0.001)
            watch.turn()

    serving = asyncio.create_task(serve())
    await asyncio.sleep(0.2)
    before = resident()
    others = [AsyncReader(f"query_{number}", address(number), **OPTIONS) for number in range(1, OTHERS + 1)]
    await asyncio.gather(*(other.start() for other in others))
    await asyncio.sleep(0.2)
    ended = True
    await serving
    grown = resident() - before
    answered = [(await other.get("ann")).source.query for other in others]
    for reader in (first, *others):
        await reader.close()
    return told(watch, grown, answered)


def serve_sync() -> dict[str, Any]:
    first = Reader("query_0", address(0), **OPTIONS)
    watch, ended = Watch(), threading.Event()

    def serve() -> None:
        while not ended.is_set():
            began = time.process_time()
            try:
                first.get("ann")
            except ReadError:
                watch.failed += 1
            watch.lookup(began)
            time.sleep(0.001)
            watch.turn()

    serving = threading.Thread(target=serve)
    serving.start()
    time.sleep(0.2)
    before = resident()
    others: list[Reader] = []
    starting = [
        threading.Thread(
            target=lambda number=number: others.append(Reader(f"query_{number}", address(number), **OPTIONS))
        )
        for number in range(1, OTHERS + 1)
    ]
    for thread in starting:
        thread.start()
    for thread in starting:
        thread.join()
    time.sleep(0.2)
    ended.set()
    serving.join()
    grown = resident() - before
    answered = [other.get("ann").source.query for other in others]
    for reader in (first, *others):
        reader.close()
    return told(watch, grown, answered)


def told(watch: Watch, grown: float, answered: list[str]) -> dict[str, Any]:
    return {
        "lookups": watch.lookups,
        "failed": watch.failed,
        "longest_lookup": watch.longest_lookup * 1000,
        "longest_turn": watch.longest_turn * 1000,
        "megabytes": grown / OTHERS,
        "answered": sorted(answered),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(serve_async()) if sys.argv[1] == "async" else serve_sync()))
