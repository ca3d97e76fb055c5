"""All gates of a ten-million-row release against one hand-written scan, against pandas, and against Evidently.

In one run on one machine: the tables are made once, each peer is a process of its own, the hand-written query is asked
between the gates' rounds. Evidently runs in an environment of its own.
"""

from __future__ import annotations

import json
import statistics
import subprocess
from pathlib import Path

from benchmarks.figures import Figure, Result, Table

TITLE = "Gates: counted in the warehouse"
ROWS, QUICK_ROWS = 10_000_000, 1_000_000


def run(quick: bool) -> Result:
    """Measure; `quick` takes 1,000,000 rows and no Evidently."""
    from kumo_sandbox.snowflake.client import connect

    from benchmarks.parts.prediction_tables import make_tables
    from benchmarks.parts.sandbox import program, sandbox

    rows = QUICK_ROWS if quick else ROWS
    with sandbox() as (handle, home):
        with connect(handle.env) as connection:
            make_tables(lambda sql: connection.cursor().execute(sql), rows)
        gates = json.loads(program(handle, "gates_run", "2" if quick else "3"))
        pandas = json.loads(program(handle, "pandas_figures", str(home)))
        evidently = None if quick else _evidently(home)
    ours, by_hand = (statistics.median(gates[name]) for name in ("gates", "by_hand"))
    # A pair a round, so that a busy moment of the machine weighs on both.
    ratio = statistics.median(a / b for a, b in zip(gates["gates"], gates["by_hand"], strict=True))
    figures = [
        Figure(f"all gates, {rows:,} rows: against one hand-written scan", ratio, "x", 2.0),
        Figure("pulling into pandas and computing, against all gates", pandas["seconds"] / ours, "x", 10.0, "at least"),
        Figure("memory growth of the gates", gates["peak_mb"] - gates["idle_mb"], "MB", 60.0),
    ]
    rows_of_table = [
        ["one hand-written aggregate, one scan", f"{by_hand:.2f}", ""],
        ["all gates", f"{ours:.2f}", f"{gates['peak_mb'] - gates['idle_mb']:.0f}"],
        *(
            [f"  of it {what}", f"{statistics.median(part[place] for part in gates['parts']):.2f}", ""]
            for place, what in enumerate(("predictions", "lists and classes", "against the active release"))
        ),
        ["pandas, pulled and computed", f"{pandas['seconds']:.2f}", f"{pandas['grown_mb']:.0f}"],
        ["  of it pulling", f"{pandas['pull']:.2f}", ""],
    ]
    if evidently is not None:
        figures.insert(
            2, Figure("Evidently's drift preset, against all gates", evidently["seconds"] / ours, "x", 10.0, "at least")
        )
        rows_of_table.append(
            [
                "Evidently's drift preset (PSI), frames at hand",
                f"{evidently['seconds']:.2f}",
                f"{evidently['peak_mb']:.0f}",
            ]
        )
    table = Table(f"{rows:,} rows, seconds and MB grown", ("what", "seconds", "MB"), rows_of_table)
    notes = [
        f"{gates['statements']} statements a release over its two tables and the active one's; judged: "
        + ", ".join(sorted(gates["verdicts"]))
        + ".",
        "The warehouse is the sandbox's (DuckDB behind Snowflake's connector) on the same cores as the peers.",
        "The hand-written query looks at Kumo's table alone; the gates also look at the table to be served and, in a "
        "sample of entities, at the active release's.",
    ]
    return Result(TITLE, figures, [table], notes)


def _evidently(folder: Path) -> dict[str, float]:
    from benchmarks.parts import evidently_drift
    from benchmarks.tools import python_of

    command = [python_of("evidently"), str(evidently_drift.__file__), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    if done.returncode != 0:
        raise SystemExit(f"Evidently failed:\n{done.stderr[-3000:]}")
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found
