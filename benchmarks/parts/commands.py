"""What an operator types, as whole processes against the sandbox. Prints JSON with the median seconds of each.

python -m benchmarks.parts.commands ROUNDS
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

QUERY = "next_best_product"
FLOOR = "from kumo_assets.resources.aws import s3_client; s3_client()"
NAMES = ("status", "lookup", "rollback")


def main() -> None:
    from kumo_sandbox.testing.releases import shop

    from kumo_assets.config.environment import Environment
    from kumo_assets.releases.operations.hold import preview_unhold, unhold
    from kumo_assets.releases.operations.promote import promote

    made = shop(query=QUERY, environment=Environment.from_variables())
    promote(made.ctx, made.build("2017-11-01"), by="bench")
    took: dict[str, list[float]] = {name: [] for name in (*NAMES, "floor")}
    for day in range(int(sys.argv[1])):
        promote(made.ctx, made.build(f"2017-11-{2 + day:02d}"), by="bench")
        arguments = {"status": [], "lookup": ["1"], "rollback": ["--reason", "a drill"]}
        for name in NAMES:
            took[name].append(_seconds("-m", "kumo_assets.cli.main", name, QUERY, *arguments[name], "--json"))
        took["floor"].append(_seconds("-c", FLOOR))
        unhold(made.ctx, preview_unhold(made.ctx), by="bench")
    print(json.dumps({"names": NAMES} | {name: statistics.median(seconds) for name, seconds in took.items()}))


def _seconds(*arguments: str) -> float:
    started = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    took = time.perf_counter() - started
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
    return took


if __name__ == "__main__":
    main()
