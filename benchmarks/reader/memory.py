"""Memory over many lookups: flat, or this fails.

    .venv/bin/python benchmarks/reader/memory.py [--long]      100,000 lookups; --long: 1,000,000

Both readers, get and get_many, against the fast loopback server. Resident memory is taken ten times along the way; the
last may exceed the second (after warm-up) by 1 MB.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import sys
import tempfile

from peers import ENTITIES, REGION, Pointer, fill, hundred
from run import fast
from swap import resident

ALLOWED_MB = 1.0


def sync(url: str, lookups: int) -> list[float]:
    from kumo_serving import Reader

    taken = []
    with Reader("shop", Pointer(), endpoint_url=url, budget_seconds=5, cache_dir=tempfile.mkdtemp()) as reader:
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
    options = {"endpoint_url": url, "budget_seconds": 5, "cache_dir": tempfile.mkdtemp()}
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


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--long", action="store_true", help="1,000,000 lookups each")
    lookups = 1_000_000 if options.parse_args().long else 100_000
    os.environ.update(AWS_ACCESS_KEY_ID="AKIDBENCH", AWS_SECRET_ACCESS_KEY="bench", AWS_EC2_METADATA_DISABLED="true")
    os.environ.update(AWS_REGION=REGION)
    grew = False
    with fast() as url:
        fill(url)
        for name, taken in (
            ("Reader", sync(url, lookups)),
            ("AsyncReader", asyncio.run(with_asyncio(url, lookups))),
        ):
            growth = taken[-1] - taken[1]
            grew |= growth > ALLOWED_MB
            print(f"{name}: {lookups:,} lookups, MB {[round(value, 1) for value in taken]}, grew {growth:.2f} MB")
    sys.exit(1 if grew else 0)


if __name__ == "__main__":
    main()
