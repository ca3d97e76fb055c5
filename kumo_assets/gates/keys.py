"""Gate `keys`: Kumo's table has no null key and no key twice. Duplicates would be overwritten by the import in random
order, and called success.
"""

from __future__ import annotations

from kumo_assets.gates.judgement import Judgement


def judge_keys(rows: int, nulls: int, distinct: int) -> Judgement:
    """`nulls` rows with a null in a key or score, `distinct` distinct keys: (ENTITY, CLASS), or ENTITY where one row per
    entity is written."""
    repeated = rows - nulls - distinct
    evidence = {"rows": rows, "null": nulls, "distinct": distinct, "repeated": repeated}
    faults = []
    if nulls:
        faults.append(f"{nulls:,} rows with a null key or score")
    if repeated > 0:
        faults.append(f"{repeated:,} repeated keys")
    if faults:
        return Judgement(
            "error",
            " and ".join(faults) + f" among {rows:,} rows",
            float(nulls + max(repeated, 0)),
            {"block": 0},
            {"kind": "absolute"},
            evidence,
        )
    return Judgement(
        "ok", f"{rows:,} rows, every key once, none null", 0.0, {"block": 0}, {"kind": "absolute"}, evidence
    )
