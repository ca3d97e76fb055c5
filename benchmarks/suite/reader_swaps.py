"""Latency under 200 lookups in flight while a release is promoted every 5 s: what a swap costs. Loaded by
`benchmarks/reader/swap`.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys

from benchmarks.figures import Figure, Result, Table
from benchmarks.reader.measure import HERE, fast, ministack, set_variables

TITLE = "Reader: latency through promotions"
NOTES = [
    "One AsyncReader, one process, 200 lookups always in flight on the loopback server: at saturation, so these "
    "latencies are queueing, and the figure is the ratio. Every answer is checked to be of the release it names.",
    "During a swap: begun within 1.5 s of a promotion (a refresh takes up to 1.2 s to see it). The pointer is in S3 "
    "(MiniStack), promotions come from another process.",
]


def run(quick: bool) -> Result:
    """2 minutes, 3 times; `quick`: 20 s, once."""
    set_variables()
    sys.path.insert(0, str(HERE))  # scripts that run beside each other import each other by plain names
    import swap

    seconds, count = (20.0, 1) if quick else (120.0, 3)
    with fast() as dynamodb, ministack() as s3:
        os.environ["AWS_ENDPOINT_URL_S3"] = s3
        try:
            swap.prepare(dynamodb)
            found = [asyncio.run(swap.serve(dynamodb, seconds)) for _ in range(count)]
        finally:
            del os.environ["AWS_ENDPOINT_URL_S3"]
    ratios = [one["ratio"] for one in found]
    rows = []
    for number, one in enumerate(found, 1):
        for when in ("between", "during"):
            cells = [f"{one[when][name]:.1f}" for name in ("p50", "p99", "p99.9")]
            rows.append([f"{number}, {when}", *cells, f"{one['lookups']:,}", str(one["swaps"])])
    figures = [
        Figure("errors and wrong answers", sum(one["wrong"] for one in found), target=0),
        Figure("p99 during a swap / between swaps, median of the runs", statistics.median(ratios), "x", target=1.2),
        Figure("the least of the runs", min(ratios), "x"),
        Figure("the greatest of the runs", max(ratios), "x"),
        Figure("memory, last minus after warm-up", max(one["memory"][-1] - one["memory"][2] for one in found), "MB"),
        Figure("releases answered from, of 2", min(one["releases"] for one in found), target=2, sense="at least"),
    ]
    table = Table("Milliseconds", ("run", "p50", "p99", "p99.9", "lookups", "promotions"), rows)
    errors = [f"Seen: {text}" for one in found for text in one["errors"]]
    return Result(TITLE, figures, [table], NOTES + errors)
