"""One look at a partition: every release of it that was live is judged at every age that is due, and samples that nobody
needs any more are dropped. The Dagster asset and the command line call this; nothing here knows either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from kumo_assets.config.load import QueryDefinition
from kumo_assets.documents import ServedDropped, utc_text
from kumo_assets.outcomes.due import ages_due, read_history, samples_over
from kumo_assets.outcomes.judging import Bench, Result, judge
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.resources.snowflake import Warehouse
from kumo_assets.resources.sql import table


@dataclass(frozen=True)
class Look:
    """What one look did: the results by release and age, and the releases whose samples were dropped. `releases` are those
    of the partition that were live."""

    releases: list[str]
    results: list[Result]
    dropped: list[str]


def look(
    ctx: ReleaseContext,
    warehouse: Warehouse,
    definition: QueryDefinition,
    partition: str,
    late: Callable[[datetime], str],
    *,
    run_id: str,
    by: str,
    now: datetime | None = None,
) -> Look:
    """Judge what is due of a partition, then drop what is over. `late` says which logs do not reach a moment.

    Raises ReleaseError where S3 does not answer, WarehouseError for a sample that could not be dropped.
    """
    moment = now or ctx.now()
    history = read_history(ctx, definition, moment, partition=partition)
    bench = Bench(ctx, warehouse, definition, history, late, run_id, moment)
    live = history.of_partition(partition)
    results = [
        judge(bench, item.release_id, partition, window)
        for item in live
        for window in ages_due(definition, history, item, moment)
    ]
    again = read_history(ctx, definition, moment, partition=partition) if results else history
    dropped = list(samples_over(ctx, definition, again, moment))
    for release in dropped:
        _drop(ctx, warehouse, release, by, moment)
    return Look([item.release_id for item in live], results, dropped)


def _drop(ctx: ReleaseContext, warehouse: Warehouse, release: str, by: str, moment: datetime) -> None:
    """The table first, then the mark: whoever dies between the two drops it again."""
    served = ctx.store.served(release)
    if served is None:
        return
    where = table(served.database, served.schema_name, served.table)
    warehouse.rows(f"DROP TABLE IF EXISTS {where}", doing=f"drop the sample {served.table}")
    ctx.store.mark_served_dropped(
        ServedDropped(query=ctx.query, release_id=release, at=utc_text(moment), by=by, reason="the last age is over")
    )
