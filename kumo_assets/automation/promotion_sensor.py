"""One sensor for all queries. Each tick compares the newest eligible sealed release of each query with its pointer, asks
the one promotion decision, and requests `active_pointer`, which asks again.

The sensor does not react to events. It compares current state, so late verdicts, failed promotions and lifted holds are
picked up on the next tick. How a query is looked at is in `looking`; what it reports besides in `pointer_events`,
`notifications` and `builds`, sent by `sending`. All of it together ends before Dagster's 60 s for a tick.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TypedDict, TypeVar

import dagster as dg
from kumo_serving.errors import KumoAssetsError

from kumo_assets.assets.active_pointer import ASSET_TAG, RELEASE_TAG, folder_of
from kumo_assets.automation.builds import FailedBuild, failed_builds
from kumo_assets.automation.dead_runs import UNFINISHED, mark_dead_runs
from kumo_assets.automation.jobs import QUERY_TAG
from kumo_assets.automation.looking import Before, Looks, View
from kumo_assets.automation.notifications import cannot_look
from kumo_assets.automation.pointer_events import Event, events_of, latest_reports, pointer_key
from kumo_assets.automation.run_slots import PROMOTION
from kumo_assets.automation.sending import Pending, Sender
from kumo_assets.config.load import QueryDefinition, read_query
from kumo_assets.config.names import POINTER_ASSET
from kumo_assets.documents import utc_now
from kumo_assets.errors import ConfigError
from kumo_assets.pointers.store import stored_mark
from kumo_assets.pointers.zookeeper_sessions import ZooKeeperSessions
from kumo_assets.releases.bell import rung
from kumo_assets.releases.cache import ReleaseCache
from kumo_assets.releases.outbox import Outbox
from kumo_assets.releases.resource import ReleasesResource
from kumo_assets.resources.aws import Sessions, brief_config

_log = logging.getLogger(__name__)
T = TypeVar("T")

INTERVAL_SECONDS = 10
# After a promotion that failed: 30 s, then twice as long each time, at most half an hour.
RETRY_SECONDS, MOST_RETRY_SECONDS = 30.0, 1800.0


def build_promotion_sensor() -> dg.SensorDefinition:
    """The sensor. It finds its queries in the repository it is loaded with, so any project may hold it.

    It keeps, for as long as its code server lives, what one tick has read and the next need not read again. Resources do
    not live so long: Dagster makes them anew for each tick.
    """
    cache = ReleaseCache(sessions=Sessions(brief_config), zookeeper=ZooKeeperSessions())
    load = lru_cache(maxsize=1000)(_load)
    looks, sender = Looks(), Sender()
    reasons: dict[str, str] = {}

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
        # First of all: they may fill the queue that a promotion waits in.
        _if_it_works(lambda: mark_dead_runs(context.instance))
        definitions, unreadable = _definitions(context, load)
        names = [definition.name for definition in definitions]
        before = _remembered(context.cursor)
        builds = _if_it_works(lambda: failed_builds(context.instance, names, reasons=reasons)) or {}
        views = looks.at_all(
            kumo_assets_releases,
            definitions,
            {name: _before(before.get(name), builds.get(name)) for name in names},
            ask_bells=lambda: _bells(kumo_assets_releases),
        )
        views |= {name: View(None, words, fault=words) for name, words in unreadable.items()}
        requests: list[dg.RunRequest] = []
        events: list[Event] = []
        waiting: list[str] = []
        after: dict[str, _Memory] = {}
        shown = latest_reports(context.instance, names)
        for name, view in views.items():
            request = _request(context, name, view.release, view.generation) if view.release else view.reason
            if isinstance(request, dg.RunRequest):
                requests.append(request)
            else:
                waiting.append(f"{name}: {request}")
            memory = after[name] = before.get(name) or _nothing()
            if view.news is not None:
                memory["seen"], memory["mark"] = view.news.cursor, stored_mark(view.found)
                more, memory["pending"] = events_of(
                    context.instance, name, view.news.entries, view.found, view.where, shown[pointer_key(name)]
                )
                events += more
        # Last, so that nothing that was decided waits for a chat.
        _send(sender, _outbox(kumo_assets_releases), views, after)
        return dg.SensorResult(
            run_requests=requests,
            skip_reason=dg.SkipReason("; ".join(waiting)) if waiting and not requests else None,
            asset_events=events,
            cursor=json.dumps(after),
        )

    return promotion_sensor


def _if_it_works(ask: Callable[[], T]) -> T | None:
    """What `ask` gives; None when it raises. For what a promotion can do without, whatever is in Dagster's storage."""
    try:
        return ask()
    except Exception as error:  # noqa: BLE001 - one strange run must not stop every promotion
        _log.warning("A look at Dagster's runs came to nothing: %s: %s", type(error).__name__, error)
        return None


class _Memory(TypedDict):
    """What a tick leaves to the next one, for one query: the ledger's cursor, the mark of the pointer that it was read
    for, names of entries whose run was not over, keys of alarms that were sent and last, keys of those that were not sent
    and since when they last, and since when the query could not be looked at ("" when it could)."""

    seen: str
    mark: str
    pending: list[str]
    told: list[str]
    unsent: dict[str, str]
    faulty: str


def _nothing() -> _Memory:
    """The memory of a query that no tick has seen. Each has its own, for a tick writes into it."""
    return _Memory(seen="", mark="", pending=[], told=[], unsent={}, faulty="")


def _remembered(cursor: str | None) -> dict[str, _Memory]:
    """What the last tick left, by query; nothing for a cursor of another kind."""
    try:
        found = json.loads(cursor or "{}")
        return {query: _Memory(**{**_nothing(), **memory}) for query, memory in found.items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def _before(memory: _Memory | None, build: FailedBuild | None) -> Before:
    known = memory or _nothing()
    return Before(known["seen"], known["mark"], known["pending"], known["told"], build)


def _send(sender: Sender, outbox: Outbox | None, views: Mapping[str, View], after: dict[str, _Memory]) -> None:
    """Send what is wrong and was not sent yet, and remember what was. What passes and comes again is sent again."""
    now = utc_now()
    pending: list[Pending] = []
    lasting: dict[str, frozenset[str] | None] = {}
    for name, view in views.items():
        memory = after[name]
        found = list(view.alarms)
        if view.fault and memory["faulty"]:
            # At the second tick in a row: one look that failed is no news, the next follows in 10 s.
            found.append(cannot_look(name, view.fault))
        if not view.skipped:
            memory["faulty"] = (memory["faulty"] or now) if view.fault else ""
        lasting[name] = None if view.fault or view.skipped else frozenset(alarm.key for alarm in found)
        keys = {alarm.key for alarm in found}
        if lasting[name] is not None:
            memory["told"] = [key for key in memory["told"] if key in keys]
            memory["unsent"] = {key: since for key, since in memory["unsent"].items() if key in keys}
        for alarm in found:
            if alarm.key not in memory["told"]:
                again = alarm.key in memory["unsent"]
                since = memory["unsent"].setdefault(alarm.key, now)
                pending.append(Pending(name, alarm, since, again))
    for name, key in sender.send(pending, outbox, lasting):
        if name in after and after[name]["unsent"].pop(key, None) is not None:
            after[name]["told"].append(key)


def _bells(releases: ReleasesResource) -> dict[str, datetime] | None:
    """When each query's last seal was announced; None when nobody can say."""
    try:
        environment = releases.environment()
        return rung(releases.objects(environment.bucket), environment.name)
    except KumoAssetsError:
        return None


def _outbox(releases: ReleasesResource) -> Outbox | None:
    """Where alarms wait that could not be sent; None when the environment does not say."""
    try:
        environment = releases.environment()
        return Outbox(releases.objects(environment.bucket), environment.name)
    except KumoAssetsError:
        return None


def _request(context: dg.SensorEvaluationContext, query: str, release: str, generation: int) -> dg.RunRequest | str:
    """A run request, or why not now. The key is stable identity and a count of tries: a key is used up even by a run
    that failed, so a failed promotion is retried under the next number, after a pause."""
    tags = {QUERY_TAG: query, RELEASE_TAG: release, "kumo_assets/generation": str(generation)}
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
        run_key=f"{query}:{release}:{generation}:{tries}",
        # By asset, not by job: a sensor made with `asset_selection` ignores `job_name` and would run its whole selection.
        asset_selection=[pointer_key(query)],
        tags={**tags, **PROMOTION},
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
