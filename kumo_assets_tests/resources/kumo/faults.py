"""Every fault of the API's section 6, what the client must make of it, and one way to drive it: over real HTTP.

`test_faults.py` holds the client to this table, `fault_table.py` writes it with what was measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kumo_assets.errors import KumoAssetsError
from kumo_assets.resources.kumo.client import KumoClient
from kumo_assets.resources.kumo.errors import KumoOutputUnproved
from kumo_assets.resources.kumo.model import KumoJob, Launch, PollPolicy
from kumo_assets_tests.resources.kumo.world import GRAPH, POLL, TOKEN, World, new_release

PROVED = "predictions, proved"


@dataclass(frozen=True)
class Fault:
    """One row. `outcome` is PROVED or the error's class, `says` words of the error (or of the job's warnings); `jobs`
    how many jobs the server must have started. `client`, `launch` and `poll` change the client, the launch and the
    patience; `runs` is how often the run is executed (a re-execution continues the same release); `token` is what the
    token file holds, `during` what happens once the job is launched."""

    name: str
    outcome: str
    jobs: int
    faults: tuple[dict[str, Any], ...] = ()
    says: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    client: dict[str, Any] = field(default_factory=dict)
    launch: dict[str, Any] = field(default_factory=dict)
    poll: PollPolicy = POLL
    runs: int = 1
    token: str = ""
    during: Callable[[World, Path], None] = lambda world, token_file: None


@dataclass(frozen=True)
class Outcome:
    """What came of a row: PROVED or the error's class, its text, jobs on the server, seconds until the caller knew."""

    outcome: str
    text: str
    jobs: int
    seconds: float
    job: KumoJob | None


def f(kind: str, operation: str | None = None, times: int | None = 1, after: int = 0, **with_: Any) -> dict[str, Any]:
    return {"kind": kind, "operation": operation, "times": times, "after": after, "with": with_}


def _next_token(world: World, token_file: Path) -> None:
    """Snowflake gives a service a new token within the hour: the file has it, the client still holds the old one."""
    world.settings(token="the-token-after-it")
    token_file.write_text("the-token-after-it")


V3: dict[str, Any] = {"dialect": "v3"}
WITH_TOKEN: dict[str, Any] = {"api_key": ""}
BRIEF = replace(POLL, deadline_seconds=2, cancel_seconds=5)
FAULTS = (
    Fault("none", PROVED, 1),
    Fault("none, in 3.0", PROVED, 1, client=V3),
    # 1. authentication
    Fault("wrong key", "KumoUnauthorized", 0, client={"api_key": "acme:wrong-secret-9"}, says="KUMO_API_KEY"),
    Fault("key reset while the job runs (401)", "KumoUnauthorized", 1, (f("key_rotated", "get"),), "invalidates"),
    Fault(
        "key reset while the job runs (403)",
        "KumoUnauthorized",
        1,
        (f("key_rotated", "get"),),
        "HTTP 403",
        settings={"denied_status": 403},
    ),
    Fault("native app's token, right", PROVED, 1, client=WITH_TOKEN, token=TOKEN),
    Fault(
        "native app's token runs out while the job runs", PROVED, 1, client=WITH_TOKEN, token=TOKEN, during=_next_token
    ),
    Fault("native app's token, never right", "KumoUnauthorized", 0, client=WITH_TOKEN, token="not-it", says="HTTP 401"),
    Fault(
        "tenant with RBAC, no group configured", "KumoUnauthorized", 0, settings={"rbac": True}, says="KUMO_GROUP_ID"
    ),
    Fault("tenant with RBAC, group configured", PROVED, 1, settings={"rbac": True}, client={"group_id": "group-1"}),
    # 2. what is not there
    Fault(
        "unknown query", "KumoRefused", 0, launch={"query_id": "no_such_query"}, says="no training job that ended DONE"
    ),
    Fault("unknown pinned model", "KumoRefused", 0, launch={"training_job_id": "trainingjob-none"}, says="HTTP 404"),
    Fault(
        "query without a trained model", "KumoRefused", 0, (f("replace_body", "training_list", body=[]),), "train the"
    ),
    Fault("3.0: unknown project", "KumoRefused", 0, client={**V3, "project": "nobody"}, says="KUMO_PROJECT"),
    Fault("3.0: unknown connector", "KumoRefused", 0, client=V3, launch={"connector": "nowhere"}, says="'nowhere'"),
    Fault(
        "3.0: more than 500 candidates", "ConfigError", 0, client=V3, launch={"num_classes": 501}, says="at most 500"
    ),
    # 3. error bodies
    Fault(
        "launch refused, 422 and a list of details", "KumoRefused", 0, (f("detail_list", "launch"),), "field required"
    ),
    Fault("launch refused, 400 and a detail", "KumoRefused", 0, (f("detail_string", "launch"),), "Bad request"),
    Fault("a proxy's HTML with 502 on launch", PROVED, 1, (f("html", "launch"),)),
    Fault("a proxy's HTML with 200 on launch, never passed on", PROVED, 1, (f("html", "launch", status=200),)),
    Fault("a proxy's HTML with 200 twice while the job runs", PROVED, 1, (f("html", "get", 2, status=200),)),
    Fault(
        "a proxy's HTML with 200 for good",
        "KumoMalformed",
        1,
        (f("html", "get", None, status=200),),
        "a proxy may answer",
        poll=replace(POLL, outage_seconds=0.5),
    ),
    Fault("a redirect", "KumoRefused", 0, (f("redirect", "launch"),), "not followed"),
    Fault("half a JSON document on launch", PROVED, 1, (f("not_json", "launch"),)),
    Fault("null instead of a launch's answer", PROVED, 1, (f("null_body", "launch"),)),
    # 4. 200 that is none
    Fault(
        "launch refused with 200 and errors", "KumoRefused", 0, (f("refused"),), "The prediction job was not accepted"
    ),
    Fault("launch accepted with warnings", PROVED, 1, (f("launch_warnings"),), "Old model"),
    Fault("launch accepted with warnings, worker restarted", PROVED, 1, (f("launch_warnings"),), "Old model", runs=2),
    Fault("job DONE with warnings", PROVED, 1, (f("job_warnings"),), "Low data quality"),
    # 5. ambiguous launches
    Fault("launch accepted, then silence", PROVED, 1, (f("accept_then_hang"),)),
    Fault("launch accepted, then the connection reset", PROVED, 1, (f("accept_then_reset"),)),
    Fault("launch accepted, then 504", PROVED, 1, (f("accept_then_status", status=504),)),
    Fault("launch accepted, then a proxy's 524", PROVED, 1, (f("accept_then_status", status=524),)),
    Fault(
        "launch accepted, reset, and the tags searchable later",
        PROVED,
        1,
        (f("accept_then_reset"),),
        settings={"tags_visible_after": 0.25},
    ),
    Fault("launch not accepted, silence", PROVED, 1, (f("hang", "launch"),)),
    Fault("launch not accepted, connection reset", PROVED, 1, (f("reset", "launch"),)),
    Fault("launch never answered", "KumoUnreachable", 0, (f("reset", "launch", None),), "reach Kumo"),
    Fault("launch accepted, then reset, in 3.0", PROVED, 1, (f("accept_then_reset"),), client=V3),
    Fault("lists in any order", PROVED, 1, (f("accept_then_reset"),), settings={"list_order": "shuffled"}),
    # 6. too many, and trouble
    Fault("429 with Retry-After on GET", PROVED, 1, (f("status", "get", 2, status=429, retry_after=1),)),
    Fault("429 without Retry-After on GET", PROVED, 1, (f("status", "get", 2, status=429),)),
    Fault("429 with Retry-After on launch", PROVED, 1, (f("status", "launch", status=429, retry_after=1),)),
    Fault("429 without Retry-After on launch", PROVED, 1, (f("status", "launch", status=429),)),
    Fault(
        "408, 500 and 503 while the job runs", PROVED, 1, tuple(f("status", "get", status=s) for s in (408, 500, 503))
    ),
    Fault("503 on each look for the release's job", "KumoUnreachable", 0, (f("status", "list", None),), "HTTP 503"),
    Fault(
        "Kumo away for good while the job runs",
        "KumoUnreachable",
        1,
        (f("reset", "get", None),),
        "reach Kumo",
        poll=replace(POLL, outage_seconds=0.5),
    ),
    # 7. statuses
    Fault("a long queue", PROVED, 1, (f("long_queue", seconds=1),)),
    Fault("a status nobody knows, for good", "KumoJobTimedOut", 1, (f("unknown_status"),), "HIBERNATING", poll=BRIEF),
    Fault("UNTRAINED", "KumoJobUnusable", 1, (f("untrained"),), "UNTRAINED"),
    Fault("MISSING", "KumoJobUnusable", 1, (f("missing"),), "MISSING"),
    Fault("the job is gone while it runs", "KumoRefused", 1, (f("status", "get", None, status=404),), "HTTP 404"),
    Fault("snapshot's ingestion fails", "KumoJobFailed", 0, (f("snapshot_failed"),), "stage INGEST ended FAILED"),
    # 8. DONE that is none
    Fault("DONE without a count", PROVED, 1, (f("null_result"),)),
    Fault("DONE and 0 entities reported", "KumoOutputUnproved", 1, (f("zero_entities"),), "the job reported 0"),
    Fault(
        "DONE before the table is there",
        PROVED,
        1,
        (f("late_table", seconds=0.3),),
        poll=replace(POLL, table_seconds=10),
    ),
    Fault("DONE without a table, and the run executed again", PROVED, 2, (f("done_without_table"),), runs=2),
    Fault("DONE without a table", "KumoOutputUnproved", 1, (f("done_without_table"),), "no such table"),
    Fault("DONE, entities missing in the table", "KumoOutputUnproved", 1, (f("partial_write"),), "the job reported 40"),
    Fault("DONE, the table empty", "KumoOutputUnproved", 1, (f("empty_table"),), "no rows"),
    Fault("DONE, yesterday's table", "KumoOutputUnproved", 1, (f("stale_table"),), "from before this job"),
    Fault(
        "tenant too old for prediction_time",
        "KumoOutputUnproved",
        1,
        settings={"tenant": "old"},
        says="source.kumo.send_prediction_time",
    ),
    # 9. failures
    Fault("FAILED with reasons", "KumoJobFailed", 1, (f("failed"),), "ended with an internal error"),
    Fault("FAILED without detail", "KumoJobFailed", 1, (f("failed_without_detail"),), "gave no reason"),
    Fault("FAILED, and the run executed again", PROVED, 2, (f("failed"),), runs=2),
    # 10. cancelling
    Fault("deadline passes", "KumoJobTimedOut", 1, (f("long_queue"),), "is now CANCELLED", poll=BRIEF),
    Fault(
        "deadline passes, DONE after the cancel",
        "KumoJobTimedOut",
        1,
        (f("late_cancel"), f("long_run", seconds=2.6)),
        "ended DONE all the same",
        poll=BRIEF,
    ),
    Fault(
        "deadline passes, DONE after the cancel, run executed again",
        PROVED,
        1,
        (f("late_cancel"), f("long_run", seconds=2.6)),
        poll=BRIEF,
        runs=2,
    ),
    Fault(
        "deadline passes, the cancel refused",
        "KumoJobTimedOut",
        1,
        (f("cancel_refused"), f("long_run")),
        "did not accept",
        poll=replace(BRIEF, cancel_seconds=0.5),
    ),
    # 11. other versions
    Fault("durations as seconds", PROVED, 1, (f("float_durations", "any", None),)),
    Fault("fields of a later version", PROVED, 1, (f("extra_fields", "any", None),)),
    Fault("fields of an earlier version missing", PROVED, 1, (f("missing_fields", "get", None),)),
    Fault("progress null", PROVED, 1, (f("null_body", "progress", None), f("long_run", seconds=0.3))),
    Fault("progress refused", PROVED, 1, (f("status", "progress", None, status=404), f("long_run", seconds=0.3))),
    # 13. tracking URL
    Fault("tracking URL of an inner host", PROVED, 1, settings={"tracking_base": "http://10.0.0.7:8080"}),
)


def run(fault: Fault, world: World, scratch: Path) -> Outcome:
    """Drive one row: what the predictions asset does, with the fault in the way. The time is of the last execution."""
    world.clear()
    world.settings(**fault.settings)
    if fault.faults:
        world.fault(*fault.faults)
    release = new_release()
    token_file = scratch / "token"
    changes = dict(fault.client)
    if fault.token:
        token_file.write_text(fault.token)
        changes["token_file"] = str(token_file)
    with world.client(**changes) as client:
        for _ in range(fault.runs):
            started = time.perf_counter()
            job: KumoJob | None = None
            try:
                job = _release(fault, world, client, release, token_file)
                outcome, text = PROVED, "; ".join(map(str, job.warnings))
            except KumoAssetsError as error:
                outcome, text = type(error).__name__, str(error)
            seconds = time.perf_counter() - started
    return Outcome(outcome, text, len(world.jobs()), seconds, job)


def _release(fault: Fault, world: World, client: KumoClient, release: str, token_file: Path) -> KumoJob:
    def identify(attempt: int) -> Launch:
        return world.launch(release, attempt, **fault.launch)

    def make(attempt: int) -> Launch:
        launch = identify(attempt)
        snapshot = client.refresh_snapshot(GRAPH, fault.poll)
        model = launch.training_job_id or client.newest_model(launch.query_id).job_id
        return replace(launch, training_job_id=model, graph_snapshot_id=snapshot)

    def believe(attempt: int, done: KumoJob) -> bool:
        try:
            world.prove(done, identify(attempt).table, identify(attempt).prediction_time, fault.poll)
        except KumoOutputUnproved:
            return False
        return True

    attempt, job, _ = client.adopt_or_launch(identify, make, believe)
    fault.during(world, token_file)
    # A restarted worker knows nothing but the job's id.
    job = client.wait(job if fault.runs == 1 else job.job_id, fault.poll)
    world.prove(job, identify(attempt).table, identify(attempt).prediction_time, fault.poll)
    return job
