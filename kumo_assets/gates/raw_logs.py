"""Gates on the raw logs of a partition's day: `raw_freshness`, `raw_volume`, `raw_drift`. Pure judgements.

They are verdicts of the query's own release, judged for exactly its day before Kumo is launched: a check on the shared,
unpartitioned `raw/<table>` speaks of no release, and could let one day's pass cover another's failure (rule 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kumo_assets.config.gates import RawDrift, RawFreshness, RawVolume
from kumo_assets.gates.baseline import Baseline
from kumo_assets.gates.drift import MOST_BARS, bootstrap, judge_histograms, judged, nothing
from kumo_assets.gates.judgement import SEVERITIES, Judgement, level, tail, worst
from kumo_assets.gates.statistics import count_floor, psi_floor, psi_pieces, shares

Raw = Mapping[str, Mapping[str, Any]]


def judge_raw_freshness(raw: Raw, limits: RawFreshness, tolerance_minutes: float) -> Judgement:
    """`raw` has for each log `lag_minutes` from its newest event of the day to the day's end: None for a day without
    events, absent for a table that is no stream."""
    warn = tolerance_minutes if limits.warn_minutes is None else limits.warn_minutes
    block = max(3 * tolerance_minutes if limits.block_minutes is None else limits.block_minutes, warn)
    bounds = {"warn_minutes": warn, "block_minutes": block}
    told = {"kind": "absolute"}
    streams = {name: counts["lag_minutes"] for name, counts in raw.items() if "lag_minutes" in counts}
    if not streams:
        return Judgement("ok", "none of the raw logs is a stream", None, bounds, told)
    empty = sorted(name for name, lag in streams.items() if lag is None)
    if empty:
        words = f"{', '.join(empty)} has no event in the partition's day"
        return Judgement("error", words, None, bounds, told, segment=empty[0])
    late = max(sorted(streams), key=lambda name: streams[name])
    lag = streams[late]
    severity = level(lag, warn, block)
    words = f"{late} ends {lag:.0f} minutes before the partition's end" + tail(severity, warn, block, ".0f")
    bars = {f"{name}, minutes": (None, float(value)) for name, value in streams.items()}
    return Judgement(severity, words, lag, bounds, told, segment=late, bars=bars)


def judge_raw_volume(raw: Raw, baseline: Baseline | None, limits: RawVolume) -> Judgement:
    """`raw` has for each log `rows` of the partition's day (of the whole table when it is no stream)."""
    bounds = {"min_rows": limits.min_rows, "warn": limits.warn, "block": limits.block}
    few = sorted(name for name, counts in raw.items() if counts["rows"] < limits.min_rows)
    if few:
        words = f"{few[0]} has {raw[few[0]]['rows']:,} rows for the day; at least {limits.min_rows:,} wanted"
        return Judgement("error", words, float(raw[few[0]]["rows"]), bounds, {"kind": "absolute"}, segment=few[0])
    told = ", ".join(f"{name} {counts['rows']:,} rows" for name, counts in raw.items())
    if baseline is None:
        return bootstrap(f"{told}; there is no earlier release to compare with", limits)
    before = baseline.counts("predictions").get("raw") or {}
    judgements = [
        _volume_of(name, counts["rows"], (before.get(name) or {}).get("rows"), baseline, limits)
        for name, counts in raw.items()
    ]
    return worst(judgements)


def _volume_of(name: str, now: int, was: int | None, baseline: Baseline, limits: RawVolume) -> Judgement:
    if not was:
        return bootstrap(f"{baseline.release_id} stored no count of {name}", limits)
    change = (now - was) / was
    words = f"{name} has {now:,} rows for the day, {change:+.1%} against the {was:,} of {baseline.release_id}"
    judgement = judged(
        abs(change),
        count_floor(was, now),
        limits,
        words,
        baseline.told(rows=was),
        {},
        name,
        {f"rows of {name}": (float(was), float(now))},
    )
    if judgement.severity == "error" and change > 0:
        # Twice the usual sales are news, not a fault; nothing upstream breaks by having more to say.
        return Judgement(
            "warn", judgement.message, change, judgement.limits, judgement.baseline, {}, name, judgement.bars
        )
    return judgement


def judge_raw_drift(raw: Raw, baseline: Baseline | None, reference: Baseline | None, limits: RawDrift) -> Judgement:
    """PSI of each named column against each baseline. `raw[log]["columns"][column]` are the counts of `raw_counts`."""
    compared = [item for item in (baseline, reference) if item is not None]
    if not compared:
        return bootstrap("there is no earlier release to compare raw columns with", limits)
    judgements = []
    for item in compared:
        before = item.counts("predictions").get("raw") or {}
        for name, columns in limits.columns.items():
            for column in columns:
                now = raw[name]["columns"][column]
                was = ((before.get(name) or {}).get("columns") or {}).get(column)
                judgements.append(_column(f"{name}.{column}", now, was, item, limits))
    gravest = max(judgements, key=lambda found: (SEVERITIES.index(found.severity), found.value or 0.0))
    graver = [found.message for found in judgements if found.severity != "ok" and found is not gravest]
    words = "; ".join([gravest.message, *graver])
    return Judgement(
        gravest.severity,
        words,
        gravest.value,
        gravest.limits,
        gravest.baseline,
        {"columns": {found.segment.split(" ")[0]: found.value for found in judgements}},
        gravest.segment,
        gravest.bars,
    )


def _column(
    what: str, now: Mapping[str, Any], was: Mapping[str, Any] | None, baseline: Baseline, limits: RawDrift
) -> Judgement:
    if was is None:
        # A column that was added to the gate after the baseline was built has nothing to be compared with yet.
        return Judgement("ok", f"{baseline.release_id} did not count {what} (bootstrap)", None, {}, {}, segment=what)
    if was["kind"] != now["kind"]:
        return nothing(f"{what} was {was['kind']} in {baseline.release_id} and is {now['kind']}", baseline, limits)
    sizes = (now["units"], was["units"])
    if now["kind"] == "numbers":
        current = now["against_reference" if baseline.kind == "fixed" else "against"]
        if not current or len(current) != len(was["histogram"]):
            return nothing(f"{what} was not counted over the bins of {baseline.release_id}", baseline, limits)
        return judge_histograms(was["histogram"], current, was["edges"], sizes, baseline, limits, what)
    return _categories(what, now, was, sizes, baseline, limits)


def _categories(
    what: str,
    now: Mapping[str, Any],
    was: Mapping[str, Any],
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
        return nothing(f"no values of {what}, here or in {baseline.release_id}", baseline, limits)
    pieces = psi_pieces(before, current)
    pairs = list(zip(shares(before), shares(current), strict=True))
    left, right = max(pairs, key=lambda pair: abs(pair[1] - pair[0]))
    moved = pairs.index((left, right))
    segment = f"{what} = {names[moved]}"
    words = f"PSI {sum(pieces):.4f} of {what} against {baseline.release_id}; {segment} moved most, from {left:.1%} to {right:.1%}"
    bars = dict(list(zip(names, pairs, strict=True))[:MOST_BARS])
    floor = psi_floor(len(names), *sizes)
    return judged(sum(pieces), floor, limits, words, baseline.told(), {}, segment, bars)
