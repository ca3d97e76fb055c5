"""Graph snapshots: making Kumo ingest the newest raw logs before a prediction or a training.

What a launch without a snapshot reads is not public, so the vendor's SDK always sends a fresh one; so do we.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kumo_assets.resources.kumo.errors import KumoJobFailed, KumoJobTimedOut
from kumo_assets.resources.kumo.model import JobStatus, PollPolicy
from kumo_assets.resources.kumo.paths import at
from kumo_assets.resources.kumo.polling import readings
from kumo_assets.resources.kumo.replies import shown
from kumo_assets.resources.kumo.transport import Transport
from kumo_assets.resources.kumo.wire import mapping, status_of, text

OnStages = Callable[[dict[str, str]], None]


def in_words(say: Callable[[str], object]) -> OnStages:
    """Tells `say` each change of the stages, and nothing while they stay: an ingestion may take an hour."""
    last: list[dict[str, str]] = [{}]

    def on_stages(stages: dict[str, str]) -> None:
        if stages != last[0]:
            last[0] = dict(stages)
            say("Graph snapshot: " + ", ".join(f"{stage} {status}" for stage, status in stages.items()))

    return on_stages


def refresh(
    http: Transport, graph_id: str, policy: PollPolicy, sleep: Callable[[float], None], on_stages: OnStages
) -> str:
    """The id of a new snapshot, once every stage of it is DONE. See KumoClient.refresh_snapshot."""
    # Carried out twice it costs Kumo an ingestion and changes nothing, so it may be repeated.
    made = http.repeat("POST", "/graphsnapshots", graph_id=graph_id, refresh_source="true")
    snapshot = text(mapping(made, "a graph snapshot"), "id")
    seen: dict[str, str] = {}
    for body in readings(lambda: mapping(http.get(at("graphsnapshots", snapshot)), "a graph snapshot"), policy, sleep):
        stages = _stages(body)
        seen = {name: status_of(stage.get("status"))[1] for name, stage in stages.items()}
        on_stages(seen)
        for name, stage in stages.items():
            status, raw = status_of(stage.get("status"))
            if not status.live and status is not JobStatus.DONE:
                said = stage.get("error")
                raise KumoJobFailed(
                    "refresh the snapshot of graph",
                    to=graph_id,
                    found=f"stage {name} ended {raw}: {said if isinstance(said, str) else shown(said)}",
                    next="look at the graph in Kumo; nothing was launched",
                )
        if stages and all(status == JobStatus.DONE.value for status in seen.values()):
            return snapshot
    raise KumoJobTimedOut(
        "refresh the snapshot of graph",
        to=graph_id,
        found=f"after {policy.deadline_seconds / 60:g} minutes its stages are {seen or 'not known'}",
        next="look at the graph in Kumo; nothing was launched",
    )


def _stages(body: Mapping[str, object]) -> dict[str, Mapping[str, object]]:
    found = body.get("stages")
    if not isinstance(found, Mapping):
        return {}
    # What has no status is no stage: a later version may keep something else beside them.
    return {name: stage for name, stage in found.items() if isinstance(stage, Mapping) and "status" in stage}
