"""False alarms and detection of the default gates: 1,000 resampled releases a cell, judged by the product's own code.

Writes docs/gates_power.md beside its result. How releases are made up is in `parts/population` and `parts/power`.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.figures import Figure, Result, Table

TITLE = "Gates: false alarms and detection"
SIZES = (200, 10_000, 1_000_000)
# 10,000 rows are 2,000 entities of five; the same with 10,000 entities.
DETECTION = (2_000, 10_000)
MOST_FALSE, LEAST_CAUGHT = 1.0, 99.0
PAGE = Path(__file__).parents[2] / "docs" / "gates_power.md"


def run(quick: bool) -> Result:
    """Measure; `quick` takes a tenth of the resamples."""
    from benchmarks.parts.population import LIST, make
    from benchmarks.parts.power import FAULTS, tally

    resamples = 100 if quick else 1000
    population = make(5_000 if quick else 20_000)
    figures, quiet, caught = [], [], []
    for n in SIZES:
        found = tally(population, n, resamples)
        figures.append(Figure(f"no drift, {n:,} entities: releases stopped", 100 * found.rate, "%", target=MOST_FALSE))
        quiet.append([f"{n:,}", f"{found.rate:.1%}", f"{found.warned / found.releases:.1%}", _gates(found.by_gate)])
    for fault, what in FAULTS.items():
        cells = []
        for n in DETECTION:
            found = tally(population, n, resamples, what)
            name = f"{fault}, {LIST * n:,} rows: stopped"
            figures.append(Figure(name, 100 * found.rate, "%", target=LEAST_CAUGHT, sense="at least"))
            cells.append(f"{found.rate:.1%}")
        caught.append([fault, *cells, _gates(found.by_gate)])
    tables = [
        Table(
            f"Without drift, {resamples:,} releases each: all default blocking gates together",
            ("entities", "releases stopped", "with a warning", "stopped by"),
            quiet,
        ),
        Table(
            f"With a fault, {resamples:,} releases each: releases stopped",
            ("fault", *(f"{n:,} entities" for n in DETECTION), "stopped by (of the larger)"),
            caught,
        ),
    ]
    result = Result(TITLE, figures, tables, [NOTE])
    if not quick:
        PAGE.write_text(page(result))
    return result


def _gates(counted: dict[str, int]) -> str:
    return ", ".join(f"{gate} {count}" for gate, count in sorted(counted.items())) or "none"


NOTE = (
    "Resampled by entity: five rows each, 70% of a score's variance is the entity's own level. Between two releases "
    "0.5% of entities leave, as many come, 30% of list entries change. Judged by `kumo_assets.gates` with defaults."
)


def page(result: Result) -> str:
    """docs/gates_power.md."""
    from benchmarks.report import grid

    parts = [PROSE]
    for table in result.tables:
        parts.append(f"## {table.title}\n\n{grid(list(table.columns), table.rows)}")
    return "\n\n".join([*parts, TAIL])


PROSE = """# How often the gates are wrong

A gate that stops a good release at 3 a.m. costs trust; one that lets a bad release through costs more. This page has
both rates for the default gates of a ranking query, with their default limits. `make bench ARGS="run power"` writes it
again.

Each release is a bootstrap of a made-up population, resampled *by entity*: five rows each, with the entity's own level
making up 70% of a score's variance, so that n is entities and not rows. The active release and the new one are two
resamples; between them 0.5% of entities leave, as many come, and 30% of list entries change. The counts that Snowflake
would return follow exactly from the resample, and the product's own functions judge them."""

TAIL = """## What follows

- A limit is the larger of the configured one and a noise floor (`kumo_assets/gates/statistics.py`): what chance alone
  exceeds once in a thousand releases. At 200 entities the floor of the score drift is a PSI of 0.28, above the
  configured 0.15: a small query is judged less sharply, not stopped at random.
- A shift of half a standard deviation has a PSI of 0.24. The customary block limit of 0.2 catches only 94% of them at
  2,000 entities; so the default is 0.15.
- Duplicated keys and lost users are counted, not estimated: they do not depend on n.
"""
