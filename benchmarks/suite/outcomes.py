"""Counting what five million served rows turned out to be worth, against one hand-written join with the same events."""

from __future__ import annotations

import json
import statistics

from benchmarks.figures import Figure, Result, Table

TITLE = "Outcomes: what was served against what happened"
ENTITIES, EVENTS = 1_000_000, 50_000_000
QUICK_ENTITIES, QUICK_EVENTS = 100_000, 5_000_000


def run(quick: bool) -> Result:
    """Measure; `quick` takes a tenth of the rows."""
    from benchmarks.parts.sandbox import program, sandbox

    entities, events = (QUICK_ENTITIES, QUICK_EVENTS) if quick else (ENTITIES, EVENTS)
    with sandbox() as (handle, _):
        found = json.loads(program(handle, "outcomes_run", str(entities), str(events), "2" if quick else "3"))
    # A pair a round, so that a busy moment of the machine weighs on both.
    ratio = statistics.median(a / b for a, b in zip(found["ours"], found["by_hand"], strict=True))
    grown = found["peak_mb"] - found["idle_mb"]
    figures = [
        Figure(f"{5 * entities:,} served rows, {events:,} events: against one hand-written join", ratio, "x", 2.0),
        Figure("memory growth of the process that counts", grown, "MB", 60.0),
    ]
    rows = [
        ["one hand-written join: hits of the lists", f"{statistics.median(found['by_hand']):.2f}"],
        ["all figures of the release and both rivals", f"{statistics.median(found['ours']):.2f}"],
    ]
    notes = [
        f"{found['statements']} statements: five figures of the release, its fallback list and the release before, paired "
        "differences and standard errors, and the share of the catalogue shown.",
        "The warehouse is the sandbox's (DuckDB behind Snowflake's connector).",
    ]
    return Result(TITLE, figures, [Table("seconds", ("what", "seconds"), rows)], notes)
