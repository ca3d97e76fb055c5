"""Services that never stop asking, in a process of their own: `python -m kumo_sandbox.testing.watch QUERY POINTER READERS THREADS`.

Each reader notes when it first saw each release; threads look entities up through them and note everything that is not an
answer. Ends when stdin closes, and prints what it saw as one JSON line. Used by benchmarks of
propagation and by drills.
"""

from __future__ import annotations

import contextlib
import json
import logging
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

ENTITIES = ("1", "2", "3")


@dataclass
class Seen:
    """What one process of readers saw: (release, time.time() of the first sight) per reader, lookups, and what was wrong."""

    sights: list[list[tuple[str, float]]] = field(default_factory=list)
    lookups: int = 0
    wrong: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)


class Eye:
    """The metrics hook of one reader: when it saw a new pointer."""

    def __init__(self, sights: list[tuple[str, float]]) -> None:
        self.sights = sights

    def lookup(self, event: Any) -> None:
        pass

    def retry(self, reason: str) -> None:
        pass

    def pointer(self, event: Any) -> None:
        if event.outcome == "new":
            self.sights.append((event.release_id, time.time()))


def ask(readers: list[Any], seen: Seen) -> None:
    """Lookups until told to stop, some 50 a second a thread."""
    from kumo_serving import Answer

    count = 0
    while not seen.stop.is_set():
        try:
            found = random.choice(readers).get(random.choice(ENTITIES), budget_seconds=5.0)
            count += 1
            if not isinstance(found, Answer) or not found.predictions:
                seen.wrong.append(f"{type(found).__name__} from {found.release_id}")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what this looks for
            seen.wrong.append(f"{type(error).__name__}: {error}")
        time.sleep(0.02)
    seen.lookups += count


def main() -> None:
    from kumo_serving import Reader, open_pointer

    query, uri, count, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    # The driver tells of each attempt to reach a dead server; what readers saw of it is told at the end.
    logging.getLogger("kazoo").setLevel(logging.CRITICAL)
    seen = Seen(sights=[[] for _ in range(count)])
    readers = [
        Reader(query, pointer=open_pointer(uri), metrics=Eye(sights), cache_dir=tempfile.mkdtemp(), start_seconds=30.0)
        for sights in seen.sights
    ]
    asking = [threading.Thread(target=ask, args=(readers, seen)) for _ in range(threads)]
    for thread in asking:
        thread.start()
    print("ready", flush=True)
    sys.stdin.read()
    seen.stop.set()
    for thread in asking:
        thread.join()
    for reader in readers:
        reader.close()
    print(json.dumps({"sights": seen.sights, "lookups": seen.lookups, "wrong": seen.wrong}), flush=True)


@contextlib.contextmanager
def watching(query: str, uri: str, processes: int, readers: int, threads: int) -> Iterator[Seen]:
    """Readers in processes of their own until the block ends; then what all of them saw is in the value given."""
    command = [sys.executable, "-m", "kumo_sandbox.testing.watch", query, uri, str(readers), str(threads)]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(processes)
    ]
    whole = Seen()
    try:
        for process in started:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise RuntimeError("a process of readers did not start")
        yield whole
        for process in started:
            answer = json.loads(process.communicate(timeout=120)[0].splitlines()[-1])
            whole.sights += [[(release, at) for release, at in sights] for sights in answer["sights"]]
            whole.lookups += answer["lookups"]
            whole.wrong += answer["wrong"]
    finally:
        for process in started:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
