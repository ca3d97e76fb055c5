"""The ledger: one object per event, appended, never changed; it outlives Dagster's own storage.

Names start with the time, so a listing is the history in order. A move's name is made of the pointer document it
belongs to (its time and digest), so that whoever records it, the mover or whoever finds it unrecorded after a crash,
writes the same object, once. What else lies in the ledger, and an entry that cannot be read, are read past.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby

from kumo_assets.config.names import QueryNames
from kumo_assets.documents import LedgerEntry, ReadFor, validate
from kumo_assets.errors import DamagedDocument
from kumo_assets.resources.s3_objects import ObjectStore, Stored, describing

# Actions that wrote a new pointer document, and so have a generation of their own.
MOVES = ("promote", "force", "rollback", "hold", "unhold", "retire")
# Clocks of different machines may differ by this much; listings start so much earlier.
SKEW = timedelta(hours=1)
STAMP = "%Y%m%dT%H%M%S.%fZ"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAME = re.compile(r"[0-9]{8}T[0-9]{6}\.[0-9]{6}Z-[0-9a-f]{8}\.json")
NOT_RECORDED = "no move is lost by it; this entry is"
RECORDED_LATER = "what was done holds; the next command or sensor tick of this query records it"


def is_move(entry: LedgerEntry) -> bool:
    """True for what wrote a pointer document (a retirement does so once, and has an entry for each release too)."""
    return entry.action in MOVES and entry.generation > 0 and entry.accepts is None


def name_of(entry: LedgerEntry, mark: str) -> str:
    """The object's name under the ledger's prefix."""
    return f"{_stamp(datetime.fromisoformat(entry.at))}-{mark}.json"


def time_in(name: str) -> datetime:
    """The time in an entry's name; the epoch for a name of any other kind."""
    try:
        return datetime.strptime(name.partition("-")[0], STAMP).replace(tzinfo=UTC)
    except ValueError:
        return EPOCH


def is_entry(name: str) -> bool:
    """True for the name of an entry; whatever else lies in the ledger is foreign."""
    return _NAME.fullmatch(name) is not None and time_in(name) != EPOCH


@dataclass(frozen=True)
class Recorded:
    """An entry, and the name of its object, which orders it and says to which pointer document it belongs."""

    name: str
    entry: LedgerEntry


class Ledger:
    """History of one query. Raises ObjectStoreError when S3 does not answer."""

    def __init__(self, names: QueryNames, objects: ObjectStore) -> None:
        self.names = names
        self.objects = objects

    def append(self, entry: LedgerEntry, mark: str | None = None) -> None:
        """Write one entry. `mark` is that of the pointer document it belongs to; the same entry under it is written once,
        by us (a retry after a lost answer) or by whoever found it unrecorded."""
        key = self.names.ledger_prefix + name_of(entry, mark or secrets.token_hex(4))
        with describing("append to the ledger", RECORDED_LATER if mark is not None else NOT_RECORDED):
            self.objects.create_once(key, entry.to_json())

    def names_since(self, moment: datetime | None = None) -> list[str]:
        """Names of the entries from `moment` (less clock skew) on, oldest first; all without one. One listing."""
        return list(self.listed_since(moment))

    def listed_since(self, moment: datetime | None = None) -> dict[str, datetime]:
        """The same names, with the time S3 gives each: a mover's own clock may be wrong (fault 19)."""
        start = _stamp(moment - SKEW) if moment is not None and moment > EPOCH else ""
        prefix = self.names.ledger_prefix
        with describing("list the ledger", RECORDED_LATER):
            listed = self.objects.list(prefix, after=prefix + start if start else None)
            times = {item.key.removeprefix(prefix): item.modified for item in listed}
        return {name: at for name, at in times.items() if is_entry(name)}

    def newest_listed(self, count: int, last: datetime | None) -> dict[str, datetime]:
        """As `listed_since`, of a time that has the `count` newest entries, if there are so many: with three entries a day for
        years, a listing of all takes long. `last` is about when the newest was written; None lists all."""
        if last is not None:
            times = self.listed_since(last - timedelta(days=max(2, count // 2)))
            if len(times) >= count:
                return times
        return self.listed_since()

    def read(self, names: Sequence[str]) -> list[Recorded]:
        """These entries, in this order, read in parallel; those that are damaged or gone are left out. Entries never
        change, so each is read once."""
        with ThreadPoolExecutor(max_workers=16) as pool:
            return [recorded for recorded in pool.map(self._readable, names) if recorded is not None]

    def history(self, limit: int | None = None, last: datetime | None = None) -> list[LedgerEntry]:
        """Entries, newest first by S3's clock, at most `limit`. Of moves that S3 dates in one second, the generation says
        which was last; a writer's own clock only orders what nothing else does. `last` as in `newest_listed`."""
        times = self.newest_listed(limit, last) if limit is not None else self.listed_since()
        names = sorted(times, key=lambda name: (times[name], name), reverse=True)[:limit]
        found: list[LedgerEntry] = []
        for _, recorded in groupby(self.read(names), key=lambda recorded: times[recorded.name]):
            entries = [one.entry for one in recorded]
            moves = sorted(filter(is_move, entries), key=lambda entry: entry.generation)
            found += [moves.pop() if is_move(entry) else entry for entry in entries]
        return found

    def moves(self) -> list[LedgerEntry]:
        """Every move of the pointer, in order of generation."""
        entries = (recorded.entry for recorded in self.read(self.names_since()))
        return sorted(filter(is_move, entries), key=lambda entry: entry.generation)

    def entry(self, name: str) -> Recorded | None:
        """One entry; None when there is none of this name. DamagedDocument when it cannot be read."""
        key = self.names.ledger_prefix + name

        def parse(stored: Stored) -> Recorded:
            entry = LedgerEntry.from_json(stored.data, self.objects.uri(key))
            validate(entry, ReadFor(self.names), self.objects.uri(key))
            return Recorded(name, entry)

        with describing("read the ledger", RECORDED_LATER):
            return self.objects.get_once(key, parse)

    def _readable(self, name: str) -> Recorded | None:
        try:
            return self.entry(name)
        except DamagedDocument:
            return None


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime(STAMP)
