"""`python -m kumo_assets_tests.resources.kumo.fault_table` writes docs/kumo_faults.md: each fault driven and measured.

The client's own pauses are whole here (the tests run them at a tenth). What must come of each fault is in `faults.py`,
and a row that comes out otherwise is not written but raised. A sandbox of its own is started and stopped.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from kumo_sandbox.testing import start_sandbox

from kumo_assets_tests.resources.kumo.faults import FAULTS, PROVED, Fault, Outcome, run
from kumo_assets_tests.resources.kumo.world import POLL, running_world

DOCUMENT = Path(__file__).parents[3] / "docs" / "kumo_faults.md"
HEAD = f"""# Faults of Kumo's API, and what comes of them

Every fault that the API's contract lists, put into the emulator and driven over real HTTP: by the client as the
`predictions` asset uses it, with a launch, a wait, and the proof of the table in Snowflake. Written by
`python -m kumo_assets_tests.resources.kumo.fault_table`; `test_faults.py` drives every row again and holds this page to it.

- *outcome*: predictions whose table is proved, or the error a person sees (its class; the words are in quotation marks).
- *jobs*: prediction jobs on the server afterwards. Never two for one attempt of a release; a job that failed is followed
  by the next attempt, under a new table.
- *time*: seconds until the caller knew, in the last execution. Here a job takes half a second, polls are
  {POLL.first_seconds:g} to {POLL.max_seconds:g} s apart and an answer is waited for 2 s; in production polls are 10 to
  60 s apart and an answer is waited for 30 s. Pauses between retries and looks for a lost launch are as in production.

| fault | outcome | jobs | time |
|---|---|---|---|
"""


def row(fault: Fault, seconds: str) -> str:
    """One row of the table; `seconds` as it is written."""
    words = f', "{fault.says}"' if fault.says and fault.outcome != PROVED else ""
    again = f" ({fault.runs} executions)" if fault.runs > 1 else ""
    outcome = fault.outcome if fault.outcome == PROVED else f"`{fault.outcome}`"
    return f"| {fault.name}{again} | {outcome}{words} | {fault.jobs} | {seconds} |"


def check(fault: Fault, found: Outcome) -> None:
    """Raises AssertionError when a row comes out otherwise than the table says."""
    assert (found.outcome, found.jobs) == (fault.outcome, fault.jobs), f"{fault.name}: {found}"
    assert fault.says in found.text, f"{fault.name}: {found.text}"


def main() -> None:
    rows = []
    with tempfile.TemporaryDirectory(prefix="kumo-faults-") as home:
        sandbox = start_sandbox(Path(home) / "sandbox")
        try:
            with running_world(sandbox.env, Path(home), haste=1) as world:
                run(FAULTS[0], world, Path(home))  # the first job of all pays for imports
                for fault in FAULTS:
                    found = run(fault, world, Path(home))
                    check(fault, found)
                    rows.append(row(fault, f"{found.seconds:.1f} s"))
                    print(rows[-1], file=sys.stderr, flush=True)
        finally:
            sandbox.stop()
    DOCUMENT.write_text(HEAD + "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
