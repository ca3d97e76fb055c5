"""One query looked at by one tick of the promotion sensor; and all queries, within the time a tick has.

An error of one query is a reason of that query's, never an end of the tick: a sensor that raises goes unnoticed, and
would stop the other queries too (Dagster #29625). What is worth an alarm is in `notifications`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from kumo_serving.errors import KumoAssetsError, PointerMalformed

from kumo_assets.automation.builds import FailedBuild, build_alarms
from kumo_assets.automation.notifications import (
    Alarm,
    alarms_of_pointer,
    alarms_of_releases,
    awaiting_approval,
    cannot_stage,
    damaged,
    strange_objects,
    unrecorded,
)
from kumo_assets.automation.pointer_events import news_since
from kumo_assets.config.load import QueryDefinition
from kumo_assets.errors import LostRace
from kumo_assets.pointers.store import VersionedPointer, stored_mark
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.decision import Decision
from kumo_assets.releases.operations.promote import next_promotion
from kumo_assets.releases.operations.reconcile import News
from kumo_assets.releases.operations.stage import keep_staged
from kumo_assets.releases.resource import ReleasesResource

# Dagster ends a tick after 60 s and forgets what it did (DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS). So long the queries are
# looked at; those whose turn has not come by then are the first at the next tick.
LOOK_SECONDS = 25.0
AT_ONCE = 16
# A query of which nothing has changed for so long, and whose bell has not rung, is looked at once in so long: each look is
# a read of its pointer and a listing of its releases, and S3 is paid by the request (docs/operations.md, "What the sensor asks").
QUIET_AFTER_SECONDS = 600.0
QUIET_LOOK_SECONDS = 60.0
BELL_SECONDS = 5.0
# The author of what is staged by itself.
STAGER = "promotion_sensor"


@dataclass(frozen=True)
class Before:
    """What an earlier tick left that looking needs: the ledger's cursor, the mark of the pointer it was read for, names
    of entries whose run was not over, alarms that were sent; and the last scheduled build, when it failed."""

    seen: str = ""
    mark: str = ""
    pending: Sequence[str] = ()
    told: Sequence[str] = ()
    failed_build: FailedBuild | None = None


@dataclass(frozen=True)
class View:
    """What one query looks like: the release to promote (None: `reason` says why not), the pointer and its address, what
    happened since the last tick, and what is wrong. `fault` says why it could not be looked at to the end; then `alarms`
    are those that could be judged. `skipped` is a query that was not looked at at all."""

    release: str | None
    reason: str
    found: VersionedPointer | None = None
    where: str = ""
    news: News | None = None
    alarms: Sequence[Alarm] = ()
    fault: str = ""
    skipped: bool = False

    @property
    def generation(self) -> int:
        return self.found.pointer.generation if self.found is not None else 0


def look(releases: ReleasesResource, definition: QueryDefinition, before: Before) -> View:
    """One query, as it is now. Never raises: age and hand edit are judged first, so that whatever fails after that hides
    none of them."""
    found: VersionedPointer | None = None
    where, seen, promotable = "", list[Alarm](), None
    try:
        with closing(releases.context(definition)) as ctx:
            where = ctx.pointers.uri
            now = datetime.now(UTC)
            try:
                found = ctx.pointers.read()
            except PointerMalformed as error:
                seen.append(damaged(definition.name, error))
                seen += build_alarms(ctx, before.failed_build, before.told)
                return View(None, str(error), where=where, alarms=seen)
            seen += alarms_of_pointer(definition, found, now)
            release, decision = next_promotion(ctx, found)
            promotable = release if decision.outcome == "promote" else None
            approval = list[Alarm]()
            if definition.spec.promotion == "manual":
                promotable = None
                found, decision, approval = _for_approval(ctx, found, release, decision)
            # Again, for the reason of what is stale is known now.
            seen = alarms_of_pointer(definition, found, now, decision.reason)
            seen += alarms_of_releases(ctx, definition, found, release, decision, now)
            seen += approval
            seen += build_alarms(ctx, before.failed_build, before.told)
            seen += strange_objects(ctx, now, found)
            reason = decision.reason
            heard: News | None = None
            try:
                heard = news_since(ctx, found, cursor=before.seen, mark=before.mark, pending=before.pending)
            except KumoAssetsError as error:
                # An error while reading its news does not stop its promotion.
                reason = f"{reason} ({error})"
                seen.append(unrecorded(definition.name, error))
            return View(promotable, reason, found, where, heard, seen)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one query stays that query's
        words = str(error) if isinstance(error, KumoAssetsError) else f"{type(error).__name__}: {error}"
        # What was decided before holds: an alarm that cannot be judged stops no promotion.
        return View(promotable, words, found, where, alarms=seen, fault=words)


@dataclass(frozen=True)
class _Seen:
    """A query's last look: what it saw and what was known before it, when it was (monotonic), and since when looks of it
    have seen the same."""

    view: View
    definition: QueryDefinition
    before: Before
    bell: datetime | None
    at: float
    since: float

    def holds(self, definition: QueryDefinition, before: Before, bell: datetime | None, now: float) -> bool:
        """Whether a look now may be left out. Nothing in the view waits for anything but a seal, or for a person."""
        quiet = now - self.since >= QUIET_AFTER_SECONDS and now - self.at < QUIET_LOOK_SECONDS
        same = (definition, before.failed_build, bell) == (self.definition, self.before.failed_build, self.bell)
        # A cursor that was reset in Dagster's UI has no mark, and its news are read anew.
        heard = before.mark == stored_mark(self.view.found) and not before.pending
        return quiet and same and heard and _calm(self.view)


def _calm(view: View) -> bool:
    """Whether nothing is wrong, nothing is to do, and a pointer of ours serves a release that nobody holds."""
    found = view.found
    return (
        found is not None
        and not (view.fault or view.alarms or view.release)
        and not (found.pointer.hold is not None or found.hand_edited)
    )


def _for_approval(
    ctx: ReleaseContext, found: VersionedPointer | None, release: str | None, decision: Decision
) -> tuple[VersionedPointer | None, Decision, list[Alarm]]:
    """Of a query that only a person promotes: the pointer once the newest release is staged, why nothing goes live by
    itself, and what a person should know. An error while staging is one of these."""
    seen: list[Alarm] = []
    if found is not None:
        try:
            found = keep_staged(ctx, found, by=STAGER)
        except LostRace:
            pass  # the next tick looks at what the other writer made of it
        except KumoAssetsError as error:
            seen.append(cannot_stage(ctx.query, error))
    promotable = release if decision.outcome == "promote" else None
    if promotable is not None:
        decision = Decision("wait", f"{promotable} waits for a person's approval", f"kumo-assets promote {ctx.query}")
    return found, decision, [*seen, *awaiting_approval(ctx.query, found, promotable)]


class Looks:
    """Looks at all queries, a few at once, within LOOK_SECONDS; and remembers whose turn it is. It lives as long as its
    sensor: a look that hangs is left behind, and its query not looked at again before it ends. `clock` is monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._busy: set[str] = set()
        self._begun: dict[str, float] = {}
        self._seen: dict[str, float] = {}
        self._last: dict[str, _Seen] = {}

    def at_all(
        self,
        releases: ReleasesResource,
        definitions: Sequence[QueryDefinition],
        before: Mapping[str, Before],
        seconds: float | None = None,
        ask_bells: Callable[[], Mapping[str, datetime] | None] = lambda: None,
    ) -> dict[str, View]:
        """The view of each query, by name. `ask_bells` says when each query's was rung (`releases.bell`): a quiet query
        keeps its last view, without news, for a minute. While it says nothing every query is looked at."""
        limit = LOOK_SECONDS if seconds is None else seconds
        started = time.monotonic()
        pool = ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="kumo_assets-look")
        asked: dict[str, Future[View]] = {}
        turns = sorted(definitions, key=lambda one: self._seen.get(one.name, 0.0))
        kept: dict[str, View] = {}
        try:
            bells = pool.submit(ask_bells).result(timeout=BELL_SECONDS)
        except TimeoutError:
            bells = None
        for definition in turns:
            known, bell = before.get(definition.name, Before()), (bells or {}).get(definition.name)
            last = self._last.get(definition.name)
            if bells is not None and last is not None and last.holds(definition, known, bell, self._clock()):
                kept[definition.name] = replace(last.view, news=None)
            elif self._begin(definition.name):
                future = pool.submit(self._look, releases, definition, known, bell)
                future.add_done_callback(partial(self._over, definition.name))
                asked[definition.name] = future
        wait(asked.values(), timeout=max(limit - (time.monotonic() - started), 0.0))
        pool.shutdown(wait=False, cancel_futures=True)
        return {one.name: kept.get(one.name) or self._view(one.name, asked.get(one.name), limit) for one in definitions}

    def _look(
        self, releases: ReleasesResource, definition: QueryDefinition, before: Before, bell: datetime | None
    ) -> View:
        self._begun[definition.name] = time.monotonic()
        view = look(releases, definition, before)
        now, last = self._clock(), self._last.get(definition.name)
        same = last is not None and (last.view.found, last.bell) == (view.found, bell) and _calm(last.view)
        since = last.since if last is not None and same and not (view.news and view.news.entries) else now
        self._last[definition.name] = _Seen(view, definition, before, bell, now, since)
        return view

    def _begin(self, query: str) -> bool:
        with self._lock:
            if query in self._busy:
                return False
            self._busy.add(query)
            return True

    def _over(self, query: str, future: Future[View]) -> None:
        with self._lock:
            self._busy.discard(query)

    def _view(self, query: str, asked: Future[View] | None, limit: float) -> View:
        """What came of it. One that was not seen to its end keeps its place in the turns, or it might never be."""
        now = time.monotonic()
        if asked is not None and asked.done() and not asked.cancelled():
            self._seen[query] = now
            return asked.result()
        if (asked is not None and asked.cancelled()) or now - self._begun.get(query, now) < limit / 2:
            return View(None, "its turn comes at the next tick", skipped=True)
        self._seen[query] = now
        words = f"looking at it takes longer than {limit / 2:g} s"
        return View(None, words, fault=words)
