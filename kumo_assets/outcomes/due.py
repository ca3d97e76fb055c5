"""Which releases are to be looked at, at which ages, and how long their samples are needed. Reads S3; decides nothing else.

An age counts from the partition's end, in whole days of the query's time zone. A release is looked at if it was live at
all. What could not be judged is due again until its patience is over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.names import ReleaseId
from kumo_assets.config.outcomes import Outcomes
from kumo_assets.config.partitions import anchor_time
from kumo_assets.errors import ConfigError, DamagedDocument
from kumo_assets.outcomes.live import Stay, live_before, stays, was_live
from kumo_assets.pointers.document import VersionedPointer
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.listing import Listing
from kumo_assets.releases.moves import missing_from, read_or_raw

# How much further back the ledger is read: for whoever comes back after a month in which nothing ran.
SLACK = timedelta(days=30)


@dataclass(frozen=True)
class Window:
    """The days of one age: events at `start` or later and before `end`; both UTC. From `given_up` on nobody waits for
    logs: the patience counts from the days' end, or from when the release went live (a day that was built late)."""

    age: int
    start: datetime
    end: datetime
    given_up: datetime


def settings_of(definition: QueryDefinition) -> Outcomes:
    """The `outcomes:` of a query. ConfigError for one that has none."""
    if definition.spec.outcomes is None:
        raise ConfigError(
            "look at the outcomes of",
            to=definition.name,
            found="it has no `outcomes:`",
            next="add them to its defs.yaml (docs/outcomes.md)",
        )
    return definition.spec.outcomes


def window_of(definition: QueryDefinition, partition: str, age: int, since: datetime) -> Window:
    """The days after a partition's end that an age covers; the release is live, or exists, `since` then."""
    day, zone = date.fromisoformat(partition), definition.spec.schedule.time_zone
    end = anchor_time(day + timedelta(days=age), zone)
    patience = timedelta(days=settings_of(definition).patience_days)
    return Window(age, anchor_time(day, zone), end, max(end, since) + patience)


@dataclass(frozen=True)
class History:
    """What the bucket shows of a query's releases, and who was live when."""

    listed: Sequence[Listing]
    stays: list[Stay]

    def of_partition(self, partition: str) -> list[Listing]:
        """The releases of a partition that were live, oldest first."""
        return [item for item in self.listed if item.partition == partition and was_live(self.stays, item.release_id)]

    def before(self, release: str) -> str:
        """The release that was live when this one first went live; "" when there was none."""
        return live_before(self.stays, release)

    def since(self, item: Listing) -> datetime:
        """When a release first went live; for one that never did, when anything of it was written last."""
        first = next((stay.start for stay in self.stays if stay.release == item.release_id), None)
        return first or datetime.fromisoformat(item.touched)


def read_history(
    ctx: ReleaseContext, definition: QueryDefinition, now: datetime, *, partition: str = "", whole: bool = True
) -> History:
    """The releases, and who was live when, as far back as outcomes are still to come; of `partition` in any case.

    One listing of the releases (of the last ones alone, unless `whole`), and of the ledger what was written since. Raises
    ObjectStoreError.
    """
    settings = settings_of(definition)
    since = now - timedelta(days=settings.looked_at[-1] + settings.patience_days) - SLACK
    if partition:
        since = min(since, anchor_time(date.fromisoformat(partition), definition.spec.schedule.time_zone))
    found = read_or_raw(ctx)
    recorded = ctx.ledger.read(ctx.ledger.names_since(since))
    entries = [record.entry for record in (*recorded, *missing_from(recorded, ctx.query, found))]
    active = found.pointer.served_release_id if isinstance(found, VersionedPointer) else ""
    live = stays(entries, since, active)
    if whole:
        return History(ctx.store.listings(), live)
    # A day that was built late went live late: its partition may be older than all the others.
    days = [release.partition for stay in live if (release := ReleaseId.parse(stay.release)) is not None]
    return History(ctx.store.listings(min(days)) if days else [], live)


def ages_due(definition: QueryDefinition, history: History, item: Listing, now: datetime) -> list[Window]:
    """The ages of a release whose days have passed and that have no outcome yet."""
    since = history.since(item)
    windows = (window_of(definition, item.partition, age, since) for age in settings_of(definition).looked_at)
    return [window for window in windows if window.end <= now and window.age not in item.ages_judged]


def partitions_due(definition: QueryDefinition, history: History, now: datetime) -> list[str]:
    """The partitions with a release that is to be looked at now, oldest first. A release of long ago, from before the
    query asked for outcomes, is not."""
    return sorted(
        {
            item.partition
            for item in history.listed
            if was_live(history.stays, item.release_id)
            and ages_due(definition, history, item, now)
            and now <= _last_chance(definition, history, item)
        }
    )


def _last_chance(definition: QueryDefinition, history: History, item: Listing) -> datetime:
    """Until when a release is looked at by itself: a day after the patience of its last age."""
    window = window_of(definition, item.partition, settings_of(definition).looked_at[-1], history.since(item))
    return window.given_up + timedelta(days=1)


def samples_over(ctx: ReleaseContext, definition: QueryDefinition, history: History, now: datetime) -> Iterator[str]:
    """The releases whose sample nobody needs any more: each that could be compared with it has its last outcome, or is
    past the time for it. The active release's is needed by the next one."""
    last_age = settings_of(definition).looked_at[-1]
    needed = {home_of(ctx, history.stays[-1].release)} if history.stays else set()
    over = set()
    for item in history.listed:
        if last_age in item.ages_judged or now > _last_chance(definition, history, item):
            over.add(item.release_id)
        else:
            needed |= {home_of(ctx, item.release_id), home_of(ctx, history.before(item.release_id))}
    for item in history.listed:
        if item.keeps_sample and item.release_id in over - needed:
            yield item.release_id


def home_of(ctx: ReleaseContext, release: str) -> str:
    """The release whose sample this one goes by: its own, or that of the one whose post-processed table it adopted. "" for
    one that cannot be read."""
    try:
        opened = ctx.store.opened(release)
    except DamagedDocument:
        return release
    return ctx.store.home(opened, "postprocessed") if opened is not None else ""
