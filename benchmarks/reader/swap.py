"""Latency while releases are promoted: 200 lookups always in flight, a promotion every 5 s, the pointer in S3 (MiniStack).

One AsyncReader on one event loop, the fast loopback server, promotions by another process (this file as a script)
through S3. Every answer is checked to be of the release it says it is.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from array import array
from pathlib import Path
from typing import Any

from peers import REGION, text

CONCURRENT = 200
EVERY = 5.0
# A promotion is seen within a refresh (1 s, jittered by 20%); everything a swap costs happens in this window.
WINDOW = 1.5
ENTITIES = 1000
BUCKET, KEY = "bench", "local/shop/active.json"
TABLES = ["bench-shop-20171129-0a0b0c0d", "bench-shop-20171130-1a2b3c4d"]


def promote(seconds: float) -> None:
    """The other process: write the pointer, alternating between two releases; print when."""
    import boto3
    from kumo_serving.pointer import Pointer, Previous, dump_pointer

    s3 = boto3.client("s3", region_name=REGION)
    end, generation = time.monotonic() + seconds, 1
    while time.monotonic() < end:
        time.sleep(EVERY)
        generation += 1
        new, old = TABLES[generation % 2], TABLES[(generation + 1) % 2]
        pointer = Pointer(
            "shop",
            new,
            generation=generation,
            release_id=new[-17:],
            region=REGION,
            previous=(Previous(old[-17:], "", old),),
            fallback=f"s3://{BUCKET}/fallback.json",
        )
        s3.put_object(Bucket=BUCKET, Key=KEY, Body=dump_pointer(pointer))
        print(time.monotonic(), flush=True)


def prepare(dynamodb: str) -> None:
    """Two tables whose items say which release they are of, a fallback list, a first pointer."""
    import boto3
    from kumo_serving.pointer import Pointer, dump_pointer

    client = boto3.client("dynamodb", region_name=REGION, endpoint_url=dynamodb)
    for table in TABLES:
        client.create_table(
            TableName=table,
            KeySchema=[{"AttributeName": "e", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "e", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        for start in range(0, ENTITIES, 25):
            rows = [(str(number), [[table, 1.0], *json.loads(text(number))[1:]]) for number in range(start, start + 25)]
            puts = [{"PutRequest": {"Item": {"e": {"S": e}, "p": {"S": json.dumps(p)}}}} for e, p in rows]
            client.batch_write_item(RequestItems={table: puts})
    s3 = boto3.client("s3", region_name=REGION)
    s3.create_bucket(Bucket=BUCKET)
    fallback = {"schema_version": 1, "query": "shop", "item_format": "ranking/1", "p": [["a", 1]]}
    s3.put_object(Bucket=BUCKET, Key="fallback.json", Body=json.dumps(fallback).encode())
    first = Pointer(
        "shop", TABLES[1], release_id=TABLES[1][-17:], region=REGION, fallback=f"s3://{BUCKET}/fallback.json"
    )
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=dump_pointer(first))


def resident() -> float:
    """MB of this process's memory that are in RAM."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def serve(dynamodb: str, seconds: float) -> dict[str, Any]:
    from kumo_serving import Answer, AsyncReader

    promoter = subprocess.Popen([sys.executable, __file__, str(seconds)], stdout=subprocess.PIPE, text=True)
    # Arrays, not tuples: the garbage collector's walk over a million of them would be what is measured.
    starts, durations = array("d"), array("d")
    errors: list[str] = []
    releases: set[str] = set()
    memory: list[float] = []
    options: dict[str, Any] = {"endpoint_url": dynamodb, "budget_seconds": 1.0, "start_seconds": 30}
    options.update(pool_size=CONCURRENT, warm_connections=CONCURRENT)
    async with AsyncReader("shop", f"s3://{BUCKET}/{KEY}", cache_dir=tempfile.mkdtemp(), **options) as reader:
        end = time.monotonic() + seconds

        async def worker(number: int) -> None:
            while True:
                number += CONCURRENT
                begun = time.monotonic()
                if begun > end:
                    return
                try:
                    answer = await reader.get(str(number % ENTITIES))
                    if not isinstance(answer, Answer) or answer.predictions[0][0] != answer.source.table:  # type: ignore[union-attr]
                        errors.append(f"a wrong answer: {answer}")
                    releases.add(answer.release_id)
                except Exception as error:  # noqa: BLE001 - whatever it is, it is what this run is looking for
                    errors.append(str(error))
                starts.append(begun)
                durations.append(time.monotonic() - begun)

        async def watch() -> None:
            while time.monotonic() < end:
                await asyncio.sleep(seconds / 10)
                # What the samples themselves take is not the reader's.
                memory.append(resident() - len(starts) * 16 / 1e6)

        await asyncio.gather(watch(), *(worker(number) for number in range(CONCURRENT)))
    promoter.terminate()
    assert promoter.stdout is not None
    swaps = [float(line) for line in promoter.stdout.read().split()]
    samples = list(zip(starts, durations, strict=True))
    during = [took for begun, took in samples if any(0 <= begun - swap <= WINDOW for swap in swaps)]
    between = [took for begun, took in samples if not any(0 <= begun - swap <= WINDOW for swap in swaps)]
    return {
        "lookups": len(samples),
        "swaps": len(swaps),
        "releases": len(releases),
        "wrong": len(errors),
        "errors": errors[:5],
        "during": quantiles(during),
        "between": quantiles(between),
        "ratio": quantiles(during)["p99"] / quantiles(between)["p99"],
        "memory": [round(value, 1) for value in memory],
    }


def quantiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        name: round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 2)
        for name, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999))
    }


if __name__ == "__main__":
    promote(float(sys.argv[1]))
