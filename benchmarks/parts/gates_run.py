"""All default gates of a release over its tables, in a process of its own. Prints JSON: seconds, memory, statements.

    python -m benchmarks.parts.gates_run ROUNDS

The counts of the day before are taken first, as the release before it would have stored them.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from types import SimpleNamespace
from typing import Any

from benchmarks.machine import peak_mb, reset_peak, resident_mb
from benchmarks.parts.prediction_tables import COLUMNS, by_hand, name


def main() -> None:
    rounds = int(sys.argv[1])
    from kumo_sandbox.snowflake.client import connect

    from benchmarks.parts.power import SPEC
    from kumo_assets.documents import NoticeDetails
    from kumo_assets.gates.baseline import Baseline, Baselines
    from kumo_assets.gates.bindings import bind
    from kumo_assets.gates.count_sql import count_continuity, count_lists, count_predictions

    connection = connect(os.environ)
    sent: list[str] = []

    def rows(sql: str) -> list[dict[str, Any]]:
        sent.append(sql)
        cursor = connection.cursor()
        cursor.execute(sql)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    before = {
        "predictions": count_predictions(rows, name("P_OLD"), COLUMNS, None),
        "postprocessed": count_lists(rows, name("S_OLD"), 5),
    }
    served: Any = SimpleNamespace(release_id="the day before")
    baselines = Baselines(active=served, main=Baseline("active", "the day before", before))
    gates = SPEC.gates.gates_of("ranking")
    asked = {gate: record["asset"] for gate, record in gates.items() if not gate.startswith("raw_")}
    rows(by_hand(before["predictions"]["edges"]))  # the files are in memory for all
    idle = resident_mb()
    reset_peak()
    ours, theirs, parts = [], [], []
    verdicts: dict[str, str] = {}
    for _ in range(rounds):
        started = time.perf_counter()
        rows(by_hand(before["predictions"]["edges"]))
        theirs.append(time.perf_counter() - started)
        sent.clear()
        marks = [time.perf_counter()]
        new: dict[str, Any] = {"predictions": count_predictions(rows, name("P_NEW"), COLUMNS, before["predictions"])}
        marks.append(time.perf_counter())
        new["postprocessed"] = count_lists(rows, name("S_NEW"), 5)
        marks.append(time.perf_counter())
        continuity = count_continuity(
            rows, name("S_NEW"), name("S_OLD"), lists=True, entities=new["predictions"]["entities"], alike=True
        )
        marks.append(time.perf_counter())
        new["postprocessed"]["continuity"] = continuity
        for asset, counts in new.items():
            found = bind(SPEC, NoticeDetails(), counts, baselines)
            verdicts |= {gate: found[gate]().severity for gate, where in asked.items() if where == asset}
        ours.append(time.perf_counter() - started - theirs[-1])
        parts.append([after - earlier for earlier, after in itertools.pairwise(marks)])
    print(
        json.dumps(
            {
                "gates": ours,
                "by_hand": theirs,
                "parts": parts,
                "statements": len(sent),
                "idle_mb": idle,
                "peak_mb": peak_mb(),
                "verdicts": verdicts,
            }
        )
    )


if __name__ == "__main__":
    main()
