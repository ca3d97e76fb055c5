"""Memory over 1,000,000 lookups by each reader: flat. Done by `benchmarks/reader/memory`, a process each."""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks.figures import Figure, Result, Table
from benchmarks.reader.measure import HERE, fast, set_variables

TITLE = "Reader: memory"
ALLOWED_MB = 1.0
NOTES = [
    "Half of them get (half of those misses), half get_many(100). Resident memory, the last sample minus the second."
]


def run(quick: bool) -> Result:
    """1,000,000 lookups each; `quick`: 100,000."""
    set_variables()
    sys.path.insert(0, str(HERE))  # scripts that run beside each other import each other by plain names
    from peers import fill

    lookups = 100_000 if quick else 1_000_000
    result = Result(TITLE, notes=NOTES)
    rows = []
    with fast() as url:
        fill(url)
        for kind, name in (("sync", "Reader"), ("async", "AsyncReader")):
            command = [sys.executable, str(HERE / "memory.py"), kind, url, str(lookups)]
            taken = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=HERE).stdout)
            label = f"{name}: growth over {lookups:,} lookups"
            result.figures.append(Figure(label, taken[-1] - taken[1], "MB", target=ALLOWED_MB))
            rows.append([name, *(f"{value:.1f}" for value in taken)])
    columns = ("", *(f"{share}0%" for share in range(1, 11)))
    result.tables.append(Table("Resident MB along the way", columns, rows))
    return result
