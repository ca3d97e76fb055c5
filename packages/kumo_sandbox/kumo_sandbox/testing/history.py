"""Years of releases from a formula: the stored objects of one release, and how they read on every other day.

What a query's bucket holds after three years is some thirty thousand objects, which nobody wants to make by running three
years. Nothing here knows what the documents mean; whoever has the one release to begin with gives it. Each release before
the last few is retired: its export is gone, and its two marks are there.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import Any

# Releases that are not retired yet.
LIVING = 4
HEX = "1a2b3c4d"


@dataclass(frozen=True)
class History:
    """`days` releases up to the one of `last`, which is active. `release` are the documents of that one release, by name in
    its folder, `pointer` is the document that names it; both are of the query `query`. `digest` makes a pointer's digest.
    """

    query: str
    last: date
    days: int
    release: Mapping[str, bytes]
    pointer: bytes
    digest: Callable[[Mapping[str, Any]], str]

    @cached_property
    def keys(self) -> dict[str, tuple[str, int, datetime]]:
        """Key below the query's folder -> (kind, how many days before the last, when it was written); in order of keys. The
        same for every query; `own` has the others."""
        found: dict[str, tuple[str, int, datetime]] = {}
        for age in range(self.days):
            folder = f"releases/{self.release_of(age)}/"
            for name in self.release:
                if age <= LIVING or not name.startswith("export/"):
                    found[folder + name] = (name, age, self._at(age))
            if age:
                found[self._entry(age, "promote", 0)] = ("promote", age, self._at(age))
            if age >= LIVING and age - LIVING > 0:
                retired = self._at(age - LIVING) + timedelta(hours=1)
                for name in ("retiring.json", "retired.json"):
                    found[folder + name] = (name, age, retired)
                found[self._entry(age - LIVING, "retire", 1)] = ("retire", age - LIVING, retired)
                found[self._entry(age - LIVING, "gone", 2)] = ("gone", age - LIVING, retired)
        return dict(sorted(found.items()))

    def release_of(self, age: int) -> str:
        return f"{self.last - timedelta(days=age):%Y%m%d}-{HEX}"

    def body(self, key: str, query: str) -> bytes:
        """The object, as it reads for this query."""
        kind, age, at = self.keys[key]
        if kind in ("promote", "retire", "gone"):
            return json.dumps(self._move(kind, age, query)).encode()
        if kind in ("retiring.json", "retired.json"):
            note = {"schema_version": 1, "query": query, "release_id": self.release_of(age), "at": _text(at)}
            return json.dumps(note | {"by": "dagster", "reason": "old"}).encode()
        data = self._moved(self.release[kind], age, query)
        if kind == "release.json":
            opened = hashlib.sha256(self._moved(self.release["opened.json"], age, query)).hexdigest()
            data = re.sub(rb'"opened": "[0-9a-f]{64}"', f'"opened": "{opened}"'.encode(), data)
        return data

    def own(self, query: str) -> dict[str, bytes]:
        """The pointer, and the ledger's entry of the move that led to it, which is named after the document."""
        document = json.loads(self._moved(self.pointer, 0, query))
        move = self._move("promote", 0, query)
        document |= {
            "generation": move["generation"],
            "move": move,
            "promoted": document["promoted"] | {"at": move["at"]},
        }
        stem = document["table"].removesuffix(document["release_id"])
        document["previous"] = [
            {"release_id": release, "partition": day.isoformat(), "table": stem + release, "fallback": None}
            for age in range(1, min(LIVING, self.days))
            for release, day in [(self.release_of(age), self.last - timedelta(days=age))]
        ]
        document["digest"] = self.digest(document)
        entry = f"ledger/{self._at(0):%Y%m%dT%H%M%S.%fZ}-{document['digest'][:8]}.json"
        return {"active.json": json.dumps(document).encode(), entry: json.dumps(move).encode()}

    def _moved(self, data: bytes, age: int, query: str) -> bytes:
        """The same text for another day and query."""
        day, then = self.last - timedelta(days=age), f"{self.last:%Y%m%d}-{HEX}"
        text = data.decode().replace(self.last.isoformat(), day.isoformat()).replace(then, self.release_of(age))
        upper, now = then.replace("-", "_").upper(), self.release_of(age).replace("-", "_").upper()
        text = text.replace(upper, now).replace(self.query.upper(), query.upper())
        return text.replace(self.query, query).encode()

    def _move(self, kind: str, age: int, query: str) -> dict[str, Any]:
        action = {"gone": "retire"}.get(kind, kind)
        ends = {
            "promote": (self.release_of(age + 1) if age + 1 < self.days else "", self.release_of(age)),
            "retire": (self.release_of(age), self.release_of(age)),
            "gone": (self.release_of(age + LIVING), ""),
        }
        generation = 0 if kind == "gone" else self._generation(age, kind)
        at = _text(self._at(age) + timedelta(hours=0 if kind == "promote" else 1))
        fields = {"at": at, "action": action, "by": "dagster", "reason": "", "run_id": "", "generation": generation}
        return {
            "schema_version": 1,
            "query": query,
            **fields,
            **dict(zip(("from_release", "to_release"), ends[kind], strict=True)),
        }

    def _generation(self, age: int, kind: str) -> int:
        """Each day has a promotion, and from the fifth on a retirement after it."""
        number = self.days - 1 - age
        return number + 1 + max(0, number - LIVING) + (kind == "retire" and number >= LIVING)

    @property
    def written(self) -> datetime:
        """When the pointer was moved last."""
        return self._at(0)

    def _at(self, age: int) -> datetime:
        return datetime.combine(self.last - timedelta(days=age - 1), time(6), UTC)

    def _entry(self, age: int, kind: str, second: int) -> str:
        at = self._at(age) + timedelta(hours=bool(second), seconds=second)
        return f"ledger/{at:%Y%m%dT%H%M%S.%fZ}-{self._mark(age, kind)}.json"

    def _mark(self, age: int, kind: str) -> str:
        return hashlib.sha256(f"{age} {kind}".encode()).hexdigest()[:8]


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
