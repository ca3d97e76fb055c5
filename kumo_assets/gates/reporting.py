"""How verdicts are reported: each as a check result in the Dagster UI, and one notification for those that did not pass.

Nothing is judged here, and nothing but the verdict is read. Text for the terminal is in `explain`, which needs no
Dagster; how a notification is sent is in `resources.webhook`.
"""

import logging
from collections.abc import Mapping, Sequence

import dagster as dg
from kumo_serving.errors import KumoAssetsError

from kumo_assets.documents import Verdict, utc_now
from kumo_assets.gates.counts import Counts
from kumo_assets.gates.explain import look_at
from kumo_assets.gates.plots import bars_plot
from kumo_assets.releases.outbox import Outbox, UnsentAlarm
from kumo_assets.releases.store import ReleaseStore
from kumo_assets.resources.webhook import has_address, notify

_log = logging.getLogger(__name__)


def check_result(key: dg.AssetKey, verdict: Verdict, counts: Counts | None = None) -> dg.AssetCheckResult:
    """The verdict as the UI shows it, with what the counting took. A warning did not pass, but Dagster lets it through:
    it is no error."""
    evidence = {name: value for name, value in verdict.evidence.items() if name not in ("bars", "segment")}
    metadata: dict[str, dg.RawMetadataValue] = {
        "release": verdict.release_id,
        # As text: the page hides JSON behind a click, and these are what a person compares the value with.
        "limits": as_line(verdict.limits) or "none",
        "baseline": as_line(verdict.baseline.known()),
        "evidence": dg.MetadataValue.json(evidence),
        "explain": f"kumo-assets gates {verdict.query} --partition {verdict.partition}",
    }
    if verdict.value is not None:
        metadata["value"] = float(f"{verdict.value:.6g}")
    if verdict.segment:
        metadata["moved most"] = verdict.segment
    if verdict.severity != "ok":
        metadata["look at"] = look_at(verdict.gate)
    if counts is not None and "statements" in counts and "scans" in counts:
        metadata["statements for all gates of this asset"] = counts["statements"]
        metadata["scans for all gates of this asset"] = counts["scans"]
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


def as_line(values: Mapping[str, object]) -> str:
    """`block 0.15, warn 0.1`: a small mapping as a line."""
    known = {name: value for name, value in values.items() if value is not None}
    shown = ((name, f"{value:.6g}" if isinstance(value, float) else value) for name, value in known.items())
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in shown)


def notify_of(query: str, verdicts: Sequence[Verdict], store: ReleaseStore | None = None) -> None:
    """One message for all verdicts of an asset that warn or block; none when all passed. Never raises.

    One that the chat did not take is left in the outbox, if `store` says where that is; the promotion sensor tries again.
    """
    reported = [verdict for verdict in verdicts if not verdict.passed]
    if not reported:
        return
    blocked = any(verdict.blocks for verdict in reported)
    first = reported[0]
    title = f"release {first.release_id} (partition {first.partition}) " + (
        "is blocked by its gates" if blocked else "passes with warnings"
    )
    lines = [f"{'BLOCKS' if verdict.blocks else 'warns'}  {verdict.gate}: {verdict.message}" for verdict in reported]
    lines.append(f"kumo-assets gates {query} --partition {first.partition}")
    kind = "blocked" if blocked else "warned"
    key = f"{kind} {first.release_id} {' '.join(sorted(verdict.gate for verdict in reported))}"
    notify_or_keep(query, kind, title, lines, key, store)


def notify_or_keep(
    query: str, kind: str, title: str, lines: Sequence[str], key: str, store: ReleaseStore | None
) -> None:
    """Send a message. One that the chat did not take is left in the outbox under its `key`, if `store` says where that is.
    Never raises."""
    if notify(query, kind, title, lines) or store is None or not has_address():
        return
    alarm = UnsentAlarm(query=query, key=key, kind=kind, title=title, lines=tuple(lines), since=utc_now(), by="run")
    try:
        Outbox(store.objects, store.names.environment).keep(alarm)
    except KumoAssetsError as error:
        _log.warning("What could not be sent was not written down: %s", error)
