"""The chain against a plain script: the same outside calls made directly, without Dagster, gates or release objects.

Time beyond the script once processes are up, outside calls of each kind side by side, and memory over an idle Dagster
process, at 10,000 and 1,000,000 entities. The programs are `parts/chain` and `parts/plain_script`.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, Result, Table

TITLE = "Pipeline: the chain against a plain script"
SIZES = (10_000, 1_000_000)
MOST_SECONDS, MOST_MB = 3.0, 60.0
FIRST_DAY, DAYS = "2017-11-24", ("2017-11-25", "2017-11-26", "2017-11-27", "2017-11-28", "2017-11-29")
POLLS = {"first_seconds": 0.2, "max_seconds": 0.5, "deadline_minutes": 60}


def run(quick: bool) -> Result:
    """Measure. `quick` is 10,000 entities, once; else five rounds at each size."""
    from benchmarks.parts.sandbox import sandbox

    figures: list[Figure] = []
    tables: list[Table] = []
    for size in SIZES[:1] if quick else SIZES:
        with sandbox() as (handle, home):
            rounds = _measure(handle, home, size, DAYS[: 1 if quick else len(DAYS)])
        figures += _figures(size, rounds)
        tables += _tables(size, rounds)
    return Result(TITLE, figures, tables, NOTES)


def _measure(handle: Any, home: Path, size: int, days: Sequence[str]) -> list[dict[str, dict[str, Any]]]:
    """One {plain, chain} a day, in turns; the first day, which has no release before it, is not counted."""
    import httpx

    from benchmarks.parts.many_queries import PACKAGE, write_queries
    from benchmarks.parts.sandbox import ROOT, make_logs, program

    make_logs(handle, size)
    query = {"task": "temporal_link_prediction", "item": "PRODUCT_ID", "recommender": "repeat"}
    httpx.put(handle.url["kumo"] + "/_sandbox/queries/bench", json=query, trust_env=False).raise_for_status()
    project = home / "project"
    write_queries(project, ["bench"], _change)
    (project / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())

    def chain(day: str) -> dict[str, Any]:
        return json.loads(
            program(
                handle, "chain", PACKAGE, "bench", day, paths=(str(project),), folder=project, DAGSTER_HOME=str(project)
            )
        )

    def plain(day: str) -> dict[str, Any]:
        return json.loads(program(handle, "plain_script", day, "plain"))

    chain(FIRST_DAY)
    rounds = []
    for number, day in enumerate(days):
        pair = {
            name: measure(day) for name, measure in (("plain", plain), ("chain", chain))[:: 1 if number % 2 else -1]
        }
        rounds.append(pair)
    return rounds


def _change(attributes: dict[str, Any]) -> None:
    """The shipped query, five candidates an entity, with the plain script's pauses."""
    attributes["source"]["kumo"] |= {"predictive_query_id": "bench", "classes_per_entity": 5, "poll": POLLS}
    attributes["table"] = {"sample": 20, "poll_seconds": POLLS["max_seconds"]}


def _figures(size: int, rounds: list[dict[str, dict[str, Any]]]) -> list[Figure]:
    def middle(measure: Any) -> float:
        return statistics.median(measure(pair["chain"], pair["plain"]) for pair in rounds)

    name = f"{size:,} entities"
    return [
        Figure(
            f"{name}: time beyond the plain script", middle(lambda c, p: c["seconds"] - p["seconds"]), "s", MOST_SECONDS
        ),
        Figure(f"{name}: of it waiting for more outside calls", middle(lambda c, p: _outside(c) - _outside(p)), "s"),
        Figure(f"{name}: of it processor time of our process", middle(lambda c, p: c["cpu"] - p["cpu"]), "s"),
        Figure(f"{name}: plain script", middle(lambda c, p: p["seconds"]), "s"),
        Figure(f"{name}: chain", middle(lambda c, p: c["seconds"]), "s"),
        Figure(
            f"{name}: memory over an idle Dagster process",
            middle(lambda c, p: c["peak_mb"] - c["idle_mb"]),
            "MB",
            MOST_MB,
        ),
    ]


def _outside(found: dict[str, Any]) -> float:
    return float(sum(found["outside"].values()))


def _tables(size: int, rounds: list[dict[str, dict[str, Any]]]) -> list[Table]:
    chain, plain = rounds[-1]["chain"], rounds[-1]["plain"]
    kinds = sorted(chain["calls"].keys() | plain["calls"].keys())
    rows = [
        [
            kind,
            str(plain["calls"].get(kind, 0)),
            str(chain["calls"].get(kind, 0)),
            f"{plain['outside'].get(kind, 0):.2f}",
            f"{chain['outside'].get(kind, 0):.2f}",
        ]
        for kind in kinds
    ]
    return [
        Table(
            f"ReleaseContext calls of one day, {size:,} entities",
            ("call", "plain", "chain", "plain, seconds", "chain, seconds"),
            rows,
        )
    ]


NOTES = [
    "Against the sandbox on the same machine: its servers compete for the same cores, so a call costs more than on a "
    "machine of its own and less than over a network.",
    "A day's build and its promotion in one process. Snowflake SELECTs beyond the plain script are the gates' and the "
    "proofs'; S3 calls beyond it are the release's objects and verdicts. Polls differ by chance with the servers' pace.",
    "The day before was built and promoted first, so that gates have a baseline to compare with. Median of five rounds: an "
    "import of 1,000,000 items is polled each half second, and takes the sandbox half a minute, a second more or less.",
]
