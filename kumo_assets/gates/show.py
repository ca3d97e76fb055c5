"""How a verdict is shown: the check's result in the Dagster UI, with value, limits, baseline and plot; and who is told.

Nothing is judged here, and nothing is read but the verdict.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from kumo_assets.documents import Verdict
from kumo_assets.gates.explain import look_at
from kumo_assets.gates.plots import bars_plot
from kumo_assets.resources.webhook import notify

DESCRIPTIONS = {
    "raw_freshness": "The raw logs reach the end of the partition's day.",
    "raw_volume": "Rows of the raw logs in the partition's day: a least number, and the change against the baseline.",
    "raw_drift": "PSI of the watched raw columns over the partition's day, against the baseline.",
    "kumo_warnings": "Kumo's own warnings and errors, verbatim: none beyond the allow-list; an error always blocks.",
    "volume": "Entities and rows predicted: a least number, and the change against the baseline.",
    "keys": "No null key and no key twice in Kumo's table.",
    "score_range": "Scores are finite, not all the same, and within bounds.",
    "score_drift": "PSI of the predicted scores against the baseline, over its own quantile bins.",
    "list_shape": "The lists to be served: ranked, falling in score, none too long, few short.",
    "class_share": "Total variation of what is recommended, against the baseline.",
    "class_balance": "Total variation of the predicted class, against the baseline.",
    "top_item": "No item takes over the first places.",
    "coverage": "The catalogue that is recommended does not shrink.",
    "unknown_items": "What is recommended is in the catalogue.",
    "entities_lost": "Entities of the active release keep a prediction.",
    "overlap": "Lists do not change altogether from one release to the next.",
}


def check_result(key: dg.AssetKey, verdict: Verdict, counts: Mapping[str, Any]) -> dg.AssetCheckResult:
    """The verdict as the UI shows it. A warning is not passed, but is no error: Dagster lets it through."""
    evidence = {name: value for name, value in verdict.evidence.items() if name not in ("bars", "segment")}
    metadata: dict[str, Any] = {
        "release": verdict.release_id,
        # As text: the page hides JSON behind a click, and these are what a person compares the value with.
        "limits": words(verdict.limits) or "none",
        "baseline": words(verdict.baseline.known()),
        "evidence": dg.MetadataValue.json(evidence),
        "explain": f"kumo-assets gates {verdict.query} --partition {verdict.partition}",
    }
    if verdict.value is not None:
        metadata["value"] = float(f"{verdict.value:.6g}")
    if verdict.segment:
        metadata["moved most"] = verdict.segment
    if verdict.severity != "ok":
        metadata["look at"] = look_at(verdict.gate)
    for name in ("statements", "scans"):
        if name in counts:
            metadata[f"{name} for all gates of this asset"] = int(counts[name])
    if verdict.bars:
        metadata["plot"] = dg.MetadataValue.md(
            bars_plot(verdict.bars, f"{verdict.gate}: this release over its baseline")
        )
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=verdict.gate,
        passed=verdict.passed,
        severity=dg.AssetCheckSeverity.WARN if verdict.severity == "warn" else dg.AssetCheckSeverity.ERROR,
        description=verdict.message,
        metadata=metadata,
    )


def words(values: Mapping[str, Any]) -> str:
    """`block 0.15, warn 0.1`: a small mapping as a line."""
    told = {name: value for name, value in values.items() if value is not None}
    shown = ((name, f"{value:.6g}" if isinstance(value, float) else value) for name, value in told.items())
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in shown)


def tell(query: str, verdicts: Sequence[Verdict]) -> None:
    """One message for all verdicts of an asset that warn or block; none when all is well. Never raises."""
    told = [verdict for verdict in verdicts if not verdict.passed]
    if not told:
        return
    blocked = any(verdict.blocks for verdict in told)
    first = told[0]
    title = f"release {first.release_id} (partition {first.partition}) " + (
        "is blocked by its gates" if blocked else "passes with warnings"
    )
    lines = [f"{'BLOCKS' if verdict.blocks else 'warns'}  {verdict.gate}: {verdict.message}" for verdict in told]
    lines.append(f"kumo-assets gates {query} --partition {first.partition}")
    notify(query, "blocked" if blocked else "warned", title, lines)
