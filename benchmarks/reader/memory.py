"""Resident memory over many lookups by one reader, get and get_many, taken ten times along the way.

`python memory.py sync|async URL LOOKUPS` prints a JSON list of MB: a process of its own, which holds nothing else.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import tempfile

from peers import ENTITIES, Pointer, hundred
from swap import resident


def sync(url: str, lookups: int) -> list[float]:
    from kumo_serving import Reader

    taken = []
    with Reader(
        "shop", Pointer(), endpoint_url=url, budget_seconds=5, start_seconds=60, cache_dir=tempfile.mkdtemp()
    ) as reader:
        for _ in range(10):
            for number in range(lookups // 20):
                reader.get(str(number % (2 * ENTITIES)))  # half of them misses
            for number in range(lookups // 20 // 100):
                reader.get_many(hundred(number))
            gc.collect()
            taken.append(resident())
    return taken


async def with_asyncio(url: str, lookups: int) -> list[float]:
    from kumo_serving import AsyncReader

    taken = []
    options = {"endpoint_url": url, "budget_seconds": 5, "start_seconds": 60, "cache_dir": tempfile.mkdtemp()}
    async with AsyncReader("shop", Pointer(), **options) as reader:

        async def some(first: int) -> None:
            for number in range(first, first + lookups // 20 // 20):
                await reader.get(str(number % (2 * ENTITIES)))

        for _ in range(10):
            await asyncio.gather(*(some(start) for start in range(20)))
            for number in range(lookups // 20 // 100):
                await reader.get_many(hundred(number))
            gc.collect()
            taken.append(resident())
    return taken


if __name__ == "__main__":
    url, lookups = sys.argv[2], int(sys.argv[3])
    print(json.dumps(sync(url, lookups) if sys.argv[1] == "sync" else asyncio.run(with_asyncio(url, lookups))))
