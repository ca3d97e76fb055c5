"""One sensor for all queries. Each tick compares the newest eligible sealed release of each query with its pointer, asks
the one promotion decision, and requests `active_pointer`, which asks again.

The sensor does not react to events. It compares current state, so late verdicts, failed promotions and lifted holds are
picked up on the next tick. What it reports besides is in `pointer_events` and `notifications`.
"""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TypedDict

import dagster as dg
from kumo_serving.errors import KumoAssetsError, PointerMalformed

from kumo_assets.assets.active_pointer import ASSET_TAG, RELEASE_TAG, folder_of
from kumo_assets.automation.dead_runs import UNFINISHED, mark_dead_runs
from kumo_assets.automation.jobs import QUERY_TAG
from kumo_assets.automation.notifications import Alarm, alarms, damaged, strange_objects, unrecorded
from kumo_assets.automation.pointer_events import Event, events_of, latest_reports, news_since, pointer_key
from kumo_assets.config.load import QueryDefinition, read_query
from kumo_assets.config.names import POINTER_ASSET
from kumo_assets.errors import ConfigError
from kumo_assets.pointers.store import VersionedPointer, stored_mark
from kumo_assets.releases.cache import ReleaseCache
from kumo_assets.releases.operations.promote import next_promotion
from kumo_assets.releases.operations.reconcile import News
from kumo_assets.releases.resource import ReleasesResource
from kumo_assets.resources.webhook import notify

INTERVAL_SECONDS = 10
# After a promotion that failed: 30 s, then twice as long each time, at most half an hour.
RETRY_SECONDS, MOST_RETRY_SECONDS = 30.0, 1800.0


def build_promotion_sensor() -> dg.SensorDefinition:
    """The sensor. It finds its queries in the repository it is loaded with, so any project may hold it.

    It keeps, for as long as its code server lives, what one tick has read and the next need not read again. Resources do
    not live so long: Dagster makes them anew for each tick.
    """
    cache = ReleaseCache()
    load = lru_cache(maxsize=1000)(_load)

    @dg.sensor(
        name="promotion_sensor",
        asset_selection=dg.AssetSelection.tag(ASSET_TAG, POINTER_ASSET),
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Promotes the newest release that may go live, for every query. Looks at releases and pointers, "
        "not at events.",
    )
    def promotion_sensor(
        context: dg.SensorEvaluationContext, kumo_assets_releases: ReleasesResource
    ) -> dg.SensorResult:
        kumo_assets_releases.share(cache)
        mark_dead_runs(context.instance)  # first of all: they may fill the queue that a promotion waits in
        definitions, unreadable = _definitions(context, load)
        before = _remembered(context.cursor)
        with ThreadPoolExecutor(max_workers=16) as pool:
            views = list(
                pool.map(lambda one: _look(kumo_assets_releases, one, before.get(one.name, _NOTHING)), definitions)
            )
        requests: list[dg.RunRequest] = []
        events: list[Event] = []
        waiting = [f"{name}: {message}" for name, message in unreadable.items()]
        after = {name: before[name] for name in unreadable if name in before}
        shown = latest_reports(context.instance, [definition.name for definition in definitions])
        for definition, view in zip(definitions, views, strict=True):
            request = _request(context, definition, view.release, view.generation) if view.release else view.reason
            if isinstance(request, dg.RunRequest):
                requests.append(request)
            else:
                waiting.append(f"{definition.name}: {request}")
            memory = before.get(definition.name, _NOTHING)
            seen, mark, pending, told = memory["seen"], memory["mark"], memory["pending"], memory["told"]
            if view.news is not None:
                seen, mark = view.news.cursor, stored_mark(view.found)
                newest = shown[pointer_key(definition.name)]
                more, pending = events_of(
                    context.instance, definition.name, view.news.entries, view.found, view.where, newest
                )
                events += more
            if view.alarms is not None:
                told = _send(definition.name, view.alarms, told)
            after[definition.name] = _Memory(seen=seen, mark=mark, pending=pending, told=told)
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=dg.SkipReason("; ".join(waiting)) if waiting and not requests else None,
            asset_events=events,
            cursor=json.dumps(after),
        )

    return promotion_sensor


class _Memory(TypedDict):
    """What a tick leaves to the next one, for one query: the ledger's cursor, the mark of the pointer that it was read
    for, names of entries whose run was not over, and keys of alarms that were sent and last."""

    seen: str
    mark: str
    pending: list[str]
    told: list[str]


_NOTHING = _Memory(seen="", mark="", pending=[], told=[])


@dataclass(frozen=True)
class _View:
    """What one query looks like: the release to promote (None: `reason` says why not), the pointer and its address, what
    happened since the last tick, and what is wrong; None for what could not be read."""

    release: str | None
    reason: str
    found: VersionedPointer | None = None
    where: str = ""
    news: News | None = None
    alarms: Sequence[Alarm] | None = None

    @property
    def generation(self) -> int:
        return self.found.pointer.generation if self.found is not None else 0


def _look(releases: ReleasesResource, definition: QueryDefinition, memory: _Memory) -> _View:
    """An error of one query is a reason, not an end of the tick: a sensor that raises goes unnoticed, and would stop the
    other queries too (Dagster #29625). An error while reading its news does not stop its promotion."""
    try:
        with closing(releases.context(definition)) as ctx:
            found = ctx.pointers.read()
            release, decision = next_promotion(ctx, found)
            now = datetime.now(UTC)
            wrong = [*alarms(ctx, definition, found, release, decision, now), *strange_objects(ctx, now)]
            reason = decision.reason
            heard: News | None = None
            try:
                heard = news_since(ctx, found, cursor=memory["seen"], mark=memory["mark"], pending=memory["pending"])
            except KumoAssetsError as error:
                reason = f"{reason} ({error})"
                wrong = [*wrong, unrecorded(definition.name, error)]
            promotable = release if decision.outcome == "promote" else None
            return _View(promotable, reason, found, ctx.pointers.uri, heard, wrong)
    except PointerMalformed as error:
        return _View(None, str(error), alarms=[damaged(definition.name, error)])
    except KumoAssetsError as error:
        return _View(None, str(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this query's alone
        return _View(None, f"{type(error).__name__}: {error}")


def _send(query: str, found: Sequence[Alarm], told: Sequence[str]) -> list[str]:
    """Send what was not sent yet; the keys of all that lasts. What passes and comes again is sent again."""
    for alarm in found:
        if alarm.key not in told:
            notify(query, alarm.kind, alarm.title, alarm.lines)
    return [alarm.key for alarm in found]


def _remembered(cursor: str | None) -> dict[str, _Memory]:
    """What the last tick left, by query; nothing for a cursor of another kind."""
    try:
        found = json.loads(cursor or "{}")
        return {query: _Memory(**{**_NOTHING, **memory}) for query, memory in found.items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def _request(
    context: dg.SensorEvaluationContext, definition: QueryDefinition, release: str, generation: int
) -> dg.RunRequest | str:
    """A run request, or why not now. The key is stable identity and a count of tries: a key is used up even by a run
    that failed, so a failed promotion is retried under the next number, after a pause."""
    tags = {QUERY_TAG: definition.name, RELEASE_TAG: release, "kumo_assets/generation": str(generation)}
    if context.instance.get_runs_count(dg.RunsFilter(tags=tags, statuses=UNFINISHED)):
        return f"a promotion of {release} is under way"
    tries = context.instance.get_runs_count(dg.RunsFilter(tags=tags))
    if tries:
        pause = min(RETRY_SECONDS * 2 ** min(tries - 1, 10), MOST_RETRY_SECONDS)
        (last,) = context.instance.get_run_records(dg.RunsFilter(tags=tags), limit=1)
        wait = (last.end_time or 0.0) + pause - time.time()
        if wait > 0:
            return f"the promotion of {release} failed {tries} times; retried in {wait:.0f} s"
    return dg.RunRequest(
        run_key=f"{definition.name}:{release}:{generation}:{tries}",
        # By asset, not by job: a sensor made with `asset_selection` ignores `job_name` and would run its whole selection.
        asset_selection=[pointer_key(definition.name)],
        tags=tags,
    )


def _definitions(
    context: dg.SensorEvaluationContext, load: Callable[[Path, int], QueryDefinition]
) -> tuple[list[QueryDefinition], dict[str, str]]:
    """The queries of the repository this sensor is loaded with: each pointer asset says where its folder is. And a message
    for each whose file can no longer be read, which must not stop the others (rule 10)."""
    repository = context.repository_def
    if repository is None:
        raise ConfigError(
            "look for queries", found="the sensor was loaded without a repository", next="load it from Definitions"
        )
    found: list[QueryDefinition] = []
    unreadable: dict[str, str] = {}
    for key in sorted(repository.asset_graph.materializable_asset_keys):
        asset = repository.asset_graph.get(key)
        if asset.tags.get(ASSET_TAG) == POINTER_ASSET:
            folder = folder_of(asset.metadata)
            try:
                found.append(load(folder, (folder / "defs.yaml").stat().st_mtime_ns))
            except (ConfigError, OSError) as error:
                unreadable[key.path[0]] = str(error)
    return found, unreadable


def _load(folder: Path, changed: int) -> QueryDefinition:
    """The definition in a folder, read again when its file changes: parsing 100 of them would be most of a tick."""
    return read_query(folder)
