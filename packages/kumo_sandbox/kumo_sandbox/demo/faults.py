"""`--break KIND`: what goes wrong in Kumo for one day, as a person asks for it. The emulator does the breaking."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import httpx


@dataclass(frozen=True)
class Break:
    """A fault of the Kumo emulator, and what a real day of it would look like."""

    kind: str
    with_: dict[str, Any]
    story: str


BREAKS: dict[str, Break] = {
    "scores": Break("scores_shifted", {"times": 0.2, "add": 5}, "a retrained model puts every score elsewhere"),
    "users": Break("users_lost", {"fraction": 0.4}, "two in five households are missing from the predictions"),
    "dupes": Break("duplicated_rows", {"fraction": 0.1}, "one household in ten is written twice"),
    "warnings": Break(
        "job_warnings",
        {
            "warnings": [
                {
                    "title": "Data distribution shift",
                    "message": "Column TRANSACTIONS.SALES_VALUE differs from the training data (similarity 0.41).",
                }
            ]
        },
        "Kumo itself warns that a column no longer looks like the training data",
    ),
}


def inject(kumo_url: str, kind: str, query: str, day: date) -> str:
    """Set the fault for the jobs of one query's day; the fault's id, for `clear`."""
    fault = BREAKS[kind]
    answer = httpx.post(
        f"{kumo_url}/_sandbox/faults",
        json={
            "kind": fault.kind,
            "times": None,
            "query": query,
            "tags": {"kumo_assets.partition": day.isoformat()},
            "with": fault.with_,
        },
        timeout=10,
    )
    answer.raise_for_status()
    return str(answer.json()[0]["id"])


def clear(kumo_url: str, fault: str) -> None:
    """Take the fault back: the next demo meets an honest Kumo."""
    httpx.delete(f"{kumo_url}/_sandbox/faults/{fault}", timeout=10).raise_for_status()
