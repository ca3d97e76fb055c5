"""Gate `keys`: Kumo's table has no null key and no key twice. The import would overwrite repeated keys in random order
and call it success. A pure judgement."""

from __future__ import annotations

from kumo_assets.gates.judgement import ABSOLUTE, Judgement


def judge_keys(rows: int, nulls: int, distinct: int) -> Judgement:
    """`nulls` are rows with a null in a key or score. `distinct` are distinct keys, rows without one counted among them:
    (ENTITY, CLASS), or ENTITY where one row per entity is written."""
    repeated = rows - distinct
    faults = []
    if not rows:
        faults.append("no rows")
    if nulls:
        faults.append(f"{nulls:,} rows with a null key or score")
    if repeated:
        faults.append(f"{repeated:,} repeated keys")
    message = " and ".join(faults) + f" among {rows:,} rows" if faults else f"{rows:,} rows, every key once, none null"
    return Judgement(
        "error" if faults else "ok",
        message,
        float(nulls + abs(repeated)),
        {"block": 0},
        ABSOLUTE,
        {"rows": rows, "null": nulls, "distinct": distinct, "repeated": repeated},
        bars={"rows": (None, float(rows)), "distinct keys": (None, float(distinct)), "null": (None, float(nulls))},
    )
