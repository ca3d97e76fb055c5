"""What was read of objects that never change, and of others when they were read last. Which objects those are, and what is kept of them, is the caller's."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

MOST_CACHED = 4096


@dataclass
class ObjectCache:
    """Parsed objects that never change, by bucket and key; the least recently used are dropped. Threads may share it.
    `conditional` is False once the store has answered 304 without saying which write it means: then objects that may change
    are read whole.

    It belongs to an `ObjectStore`. Who makes one store after another over the same bucket (the promotion sensor: one for
    each tick) hands the same cache to each.
    """

    size: int = MOST_CACHED
    conditional: bool = True
    _values: dict[tuple[str, str], object] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def get(self, bucket: str, key: str) -> object | None:
        with self._lock:
            value = self._values.pop((bucket, key), None)
            if value is not None:
                self._values[bucket, key] = value
            return value

    def put(self, bucket: str, key: str, value: object) -> None:
        with self._lock:
            self._values[bucket, key] = value
            while len(self._values) > self.size:
                del self._values[next(iter(self._values))]
