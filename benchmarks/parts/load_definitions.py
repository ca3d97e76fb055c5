"""One fresh process: import the libraries, then load the definitions of a project. Prints JSON with the seconds of each.

    python -m benchmarks.parts.load_definitions PACKAGE [LIBRARIES.json]

PACKAGE.definitions has `defs`. Without LIBRARIES the names of all third-party modules that the load imports are printed,
to be imported first by the next process: what is left is this project's own time.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

OURS = ("kumo_assets", "kumo_serving", "benchmarks", "__main__")


def load(package: str) -> Any:
    """Import, build and resolve, as a Dagster code server does."""
    found = importlib.import_module(f"{package}.definitions").defs
    repository = found().get_repository_def()
    # What the code server does before it answers: every job, sensor and schedule is resolved.
    repository.get_all_jobs()
    return repository


def main() -> None:
    package = sys.argv[1]
    if len(sys.argv) == 2:
        load(package)
        own = (*OURS, package)
        print(json.dumps([name for name in list(sys.modules) if name.split(".")[0] not in own]))
        return
    started = time.perf_counter()
    for name in json.loads(Path(sys.argv[2]).read_text()):
        with contextlib.suppress(Exception):  # some modules exist only as a side effect of others
            importlib.import_module(name)
    imported = time.perf_counter()
    repository = load(package)
    done = time.perf_counter()
    print(
        json.dumps(
            {
                "libraries": imported - started,
                "load": done - imported,
                "assets": len(list(repository.asset_graph.get_all_asset_keys())),
                "checks": len(list(repository.asset_graph.asset_check_keys)),
                "jobs": len(repository.get_all_jobs()),
            }
        )
    )


if __name__ == "__main__":
    main()
