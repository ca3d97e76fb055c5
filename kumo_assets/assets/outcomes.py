"""`<query>/outcomes`: how good the releases of a partition were, once their days have passed, and the check on it.

The Dagster shell of the room `outcomes`: the session, the logs' arrival, what the UI shows. A run for days whose logs have
not arrived materialises nothing and is asked again by its schedule.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster_snowflake import SnowflakeResource

from kumo_assets.assets.keys import code_version, key_of
from kumo_assets.assets.log_arrival import missing, read_arrivals
from kumo_assets.assets.ui import Metadata
from kumo_assets.config.load import QueryDefinition, RawSource
from kumo_assets.config.names import OUTCOMES_ASSET, POINTER_ASSET
from kumo_assets.documents import Outcome
from kumo_assets.gates.plots import embedded
from kumo_assets.gates.reporting import notify_or_keep
from kumo_assets.outcomes.due import History, read_history, settings_of
from kumo_assets.outcomes.happened import logs_named
from kumo_assets.outcomes.holding import CHECK, advice, hold_for, judged_at_first_age, last_good, reason_of
from kumo_assets.outcomes.looking import Look, look
from kumo_assets.outcomes.plot import Point, line_plot
from kumo_assets.outcomes.quality import Quality
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.listing import Listing
from kumo_assets.releases.outcomes import MAIN, outcomes_of
from kumo_assets.releases.resource import ReleasesResource
from kumo_assets.releases.run import author_of, root_run_of
from kumo_assets.resources.snowflake import Warehouse, connect

# Partitions in the plot.
PLOTTED = 60
RIVALS = {"fallback": "the fallback", "before": "the release before"}


def build_outcomes(
    definition: QueryDefinition, sources: Mapping[str, RawSource], partitions: dg.PartitionsDefinition
) -> dg.AssetsDefinition:
    """The asset that judges a partition's releases, with its check. ConfigError for a query without `outcomes:`."""
    settings = settings_of(definition)
    key = key_of(definition.name, OUTCOMES_ASSET)
    checks = [
        dg.AssetCheckSpec(
            CHECK,
            asset=key,
            partitions_def=partitions,
            description="The release is not worse than its rivals of the same days: the release before it, and the "
            "fallback as it compared with the last ones.",
        )
    ]
    checked = settings.realised_quality.mode != "off"

    @dg.asset(
        key=key,
        deps=[key_of(definition.name, POINTER_ASSET)],
        partitions_def=partitions,
        group_name=definition.name,
        owners=definition.spec.owners,
        kinds={"snowflake", "sql"},
        description="How good what was served turned out to be, after "
        f"{', '.join(map(str, settings.looked_at))} days, beside two rivals on the same entities and days.",
        code_version=code_version(definition),
        check_specs=checks if checked else None,
        output_required=False,
    )
    def outcomes(
        context: dg.AssetExecutionContext,
        kumo_assets_snowflake: SnowflakeResource,
        kumo_assets_releases: ReleasesResource,
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]:
        partition = context.partition_key
        # Of a run that is started again, the root: what it judged before it died is its own.
        run_id, by = root_run_of(context.run), author_of(context)
        with (
            connect(kumo_assets_snowflake, show_values=definition.spec.show_entities) as warehouse,
            closing(kumo_assets_releases.context(definition)) as ctx,
        ):
            late = _late(definition, sources, warehouse)
            found = look(ctx, warehouse, definition, partition, late, run_id=run_id, by=by)
            for line in _told(found):
                context.log.info(line)
            history = read_history(ctx, definition, ctx.now(), partition=partition)
            if checked:
                yield check_of(ctx, definition, history, key, partition, found, run_id, context.log.warning)
            metadata = _metadata(ctx, definition, history, partition, found)
            if metadata is None:
                context.log_event(dg.AssetObservation(key, partition=partition, metadata={"not judged": _why(found)}))
                return
            yield dg.MaterializeResult(metadata=metadata)

    return outcomes


def _late(
    definition: QueryDefinition, sources: Mapping[str, RawSource], warehouse: Warehouse
) -> Callable[[datetime], str]:
    """Which of the logs that count do not reach a moment, as a sentence; they are asked once, when first wanted."""
    named = {name: sources[name] for name in logs_named(definition)}
    tolerance = timedelta(minutes=definition.spec.schedule.late_logs_tolerance_minutes)
    arrived = None

    def late(moment: datetime) -> str:
        nonlocal arrived
        arrived = arrived if arrived is not None else read_arrivals(warehouse, named, datetime.now(UTC))
        return "; ".join(
            f"{item.name} reaches {item.newest.isoformat() if item.newest else 'nothing'}, and not {moment.isoformat()}"
            for item in missing(arrived, moment, tolerance)
        )

    return late


def _told(found: Look) -> Iterator[str]:
    if not found.releases:
        yield "No release of this partition was live: there is nothing to judge"
    for one in found.results:
        if one.outcome is None or not one.outcome.judged:
            reason = one.outcome.reason if one.outcome is not None else one.reason
            yield f"{one.release} after {one.age} days is not judged: {reason}"
        else:
            yield f"{one.release} after {one.age} days: {_line(one.outcome)}"
    for release in found.dropped:
        yield f"The sample of what {release} served is dropped: its last age is over"


def _line(outcome: Outcome) -> str:
    figures = (f"{name.replace('_', ' ')} {figure.value:.4g}" for name, figure in outcome.figures.items())
    return ", ".join(figures)


def _why(found: Look) -> str:
    reasons = [f"{one.release} after {one.age} days: {one.reason}" for one in found.results if one.reason]
    return "; ".join(reasons) or ("its days are not over" if found.releases else "no release of it was live")


def check_of(
    ctx: ReleaseContext,
    definition: QueryDefinition,
    history: History,
    key: dg.AssetKey,
    partition: str,
    found: Look,
    run_id: str,
    warn: Callable[[str], object],
) -> dg.AssetCheckResult:
    """The check of a partition: the worst of its releases. A release that was judged now and failed is reported, and holds
    promotion where the query says so."""
    judged = [
        (item, one)
        for item in history.of_partition(partition)
        if (one := judged_at_first_age(ctx, definition, history, item)) is not None
    ]
    metadata: dict[str, dg.RawMetadataValue] = {}
    for item, one in judged:
        if not one.quality.passed and one.outcome.run_id == run_id and not item.rejected:
            metadata["what was done"] = _report(ctx, definition, history, item, one.quality, run_id)
            warn(f"{item.release_id}: {one.quality.message}; {metadata['what was done']}")
    worst = min(judged, key=lambda pair: pair[1].quality.passed, default=None)
    if worst is None:
        return dg.AssetCheckResult(
            asset_key=key, check_name=CHECK, passed=True, description=f"not judged yet: {_why(found)}"
        )
    item, one = worst
    quality = one.quality
    if not quality.passed:
        metadata["next"] = advice(definition.name, last_good(ctx, definition, history, item))
    if quality.loss is not None:
        metadata["loss"] = quality.loss
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=CHECK,
        passed=quality.passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{item.release_id} after {one.outcome.age_days} days: {quality.message}",
        metadata={"release": item.release_id, **quality.evidence, **metadata},
    )


def _report(
    ctx: ReleaseContext, definition: QueryDefinition, history: History, item: Listing, quality: Quality, run_id: str
) -> str:
    """Hold, where the query asks for it, and one notification; what was done."""
    query, release = definition.name, item.release_id
    good = last_good(ctx, definition, history, item)
    done = "nothing: the mode is warn"
    if settings_of(definition).realised_quality.mode == "hold":
        done = hold_for(ctx, release, reason_of(release, quality, query, good), run_id=run_id)
    title = f"release {release} turned out worse than it should be"
    lines = [quality.message, f"done: {done}", advice(query, good), f"kumo-assets outcomes {query}"]
    notify_or_keep(query, CHECK, title, lines, f"{CHECK} {release}", ctx.store)
    return done


def _metadata(
    ctx: ReleaseContext, definition: QueryDefinition, history: History, partition: str, found: Look
) -> Metadata | None:
    """What the asset's page shows: each figure of each age as a number, which it plots over partitions, and a plot of the
    last ones. None while the partition has no outcome."""
    of_day = list(outcomes_of(ctx, history.of_partition(partition)))
    if not of_day:
        return None
    newest = of_day[0].release_id
    metadata: Metadata = {"release": newest, "releases that were live": len(history.of_partition(partition))}
    for outcome in (one for one in of_day if one.release_id == newest):
        after = f"after {outcome.age_days} d"
        if not outcome.judged:
            metadata[f"not judged {after}"] = outcome.reason
            continue
        metadata["hours live"] = outcome.hours_live
        metadata[f"entities {after}"] = outcome.entities
        for name, figure in outcome.figures.items():
            metadata[f"{name} {after}"] = figure.value
            if figure.standard_error is not None:
                metadata[f"{name} {after}: standard error"] = figure.standard_error
        for kind, rival in outcome.rivals.items():
            for name, figure in rival.figures.items():
                metadata[f"{name} of {RIVALS.get(kind, kind)} {after}"] = figure.value
            if rival.reason:
                metadata[f"not compared with {RIVALS.get(kind, kind)} {after}"] = rival.reason
    metadata["command"] = f"kumo-assets outcomes {definition.name}"
    if found.dropped:
        metadata["samples dropped"] = ", ".join(found.dropped)
    metadata["plot"] = dg.MetadataValue.md(_plot(ctx, definition, history))
    return metadata


def _plot(ctx: ReleaseContext, definition: QueryDefinition, history: History) -> str:
    """The task's main figure at the first age, of the last partitions, with the rivals."""
    age = settings_of(definition).looked_at[0]
    name, _ = MAIN[definition.spec.task]
    listed = [item for item in sorted(history.listed, key=lambda item: item.order) if age in item.ages_judged]
    shown = [one for one in outcomes_of(ctx, listed[-PLOTTED:], age) if one.judged and name in one.figures][::-1]
    series = {"released": _points(shown, name)}
    for kind, words in RIVALS.items():
        series[words] = _points(shown, name, kind)
    title = f"{name.replace('_', ' ')} after {age} days"
    return embedded(line_plot(series, [one.partition for one in shown], title), title)


def _points(shown: Sequence[Outcome], name: str, rival: str = "") -> list[Point]:
    found = []
    for at, outcome in enumerate(shown):
        figures = outcome.figures
        if rival:
            figures = outcome.rivals[rival].figures if rival in outcome.rivals else {}
        if name in figures:
            found.append(Point(at, figures[name].value, figures[name].standard_error))
    return found
