"""Gates on the raw logs of a partition's day: `raw_freshness`, `raw_volume`, `raw_drift`. Pure judgements.

They are verdicts of the query's own release, judged for exactly its day before Kumo is launched. A check on the shared,
unpartitioned `raw/<table>` belongs to no release, and could let one day's pass cover another's failure (rule 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from kumo_assets.config.gates import RawDrift, RawFreshness, RawVolume
from kumo_assets.gates.against_baseline import bootstrap, judge_figure, limits_of, nothing_compared
from kumo_assets.gates.baseline import Baseline
from kumo_assets.gates.counts import ColumnCounts, RawCounts, ValueColumn
from kumo_assets.gates.drift import MOST_BARS, judge_histograms
from kumo_assets.gates.formulas import count_floor, psi_floor, psi_pieces, shares
from kumo_assets.gates.judgement import ABSOLUTE, Judgement, gravity, level, limit_passed, worst

# Raw log -> its counts.
Raw = Mapping[str, RawCounts]


def judge_raw_freshness(raw: Raw, limits: RawFreshness, tolerance_minutes: float) -> Judgement:
    """Judges `lag_minutes` of every log that is a stream."""
    warn = tolerance_minutes if limits.warn_minutes is None else limits.warn_minutes
    block = max(3 * tolerance_minutes if limits.block_minutes is None else limits.block_minutes, warn)
    bounds = {"warn_minutes": warn, "block_minutes": block}
    streams = {name: counts["lag_minutes"] for name, counts in raw.items() if "lag_minutes" in counts}
    if not streams:
        return Judgement("ok", "none of the raw logs is a stream", None, bounds, ABSOLUTE)
    empty = sorted(name for name, lag in streams.items() if lag is None)
    if empty:
        message = f"{', '.join(empty)} has no event in the partition's day"
        return Judgement("error", message, None, bounds, ABSOLUTE, segment=empty[0])
    lags = {name: lag for name, lag in streams.items() if lag is not None}
    late = max(sorted(lags), key=lambda name: lags[name])
    lag = lags[late]
    severity = level(lag, warn, block)
    message = f"{late} ends {lag:.0f} minutes before the partition's end"
    message += limit_passed(severity, warn, block, ".0f")
    bars = {f"{name}, minutes": (None, float(value)) for name, value in lags.items()}
    return Judgement(severity, message, lag, bounds, ABSOLUTE, segment=late, bars=bars)


def judge_raw_volume(raw: Raw, baseline: Baseline | None, limits: RawVolume) -> Judgement:
    """Judges `rows` of every log whose rows are counted: those in Snowflake."""
    counted = {name: counts["rows"] for name, counts in raw.items() if "rows" in counts}
    if not counted:
        message = "the rows of none of the raw logs are counted: none is read in Snowflake"
        return Judgement("ok", message, None, limits_of(limits), ABSOLUTE)
    few = sorted(name for name, rows in counted.items() if rows < limits.min_rows)
    if few:
        rows = counted[few[0]]
        message = f"{few[0]} has {rows:,} rows for the day; at least {limits.min_rows:,} wanted"
        bounds = {"min_rows": limits.min_rows, **limits_of(limits)}
        return Judgement("error", message, float(rows), bounds, ABSOLUTE, segment=few[0])
    if baseline is None:
        listed = ", ".join(f"{name} {rows:,} rows" for name, rows in counted.items())
        return bootstrap(f"{listed}; there is no earlier release to compare with", limits)
    before = baseline.predictions.get("raw") or {}
    judgements = [
        _volume_of(name, rows, before[name].get("rows") if name in before else None, baseline, limits)
        for name, rows in counted.items()
    ]
    return worst(judgements)


def _volume_of(name: str, now: int, was: int | None, baseline: Baseline, limits: RawVolume) -> Judgement:
    if not was:
        return bootstrap(f"{baseline.release_id} stored no count of {name}", limits)
    change = (now - was) / was
    judgement = judge_figure(
        abs(change),
        count_floor(was, now),
        limits,
        f"{name} has {now:,} rows for the day, {change:+.1%} against the {was:,} of {baseline.release_id}",
        baseline.recorded(rows=was),
        segment=name,
        bars={f"rows of {name}": (float(was), float(now))},
    )
    if judgement.severity == "error" and change > 0:
        # Twice the usual sales are news, not a fault: nothing downstream breaks because there are more events.
        return replace(judgement, severity="warn", value=change)
    return judgement


def judge_raw_drift(raw: Raw, baseline: Baseline | None, reference: Baseline | None, limits: RawDrift) -> Judgement:
    """PSI of each watched column against each baseline."""
    against = [item for item in (baseline, reference) if item is not None]
    if not against:
        return bootstrap("there is no earlier release to compare raw columns with", limits)
    judgements = []
    for item in against:
        before = item.predictions.get("raw") or {}
        for name, columns in limits.columns.items():
            stored = before[name].get("columns") or {} if name in before else {}
            for column in columns:
                now = raw[name]["columns"][column]
                judgements.append(_column(f"{name}.{column}", now, stored.get(column), item, limits))
    gravest = max(judgements, key=gravity)
    others = [found.message for found in judgements if found.severity != "ok" and found is not gravest]
    return replace(
        gravest,
        message="; ".join([gravest.message, *others]),
        evidence={"columns": {found.segment.split(" ")[0]: found.value for found in judgements}},
    )


def _column(what: str, now: ColumnCounts, was: ColumnCounts | None, baseline: Baseline, limits: RawDrift) -> Judgement:
    if was is None:
        # A column that was added to the gate after the baseline was built has nothing to be compared with yet.
        return Judgement("ok", f"{baseline.release_id} did not count {what} (bootstrap)", None, {}, {}, segment=what)
    sizes = (now["units"], was["units"])
    if now["kind"] == "numbers" and was["kind"] == "numbers":
        current = now["against_reference"] if baseline.kind == "fixed" else now["against"]
        if not current or len(current) != len(was["histogram"]):
            message = f"{what} was not counted over the bins of {baseline.release_id}"
            return nothing_compared(message, baseline, limits)
        return judge_histograms(was["histogram"], current, was["edges"], sizes, baseline, limits, what)
    if now["kind"] == "values" and was["kind"] == "values":
        return _categories(what, now, was, sizes, baseline, limits)
    message = f"{what} was {was['kind']} in {baseline.release_id} and is {now['kind']}"
    return nothing_compared(message, baseline, limits)


def _categories(
    what: str,
    now: ValueColumn,
    was: ValueColumn,
    sizes: tuple[int, int],
    baseline: Baseline,
    limits: RawDrift,
) -> Judgement:
    """PSI over the baseline's named values, and one class for all others."""
    names = [*was["values"], "(others)"]
    before = [*was["values"].values(), was["rows"] - sum(was["values"].values())]
    listed = [now["values"].get(name, 0) for name in was["values"]]
    current = [*listed, now["rows"] - sum(listed)]
    if not sum(before) or not sum(current) or not all(sizes):
        return nothing_compared(f"no values of {what}, here or in {baseline.release_id}", baseline, limits)
    value = sum(psi_pieces(before, current))
    pairs = list(zip(shares(before), shares(current), strict=True))
    left, right = max(pairs, key=lambda pair: abs(pair[1] - pair[0]))
    segment = f"{what} = {names[pairs.index((left, right))]}"
    return judge_figure(
        value,
        psi_floor(len(names), *sizes),
        limits,
        f"PSI {value:.4f} of {what} against {baseline.release_id}; {segment} moved most, from {left:.1%} to {right:.1%}",
        baseline.recorded(),
        segment=segment,
        bars=dict(list(zip(names, pairs, strict=True))[:MOST_BARS]),
    )
