"""What contexts made one after another need not ask the outside systems again.

Every context has a cache; by default one of its own. A process that makes many contexts keeps one cache and hands it to
each: the promotion sensor for as long as its code server lives, a run for the run, a command over all queries for the
command. Nothing here is global to a process.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from kumo_assets.pointers.zookeeper_sessions import ZooKeeperSessions
from kumo_assets.resources.aws import Sessions
from kumo_assets.resources.object_cache import ObjectCache


@dataclass
class Inspections:
    """What earlier looks for stray and damaged objects found: when each good object was written, by key, which keys are of
    damaged ones, and when each query was looked at last, with what was found. `old` is, by query, when its old objects are
    to be looked at next, and what was found of them."""

    good: dict[str, datetime] = field(default_factory=dict)
    bad: set[str] = field(default_factory=set)
    last: dict[str, tuple[datetime, list[str]]] = field(default_factory=dict)
    old: dict[str, tuple[datetime, dict[str, str]]] = field(default_factory=dict)


@dataclass
class ReleaseCache:
    """`objects` are parsed write-once objects; `sessions` are AWS sessions with self-refreshing credentials. `recorded` is,
    by pointer address, which stored document (`stored_mark`) the ledger was last seen to know, and `faults` for which one
    its history was last looked through, and what was wrong with it. `inspections` are what looks for stray and damaged
    objects found (`releases.inspection`). `zookeeper` are sessions that every context uses and none closes; without it each
    opens its own."""

    objects: ObjectCache = field(default_factory=ObjectCache)
    zookeeper: ZooKeeperSessions | None = None
    sessions: Sessions = field(default_factory=Sessions)
    recorded: dict[str, str] = field(default_factory=dict)
    inspections: Inspections = field(default_factory=Inspections)
    faults: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
