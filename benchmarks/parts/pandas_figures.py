"""The same figures the pandas way: pull both days' tables into frames and compute. Prints JSON; optionally keeps frames.

python -m benchmarks.parts.pandas_figures [FOLDER]
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from benchmarks.machine import peak_mb, reset_peak, resident_mb
from benchmarks.parts.prediction_tables import name


def main() -> None:
    import numpy as np
    import pandas as pd
    from kumo_sandbox.snowflake.client import connect

    connection = connect(os.environ)
    idle = resident_mb()
    reset_peak()
    started = time.perf_counter()
    frames = {}
    for day in ("OLD", "NEW"):
        cursor = connection.cursor()
        cursor.execute(f"SELECT ENTITY, CLASS, SCORE, RANK FROM {name(f'S_{day}')}")  # noqa: S608 - our own name
        frames[day] = cursor.fetch_pandas_all()
    pulled = time.perf_counter()
    old, new = frames["OLD"], frames["NEW"]
    edges = np.quantile(old["SCORE"], np.arange(1, 10) / 10)
    histograms = [np.bincount(np.searchsorted(edges, frame["SCORE"]), minlength=10) for frame in (old, new)]
    shares = [histogram / histogram.sum() for histogram in histograms]
    psi = float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())
    keys = len(new[["ENTITY", "CLASS"]].drop_duplicates())
    entities = new["ENTITY"].nunique()
    nulls = int(new.isna().any(axis=1).sum())
    lists = new.groupby("ENTITY").agg(length=("RANK", "size"), first=("RANK", "min"), last=("RANK", "max"))
    ordered = new.sort_values(["ENTITY", "RANK"])
    rises = int(((ordered["SCORE"].diff() > 0) & (ordered["ENTITY"].diff() == 0)).sum())
    classes = [frame["CLASS"].value_counts(normalize=True) for frame in (old, new)]
    variation = float(classes[1].sub(classes[0], fill_value=0).abs().sum() / 2)
    first = float(new.loc[new["RANK"] == 1, "CLASS"].value_counts(normalize=True).iloc[0])
    lost = int((~pd.Series(old["ENTITY"].unique()).isin(new["ENTITY"].unique())).sum())
    shared = len(old[["ENTITY", "CLASS"]].merge(new[["ENTITY", "CLASS"]], on=["ENTITY", "CLASS"]))
    done = time.perf_counter()
    figures = {
        "psi": psi,
        "keys": keys,
        "entities": entities,
        "nulls": nulls,
        "short": int((lists["length"] < 5).sum()),
        "rises": rises,
        "variation": variation,
        "first": first,
        "lost": lost,
        "shared": shared,
    }
    memory = peak_mb() - idle
    if len(sys.argv) > 1:
        for day, frame in frames.items():
            frame.to_parquet(Path(sys.argv[1]) / f"{day}.parquet")
    print(json.dumps({"seconds": done - started, "pull": pulled - started, "grown_mb": memory, "figures": figures}))


if __name__ == "__main__":
    main()
