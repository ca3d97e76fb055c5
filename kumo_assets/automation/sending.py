"""Alarms are sent here, after everything is decided, within a small time of each tick.

An alarm counts as sent only once the chat has taken it (2xx). Others are tried at later ticks, the urgent first and then
the oldest, and wait in the outbox on S3 meanwhile, where `status` shows them. A chat that swallows packets costs a tick
this time and nothing more.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kumo_serving.errors import KumoAssetsError

from kumo_assets.automation.notifications import Alarm
from kumo_assets.releases.outbox import Outbox, UnsentAlarm
from kumo_assets.resources.webhook import has_address, notify

_log = logging.getLogger(__name__)

# What a tick gives to sending: the chat, and then the outbox.
SEND_SECONDS = 5.0
TICK_SECONDS = 8.0

# Who answers for a service must know of these before anything else: what is live is not what was judged, or nothing new
# can go live.
URGENT = ("hand_edit", "copy_edit", "damaged", "deleted", "blocked")
SERIOUS = ("no_release", "cannot_look", "ledger")


@dataclass(frozen=True)
class Pending:
    """An alarm of a query that was not sent yet, since when it lasts (UTC), and whether it was tried before."""

    query: str
    alarm: Alarm
    since: str
    again: bool = False

    @property
    def name(self) -> tuple[str, str]:
        return (self.query, self.alarm.key)

    @property
    def order(self) -> tuple[int, str]:
        kind = self.alarm.kind
        return (0 if kind in URGENT else 1 if kind in SERIOUS else 2, self.since)


class Sender:
    """Sends what is pending, in a thread of its own: whatever a resolver or a chat does, `send` returns in time. It lives
    as long as its sensor, so that what a late thread still sent is known at the next tick."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sent: set[tuple[str, str]] = set()
        self._thread: threading.Thread | None = None

    def send(
        self,
        pending: Sequence[Pending],
        outbox: Outbox | None,
        lasting: Mapping[str, frozenset[str] | None],
        seconds: float | None = None,
    ) -> set[tuple[str, str]]:
        """(query, key) of each alarm that a chat has taken. `lasting` are the keys of what lasts, by query, None for one
        that was not looked at to the end. What the sensor left in the outbox and no longer lasts is forgotten. Queries
        that are not named are another code location's.

        Without a webhook everything counts as sent: the log has it. Never raises.
        """
        if not has_address():
            for item in pending:
                notify(item.query, item.alarm.kind, item.alarm.title, item.alarm.lines)
            return {item.name for item in pending}
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(
                target=self._work, args=(list(pending), outbox, lasting), name="kumo_assets-alarms", daemon=True
            )
            self._thread.start()
        self._thread.join(TICK_SECONDS if seconds is None else seconds)
        with self._lock:
            sent, self._sent = self._sent, set()
        return sent

    def _work(
        self, pending: list[Pending], outbox: Outbox | None, lasting: Mapping[str, frozenset[str] | None]
    ) -> None:
        until = time.monotonic() + SEND_SECONDS
        kept: dict[tuple[str, str], str] = {}
        over: list[str] = []
        known = {item.name for item in pending}
        try:
            for found in outbox.kept() if outbox is not None else ():
                left = found.alarm
                if left.query not in lasting:
                    continue
                lasts = lasting[left.query]
                if left.by == "sensor" and lasts is not None and left.key not in lasts:
                    over.append(found.object_key)
                    continue
                kept[left.query, left.key] = found.object_key
                if (left.query, left.key) not in known:
                    alarm = Alarm(left.key, left.kind, left.title, left.lines)
                    pending.append(Pending(left.query, alarm, left.since, again=True))
        except KumoAssetsError as error:
            _log.warning("Alarms that could not be sent earlier were not read: %s", error)
        taken = [item for item in sorted(pending, key=lambda item: item.order) if self._try(item, until)]
        if outbox is None:
            return
        gone = {item.name for item in taken}
        try:
            outbox.sent([*over, *(key for name, key in kept.items() if name in gone)])
            for item in pending:
                if item.name not in gone and item.name not in kept:
                    outbox.keep(_unsent(item))
        except KumoAssetsError as error:
            _log.warning("What could not be sent was not written down: %s", error)

    def _try(self, item: Pending, until: float) -> bool:
        left = until - time.monotonic()
        if left <= 0 or not _notify(item, left):
            return False
        with self._lock:
            self._sent.add(item.name)
        return True


def _notify(item: Pending, seconds: float) -> bool:
    alarm = item.alarm
    return notify(item.query, alarm.kind, alarm.title, alarm.lines, seconds=seconds, again=item.again)


def _unsent(item: Pending) -> UnsentAlarm:
    alarm = item.alarm
    return UnsentAlarm(
        query=item.query,
        key=alarm.key,
        kind=alarm.kind,
        title=alarm.title,
        lines=alarm.lines,
        since=item.since,
        by="sensor",
    )
