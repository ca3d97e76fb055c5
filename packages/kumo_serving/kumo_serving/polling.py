"""How many queries this process polls the pointers of. Each read has a price on S3, so `refresh` slows down when there
are several; what the prices are is in the README.
"""

from __future__ import annotations

import os
import threading


class Polled:
    """The addresses of the pointers that are polled now, by who polls them. Thread-safe."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Nobody polls: so it is in a forked child, which has no threads but one."""
        self._lock = threading.Lock()
        self._addresses: dict[object, str] = {}

    def begin(self, who: object, address: str) -> None:
        """`who` polls this address from now on."""
        with self._lock:
            self._addresses[who] = address

    def end(self, who: object) -> None:
        """`who` polls no longer."""
        with self._lock:
            self._addresses.pop(who, None)

    def several(self) -> bool:
        """True when more than one address is polled. Two readers of one query count as one."""
        with self._lock:
            return len(set(self._addresses.values())) > 1


polled = Polled()
os.register_at_fork(after_in_child=polled.clear)
