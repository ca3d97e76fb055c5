"""CPU a lookup: the reader against boto3, aiobotocore, aiodynamo and Feast, on the loopback server and on the sandbox's emulator;
and the floor, part by part. How each is called is in `benchmarks/reader`.
"""

from __future__ import annotations

import statistics
import sys
from contextlib import nullcontext

from benchmarks.figures import Figure, Result, Table
from benchmarks.reader.measure import (
    ALTERNATIVES,
    FLOOR,
    HERE,
    Found,
    fast,
    import_milliseconds,
    ministack,
    one_core,
    rounds,
    set_variables,
)

TITLE = "Reader: CPU a lookup"
SYNC, ASYNC = "kumo_serving Reader", "kumo_serving AsyncReader"
# (what, against, figure, at least this many times quicker)
TARGETS = [
    (SYNC, "boto3 client", "get", 5.0),
    (SYNC, "boto3 resource", "get", 5.0),
    (SYNC, "feast", "get", 8.0),
    (ASYNC, "aiobotocore", "get", 5.0),
    (ASYNC, "aiobotocore", "get_concurrent", 5.0),
    (SYNC, "boto3 client", "many", 10.0),
    (SYNC, "boto3 resource", "many", 10.0),
    (SYNC, "feast", "many", 10.0),
    (ASYNC, "aiobotocore", "many", 10.0),
    (ASYNC, "aiobotocore", "many_concurrent", 10.0),
    *((ASYNC, "aiodynamo", figure, 4.0) for figure in ("get", "get_concurrent", "many", "many_concurrent")),
]
# Peers whose targets were set for the loopback server alone.
LOOPBACK = {"aiodynamo"}
# A whole lookup against the sum of the parts that any reader has, each measured alone and so with warm caches.
FLOOR_TARGET = 2.0
COLUMNS = {
    "get": "get",
    "get_concurrent": "get, 50 at a time",
    "many": "get_many(100)",
    "many_concurrent": "get_many(100), 8 at a time",
}
SERVERS = {"loopback": fast, "sandbox": ministack}
NOTES = [
    "CPU of the client's process, user and system, us a call: median of the rounds, and half their range. Every peer "
    "returns the same five (product, score) pairs, decoded from the same stored text.",
    "loopback: a server small enough that the client is what is measured, on one core with it, so that no core falls "
    "asleep between a request and its answer. sandbox: MiniStack, on any core, which takes a millisecond and more for an "
    "answer: whoever waits for it is woken to cold caches, and that too is CPU, about the same 50 us for a quick client "
    "as for a slow one. aiobotocore, aiodynamo and Feast run in environments of their own (requirements/bench-*.lock).",
    "The reader signs with awscrt, decodes with msgspec, frames HTTP with httptools. Its transport is its own because of "
    "the last table: with aiohttp the round trip alone takes the better part of what the asynchronous target leaves for "
    "everything, and http.client has neither a pool nor a time limit for a whole exchange.",
]


def run(quick: bool) -> Result:
    """Measure; `quick` takes one short round, on the loopback server only."""
    set_variables()
    sys.path.insert(0, str(HERE))  # scripts that run beside each other import each other by plain names
    from peers import PEERS, fill

    seconds, count = (0.4, 1) if quick else (0.6, 7)
    result = Result(TITLE, notes=NOTES)
    for name, server in SERVERS.items():
        if quick and name != "loopback":
            continue
        parts = [*PEERS, FLOOR, *ALTERNATIVES] if name == "loopback" else list(PEERS)
        with one_core() if name == "loopback" else nullcontext(), server() as url:
            fill(url)
            found = rounds(url, parts, seconds, count)
        middle = {part: {key: statistics.median(each) for key, each in found[part].items()} for part in found}
        for ours, theirs, figure, least in TARGETS:
            ratio = middle[theirs][figure] / middle[ours][figure]
            label = f"{name}: {COLUMNS[figure]}, {theirs} / {ours}"
            target = least if name == "loopback" or theirs not in LOOPBACK else None
            result.figures.append(Figure(label, ratio, "x", target=target, sense="at least"))
        result.tables.append(peers(name, {part: found[part] for part in PEERS}))
        if name == "loopback":
            floors = over_the_floor(middle)
            for label, (*_, total, reader) in floors.items():
                result.figures.append(Figure(f"{label}: reader / floor", reader / total, "x", target=FLOOR_TARGET))
            result.tables += [floor(floors), transports(middle)]
    imported = import_milliseconds("kumo_serving.reader, kumo_serving.aio", 3 if quick else 15)
    result.figures.append(Figure("import of the reader, CPU beyond botocore's", imported, "ms", target=50.0))
    return result


def peers(server: str, found: Found) -> Table:
    rows = [[part, *(spread(figures.get(column, [])) for column in COLUMNS)] for part, figures in found.items()]
    return Table(f"CPU us a call, {server} server", ("", *COLUMNS.values()), rows)


def spread(values: list[float]) -> str:
    if not values:
        return ""
    return f"{statistics.median(values):,.0f} ± {(max(values) - min(values)) / 2:,.0f}"


def over_the_floor(middle: dict[str, dict[str, float]]) -> dict[str, tuple[float, ...]]:
    """label -> signing, round trip, decoding, their sum, and the reader's whole lookup: CPU us."""
    parts, found = middle[FLOOR], {}
    for label, figure, trip, reader in (
        ("get", "get", "round trip, get", middle[SYNC]["get"]),
        ("get_many(100)", "many", "round trip, many", middle[SYNC]["many"]),
        ("get, asyncio", "get", "round trip, async get", middle[ASYNC]["get"]),
        ("get, asyncio, 50 at a time", "get", "round trip, async get, concurrent", middle[ASYNC]["get_concurrent"]),
    ):
        sign, decode = parts[f"sign, {figure}"], parts[f"decode, {figure}"]
        total = sign + parts[trip] + decode
        found[label] = (sign, parts[trip], decode, total, reader)
    return found


def floor(floors: dict[str, tuple[float, ...]]) -> Table:
    """The parts that any reader has, and how near this one is to their sum."""
    rows = [
        [label, *(f"{cell:,.1f}" for cell in cells), f"{cells[-1] / cells[-2]:.1f}x"] for label, cells in floors.items()
    ]
    columns = ("", "sign", "round trip of bare bytes", "decode", "floor: their sum", "reader", "reader / floor")
    return Table("The floor: each part measured alone, CPU us", columns, rows)


def transports(middle: dict[str, dict[str, float]]) -> Table:
    rows = [
        [name.removeprefix("transport, "), f"{value:,.0f}"]
        for part in (FLOOR, *ALTERNATIVES)
        for name, value in middle[part].items()
        if name.startswith("transport, ")
    ]
    return Table("One exchange over each transport, signing and decoding left out, CPU us", ("transport", "us"), rows)
