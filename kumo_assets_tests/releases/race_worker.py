"""One process of a race: threads that promote the same releases, in the same order, at the same time. `test_race` runs it.

    python race_worker.py STORE ZOOKEEPER QUERY THREADS GATE RELEASE...

Starts when the file GATE exists. Prints one JSON line: what this process won, and what it was told when it lost.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from kumo_sandbox.testing.releases import shop

from kumo_assets.errors import Refused, ReleaseError
from kumo_assets.releases.operations.promote import promote


def main() -> None:
    store, zookeeper, query, threads, gate, *releases = sys.argv[1:]
    contexts = [shop(store, zookeeper, query).ctx for _ in range(int(threads))]
    for ctx in contexts:
        ctx.pointers.peek()  # connect before the start
    won: list[tuple[int, str]] = []
    lost: Counter[str] = Counter()
    slow: list[str] = []
    wrong: list[str] = []

    def run(number: int) -> None:
        for release in releases:
            try:
                done = promote(contexts[number], release, by=f"racer {number}")
                if done.moved:
                    won.append((done.pointer.generation, done.pointer.release_id))
                else:
                    lost["active already"] += 1
            except Refused as error:
                lost[type(error).__name__] += 1
            except ReleaseError as error:  # S3 or DynamoDB did not answer in time; nothing moved
                slow.append(str(error))
            except Exception as error:  # noqa: BLE001 - whatever else it is, the race is what it is told to
                wrong.append(f"{type(error).__name__}: {error}")

    print("ready", flush=True)
    while not Path(gate).exists():
        time.sleep(0.005)
    runners = [threading.Thread(target=run, args=(number,)) for number in range(int(threads))]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    print(json.dumps({"won": won, "lost": lost, "slow": slow, "wrong": wrong}), flush=True)
    for ctx in contexts:
        ctx.close()


if __name__ == "__main__":
    main()
