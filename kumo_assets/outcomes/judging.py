"""One release at one age: what was served joined with what happened, beside its rivals, as the document `Outcome`.

What cannot be judged yet (late logs, a table that cannot be read) raises NotJudged and is tried again. What nobody will
ever know (no sample, another task, logs that never came) is recorded as not judged, with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.query import PredictiveQuerySpec
from kumo_assets.documents import Outcome, RivalOutcome, Served, utc_text
from kumo_assets.errors import DamagedDocument, WarehouseError
from kumo_assets.outcomes.count_sql import Compared, count
from kumo_assets.outcomes.due import History, Window, home_of
from kumo_assets.outcomes.happened import Happened, happened
from kumo_assets.outcomes.live import hours_live
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.listing import FALLBACK
from kumo_assets.resources.snowflake import Warehouse
from kumo_assets.resources.sql import quote, table


class NotJudged(Exception):
    """Why a release could not be judged at an age. `final` when trying again would change nothing."""

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.final = reason, final


@dataclass(frozen=True)
class Bench:
    """What judging works with. `late` says which logs do not reach a moment; "" when all do."""

    ctx: ReleaseContext
    warehouse: Warehouse
    definition: QueryDefinition
    history: History
    late: Callable[[datetime], str]
    run_id: str
    now: datetime


@dataclass(frozen=True)
class Result:
    """What came of one age of one release: the stored outcome, or why there is none yet."""

    release: str
    age: int
    outcome: Outcome | None
    reason: str = ""


def judge(bench: Bench, release: str, partition: str, window: Window) -> Result:
    """Judge one release at one age, and store the outcome. Raises WarehouseError only where Snowflake does not answer
    anything, ReleaseError where S3 does not."""
    try:
        outcome = _judged(bench, release, partition, window)
    except NotJudged as error:
        given_up = bench.now >= window.given_up
        if not (error.final or given_up):
            return Result(release, window.age, None, error.reason)
        waited = f"; it was waited for until {utc_text(window.given_up)}" if given_up and not error.final else ""
        outcome = _blank(bench, release, partition, window).model_copy(
            update={"judged": False, "reason": error.reason + waited}
        )
    return Result(release, window.age, bench.ctx.store.write_outcome(outcome))


def _judged(bench: Bench, release: str, partition: str, window: Window) -> Outcome:
    served = _sample_of(bench, release)
    if served is None:
        raise NotJudged("no sample of what it served was kept, or it was dropped", final=True)
    spec = bench.definition.spec
    if served.task != spec.task:
        raise NotJudged(f"it is a release of task {served.task}, and the query's is {spec.task} now", final=True)
    end = spec.schedule.end
    if late := bench.late(window.end):
        ended = f" (schedule.end is {end}: the logs may have ended)" if end is not None else ""
        raise NotJudged(f"the logs of its {window.age} days have not arrived: {late}{ended}")
    try:
        return _counted(bench, served, _blank(bench, release, partition, window), window)
    except WarehouseError as error:
        raise NotJudged(f"{error.doing} {error.to}: {error.found}") from error


def _blank(bench: Bench, release: str, partition: str, window: Window) -> Outcome:
    return Outcome(
        query=bench.definition.name,
        release_id=release,
        partition=partition,
        task=bench.definition.spec.task,
        age_days=window.age,
        judged=True,
        window_start=utc_text(window.start),
        window_end=utc_text(window.end),
        judged_at=utc_text(bench.now),
        run_id=bench.run_id,
        hours_live=hours_live(bench.history.stays, release, bench.now),
    )


def _sample_of(bench: Bench, release: str) -> Served | None:
    """The sample that a release goes by; None when there is none, or when its record cannot be believed."""
    try:
        return bench.ctx.store.served(home_of(bench.ctx, release)) if release else None
    except DamagedDocument:
        return None


def _counted(bench: Bench, served: Served, blank: Outcome, window: Window) -> Outcome:
    ranking = served.task == "ranking"
    rival = bench.history.before(blank.release_id)
    before, why = _comparable(bench, served, rival)
    where = _table_of(served)
    found = happened(bench.definition, bench.definition.sources, bench.warehouse, blank.partition, window, where)
    fallback = _fallback(bench, blank.release_id) if ranking else ()
    counted = count(
        lambda sql: bench.warehouse.rows(sql, doing=f"count the outcomes of {blank.release_id}"),
        Compared(
            task=served.task,
            top_k=served.top_k,
            served=where,
            happened=found.select,
            before=_table_of(before) if before is not None else "",
            catalogue=_catalogue(bench.definition.spec, bench.warehouse) or found.classes,
            fallback=fallback,
            alike=_alike(bench, found, served, before),
            numbers=found.types.get("CLASS") == "NUMBER",
            sampled=served.share < 1,
        ),
    )
    if counted.repeated:
        raise NotJudged("outcomes.sql returned an entity twice")
    if not ranking and not counted.entities:
        raise NotJudged("what happened has no value for any entity of the sample")
    if ranking and not counted.active:
        raise NotJudged("no entity of the sample has an event in its days")
    rivals = {
        "fallback": RivalOutcome(
            figures=counted.rivals.get("fallback", {}),
            differences=counted.differences.get("fallback", {}),
            reason="" if "fallback" in counted.rivals else "the release has no fallback list",
        ),
        "before": RivalOutcome(
            release_id=rival or None,
            figures=counted.rivals.get("before", {}),
            differences=counted.differences.get("before", {}),
            reason=why or ("" if "before" in counted.rivals else "the two releases have no entity in common"),
        ),
    }
    return blank.model_copy(
        update={
            "share": served.share,
            "top_k": served.top_k,
            "entities": counted.entities,
            "active": counted.active,
            "figures": counted.figures,
            "rivals": rivals,
            "calibration": tuple(counted.calibration),
        }
    )


def _table_of(served: Served) -> str:
    return table(served.database, served.schema_name, served.table)


def _comparable(bench: Bench, served: Served, rival: str) -> tuple[Served | None, str]:
    """The sample of the release that was live before, or why there is no comparison with it."""
    if not rival:
        return None, "no release was live before it"
    before = _sample_of(bench, rival)
    if before is None:
        return None, f"no sample of what {rival} served exists"
    if before.task != served.task:
        return None, f"{rival} is a release of task {before.task}"
    if before.table == served.table:
        return None, f"{rival} served the same table"
    if not bench.warehouse.columns(before.database, before.schema_name, before.table):
        return None, f"the table {before.table} of {rival} is gone"
    return before, ""


def _alike(bench: Bench, found: Happened, served: Served, before: Served | None) -> bool:
    """Whether ENTITY and CLASS have one type on all sides, so that they can be compared as they are."""
    if not found.types:
        return False
    sides = [
        bench.warehouse.columns(one.database, one.schema_name, one.table) for one in (served, before) if one is not None
    ]
    return all(side.get(name) == kind for side in sides for name, kind in found.types.items()) and all(
        kind in ("NUMBER", "TEXT", "VARCHAR") for kind in found.types.values()
    )


def _fallback(bench: Bench, release: str) -> tuple[str, ...]:
    """The classes of the release's fallback list, best first; none where it cannot be read."""
    opened = bench.ctx.store.opened(release)
    home = bench.ctx.store.home(opened, "s3_export") if opened is not None else release
    stored = bench.ctx.objects.get(bench.ctx.names.release_prefix(home) + FALLBACK)
    try:
        return tuple(str(name) for name, _ in json.loads(stored.data)["p"]) if stored is not None else ()
    except (ValueError, TypeError, KeyError):
        return ()


def _catalogue(spec: PredictiveQuerySpec, warehouse: Warehouse) -> str:
    """A SELECT of every class there is, where the gate `unknown_items` names the catalogue."""
    found = spec.gates.unknown_items.catalogue
    if found is None or spec.task != "ranking":
        return ""
    where = table(found.database or warehouse.database, found.schema_name, found.table)
    return f"SELECT {quote(found.column)} AS CLASS FROM {where}"  # noqa: S608 - quoted
