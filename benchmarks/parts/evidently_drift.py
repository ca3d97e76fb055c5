"""Evidently's drift preset over two frames, in Evidently's own environment: run by its Python, imports nothing of ours.

    .venv-bench/evidently/bin/python evidently_drift.py FOLDER

FOLDER holds OLD.parquet and NEW.parquet. Only the preset is timed, not reading the files. Prints JSON.
"""

import json
import resource
import sys
import time
from pathlib import Path


def main() -> None:
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    folder = Path(sys.argv[1])
    old, new = (
        pd.read_parquet(folder / f"{day}.parquet", columns=["CLASS", "SCORE"]).astype({"CLASS": "str"})
        for day in ("OLD", "NEW")
    )
    started = time.perf_counter()
    definition = DataDefinition(numerical_columns=["SCORE"], categorical_columns=["CLASS"])
    reference, current = (Dataset.from_pandas(frame, data_definition=definition) for frame in (old, new))
    found = Report([DataDriftPreset(method="psi")]).run(current, reference)
    found.dict()
    seconds = time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak_mb": memory, "rows": len(new)}))


if __name__ == "__main__":
    main()
