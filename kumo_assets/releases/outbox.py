"""Alarms that could not be sent, one object each on S3: whoever could not send one leaves it here, the promotion sensor
tries again, and `status` shows it.

An object is written under the alarm's own name, so the same alarm of two ticks is one object. It is deleted once a chat
has taken the alarm. What is worth an alarm, and when one is over, is decided in `automation`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from kumo_assets.documents.base import Document
from kumo_assets.errors import ReleaseError
from kumo_assets.redaction import without_secrets
from kumo_assets.resources.s3_objects import Listed, ObjectStore

# Alarms of one environment that are read at once; the others follow when these are sent.
MOST_KEPT = 100


class UnsentAlarm(Document):
    """An alarm, and since when it could not be sent (UTC). `by` is "sensor" for one that ends when its cause does, "run"
    for the report of something that happened."""

    key: str
    kind: str
    title: str
    lines: tuple[str, ...] = ()
    since: str
    by: Literal["sensor", "run"] = "run"


@dataclass(frozen=True)
class Kept:
    """An alarm in the outbox, and its object's key."""

    object_key: str
    alarm: UnsentAlarm


class Outbox:
    """The outbox of one environment, in the bucket of its releases. Every method raises ObjectStoreError."""

    def __init__(self, objects: ObjectStore, environment: str) -> None:
        self.objects = objects
        self.prefix = f"{environment}/.alarms/"

    def keep(self, alarm: UnsentAlarm) -> None:
        """Write the alarm down, without secrets; one that is there already stays, with its time."""
        safe = alarm.model_copy(
            update={"title": without_secrets(alarm.title), "lines": tuple(map(without_secrets, alarm.lines))}
        )
        self.objects.create(self.key_of(alarm.query, alarm.key), safe.to_json())

    def key_of(self, query: str, key: str) -> str:
        """The object of an alarm. Its name is a digest, because a key may hold anything."""
        return f"{self.prefix}{query}/{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}.json"

    def kept(self, query: str | None = None) -> list[Kept]:
        """What could not be sent, oldest first and at most MOST_KEPT: of one query, or of the environment. An object that
        is no alarm is passed over."""
        listed = self.objects.list(f"{self.prefix}{query}/" if query is not None else self.prefix)
        oldest = sorted(listed, key=lambda item: item.modified)[:MOST_KEPT]
        return sorted(self._read(oldest), key=lambda item: (item.alarm.since, item.object_key))

    def sent(self, object_keys: list[str]) -> None:
        """Forget these."""
        if object_keys:
            self.objects.delete_many(object_keys)

    def _read(self, listed: Iterable[Listed]) -> Iterator[Kept]:
        for item in listed:
            stored = self.objects.get(item.key)
            with suppress(ReleaseError):
                if stored is not None:
                    yield Kept(item.key, UnsentAlarm.from_json(stored.data, self.objects.uri(item.key)))
