"""The root of the project's one exception tree, and the branches a reader can raise.

Everything that `kumo_assets` raises on purpose descends from `KumoAssetsError`; the branches of the pipeline live in
`kumo_assets.errors`. An error says what was being done, to what, what was found, and what to do next.
"""

from __future__ import annotations


class KumoAssetsError(Exception):
    """Something this project was doing could not be done.

    `doing` is a verb phrase ("read the active pointer"), `to` what it was done to, `found` what was found instead,
    `next` what a person can do about it. `exit_status` is what a command line ends with.
    """

    exit_status: int = 1

    def __init__(self, doing: str, *, to: str = "", found: str = "", next: str = "") -> None:
        self.doing = doing
        self.to = to
        self.found = found
        self.next = next
        super().__init__(str(self))

    def __str__(self) -> str:
        text = f"Could not {self.doing}"
        if self.to:
            text += f" {self.to}"
        if self.found:
            text += f": {self.found.rstrip('.')}"
        text += "."
        if self.next:
            text += f" Next: {self.next.rstrip('.')}."
        return text

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only fields do not survive the default pickling of exceptions (multiprocess executors pickle them).
        return (_rebuild, (type(self), self.doing, self.to, self.found, self.next))


def _rebuild(kind: type[KumoAssetsError], doing: str, to: str, found: str, next: str) -> KumoAssetsError:
    return kind(doing, to=to, found=found, next=next)


class PointerError(KumoAssetsError):
    """The active pointer could not be read, or is not one this reader may follow."""


class PointerMissing(PointerError):
    """No pointer has been written for this query yet."""


class PointerMalformed(PointerError):
    """The pointer's bytes are not a pointer document of a known schema, or belong to another query."""


class ReadError(KumoAssetsError):
    """A lookup got no answer. Never raised for an entity that simply has no predictions: that is a miss."""


class Throttled(ReadError):
    """DynamoDB refused for load, and the time budget ended before a retry got through."""


class TimedOut(ReadError):
    """The call's time budget ended."""


class NotServed(ReadError):
    """A release was asked for by name that the pointer names neither as active, nor as staged, nor as previous."""


class TableGone(ReadError):
    """The table named by the pointer does not exist or is being deleted, and neither does any it may fall back to."""


class Unavailable(ReadError):
    """DynamoDB could not be reached or answered with an error."""


class ItemMalformed(ReadError):
    """An item is there, but its `p` is not of the format the pointer names. Not a miss, and no retry would help."""
