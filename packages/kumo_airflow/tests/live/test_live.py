"""Airflow 3.3 and Dagster, both real, on the sandbox: what a person sees of a day that goes well, and of days that do not.

`begun` starts every DAG run of this module at once and kills the scheduler while they wait; each test then waits for its
own days, which no other test touches. The order of the tests is for speed only: what takes most is asked for first.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import pytest
from airflow_project import JOB, QUERY
from airflow_world import (
    BACKFILL_DAYS,
    BAD_DAY,
    KILLED_DAGS,
    KILLED_DAYS,
    RETRIED_DAY,
    SCHEDULED_DAY,
    TOKEN,
    World,
    wait_for,
)
from kumo_airflow import operations
from kumo_airflow.events import gates_that_blocked
from kumo_airflow.following import CLEAR_TAG
from kumo_airflow.running import all_events
from playwright.sync_api import sync_playwright

CHROMIUM = "/usr/bin/chromium"
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def begun(world: World) -> World:
    """A backfill of five days (on the second the Kumo job fails once, the third is bad), a scheduled day; the
    scheduler killed while they wait, and started again; two days that wait for Kumo until somebody kills them."""
    of = "kumo_assets.partition"
    world.sandbox.kumo_faults(
        {"kind": "failed", "tags": {of: RETRIED_DAY}},
        {"kind": "job_warnings", "times": None, "tags": {of: BAD_DAY}},
        *({"kind": "long_run", "times": None, "tags": {of: day}} for day in KILLED_DAYS),
    )
    # Before the scheduler, which would write to Airflow's SQLite meanwhile: see `World.backfill`.
    world.backfill("backfilled", "2017-11-21", "2017-11-25")
    for dag in ("scheduled", "backfilled", *KILLED_DAGS):
        world.api("PATCH", f"/dags/{dag}", json={"is_paused": False})
    world.start_airflow("scheduler")
    wait_for("five runs of the backfill", lambda: len(world.runs("backfilled")) == 5)
    waiting = wait_for("a scheduled run that waits in Dagster", lambda: deferred(world, "scheduled"))
    world.facts["scheduled"] = waiting
    world.facts["killed scheduler"] = world.programs.kill("airflow-scheduler")
    world.start_airflow("scheduler")
    for dag, day in zip(KILLED_DAGS, KILLED_DAYS, strict=True):
        asked = {"logical_date": None, "conf": {"partition": day}}
        world.facts[dag] = world.api("POST", f"/dags/{dag}/dagRuns", json=asked)["dag_run_id"]
    return world


def deferred(world: World, dag: str) -> str | None:
    for run in world.runs(dag):
        if world.task(dag, run["dag_run_id"])["state"] == "deferred":
            return str(run["dag_run_id"])
    return None


def pointer(world: World) -> dict[str, Any]:
    env = world.environment
    client = boto3.client(
        "s3",
        endpoint_url=env.get("AWS_ENDPOINT_URL"),
        region_name=env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION"),
        aws_access_key_id=env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
    )
    key = f"{env['KUMO_ASSETS_ENV']}/{QUERY}/active.json"
    found: dict[str, Any] = json.loads(client.get_object(Bucket=env["KUMO_ASSETS_BUCKET"], Key=key)["Body"].read())
    return found


def by_day(world: World) -> dict[str, str]:
    """Partition -> DAG run of the backfill."""
    return {day: run["dag_run_id"] for day, run in zip(BACKFILL_DAYS, world.runs("backfilled"), strict=True)}


def blocked(world: World, run: Any) -> bool:
    return bool(gates_that_blocked(all_events(world.dagster, run.run_id)))


def kumo_status(job: dict[str, Any]) -> str:
    return str(job.get("status") or job.get("shown_status")).upper()


@pytest.mark.parametrize(
    ("dag", "day", "waiting"),
    [(KILLED_DAGS[0], KILLED_DAYS[0], "deferred"), (KILLED_DAGS[1], KILLED_DAYS[1], "running")],
)
def test_kill_ends_the_run_and_its_kumo_job(begun: World, dag: str, day: str, waiting: str) -> None:
    """Deferred, the trigger ends them; in a worker, the operator does."""
    run = begun.facts[dag]
    wait_for("the run to wait for Kumo", lambda: begun.kumo_jobs(day))
    wait_for(f"the task to be {waiting}", lambda: begun.task(dag, run)["state"] == waiting)
    begun.api("PATCH", f"/dags/{dag}/dagRuns/{quote(run)}/taskInstances/build", json={"new_state": "failed"})
    wait_for("the run to end", lambda: begun.dagster_runs(day)[-1].status == "CANCELED")
    wait_for("the Kumo job to end", lambda: {kumo_status(job) for job in begun.kumo_jobs(day)} == {"CANCELLED"})
    assert begun.task(dag, run)["state"] == "failed"


def test_clear_after_success_builds_anew(begun: World) -> None:
    run = by_day(begun)[BACKFILL_DAYS[0]]
    begun.ended("backfilled", run)
    before = begun.xcom("backfilled", run, "release_id")
    cleared = {"dag_run_id": run, "task_ids": ["build"], "only_failed": False, "dry_run": False}
    begun.api("POST", "/dags/backfilled/clearTaskInstances", json=cleared)
    wait_for("a second release", lambda: begun.dagster_runs(BACKFILL_DAYS[0])[-1].release_id != before)
    assert begun.ended("backfilled", run)["state"] == "success"
    last = begun.dagster_runs(BACKFILL_DAYS[0])[-1]
    assert (last.status, begun.xcom("backfilled", run, "release_id")) == ("SUCCESS", last.release_id)


def test_scheduled_run_goes_green_the_pointer_moves_and_airflow_is_told(begun: World) -> None:
    run = begun.facts["scheduled"]
    built = begun.ended("scheduled", run)
    assert built["state"] == "success"
    assert begun.ended("scheduled", run, "live")["state"] == "success"
    found = begun.dagster_runs(SCHEDULED_DAY)[-1]
    release = begun.xcom("scheduled", run, "return_value")
    assert (release, found.status) == (found.release_id, "SUCCESS")
    links = begun.api("GET", f"/dags/scheduled/dagRuns/{quote(run)}/taskInstances/build/links")["extra_links"]
    assert links == {"Dagster run": f"{begun.dagster.settings.url}/runs/{found.run_id}"}
    assert release in {pointer(begun)["release_id"], *(item["release_id"] for item in pointer(begun)["previous"])}
    events = begun.api("GET", "/assets/events", params={"source_dag_id": "scheduled"})["asset_events"]
    assert (events[0]["uri"], events[0]["extra"]["release_id"]) == (f"kumo-assets://{QUERY}/active_pointer", release)
    assert "gate keys passed" in begun.log("scheduled", run, built["try_number"])


def test_scheduler_killed_mid_run_starts_nothing_twice(begun: World) -> None:
    assert begun.programs.running["airflow-scheduler"].pid != begun.facts["killed scheduler"]
    for dag, run in [("scheduled", begun.facts["scheduled"]), *(("backfilled", run) for run in by_day(begun).values())]:
        begun.ended(dag, run)
    days = [SCHEDULED_DAY, *BACKFILL_DAYS]
    # Retries re-execute, under the root run they belong to; what a clear asked for is another test's.
    roots = {day: {run.root_run_id for run in begun.dagster_runs(day) if run.tags[CLEAR_TAG] == "0"} for day in days}
    assert {day: len(found) for day, found in roots.items()} == dict.fromkeys(days, 1)


def test_backfill_of_five_days_with_a_bad_third_one(begun: World) -> None:
    """The gate turns the task red without a retry, says why, and what it blocked never goes live."""
    states = {day: begun.ended("backfilled", run) for day, run in by_day(begun).items()}
    assert {day: found["state"] for day, found in states.items()} == {
        day: "failed" if day == BAD_DAY else "success" for day in BACKFILL_DAYS
    }
    run = by_day(begun)[BAD_DAY]
    attempt = states[BAD_DAY]["try_number"]
    assert [blocked(begun, one) for one in begun.dagster_runs(BAD_DAY)].count(True) == 1  # and asked no second time
    assert begun.xcom("backfilled", run, "outcome") == "blocked"
    assert begun.xcom("backfilled", run, "gates")[0]["gate"] == "kumo_warnings"
    reason = begun.xcom("backfilled", run, "reason")
    assert reason
    assert reason in begun.log("backfilled", run, attempt)
    bad = begun.xcom("backfilled", run, "release_id")
    moves = begun.dagster.do(operations.pointer_moves(QUERY, 100))
    assert bad not in {move.release_id for move in moves}
    assert pointer(begun)["partition"] != BAD_DAY
    runs = {day: begun.dagster_runs(day) for day in BACKFILL_DAYS}
    assert [runs[day][0].tags["dagster/partition"] for day in BACKFILL_DAYS] == BACKFILL_DAYS


def test_retry_continues_the_release_from_its_failure(begun: World) -> None:
    run = by_day(begun)[RETRIED_DAY]
    ended = begun.ended("backfilled", run)
    assert ended["state"] == "success"
    assert ended["try_number"] > 1
    first, *_, last = begun.dagster_runs(RETRIED_DAY)
    assert (first.status, last.status, last.root_run_id) == ("FAILURE", "SUCCESS", first.run_id)
    assert begun.xcom("backfilled", run, "release_id") == first.release_id
    assert "from its failure, same release" in begun.log("backfilled", run, ended["try_number"])


def test_connection_type_and_its_test_button(world: World) -> None:
    body = {
        "connection_id": "asked",
        "conn_type": "kumo_dagster",
        "host": world.dagster.settings.url,
        "password": TOKEN,
    }
    found = world.api("POST", "/connections/test", json=body)
    assert found["status"] is True
    assert JOB in found["message"]
    found = world.api("POST", "/connections/test", json={**body, "host": "http://127.0.0.1:1"})
    assert (found["status"], TOKEN in found["message"]) == (False, False)


@pytest.mark.browser
@pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="Debian's chromium is not there")
def test_dag_page_shows_the_tasks_and_the_button_to_dagster(begun: World, tmp_path: Path) -> None:
    run = begun.facts["scheduled"]
    begun.ended("scheduled", run)
    (link,) = begun.api("GET", f"/dags/scheduled/dagRuns/{quote(run)}/taskInstances/build/links")[
        "extra_links"
    ].values()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(120_000)
        page.goto(f"{begun.url}/dags/scheduled/runs/{quote(run)}")
        page.get_by_text("live").first.wait_for()
        page.get_by_text("build").first.wait_for()
        page.screenshot(path=tmp_path / "dag.png")
        # Airflow 3.3 shows a task's links on its "Details".
        page.goto(f"{begun.url}/dags/scheduled/runs/{quote(run)}/tasks/build/details")
        button = page.get_by_role("link", name="Dagster run")
        button.wait_for()
        page.screenshot(path=tmp_path / "task.png")
        assert button.get_attribute("href") == link
        browser.close()


def test_no_secret_in_any_log(begun: World) -> None:
    begun.ended("scheduled", begun.facts["scheduled"])
    logs = [*Path(begun.airflow["AIRFLOW_HOME"], "logs").rglob("*.log"), *begun.programs.folder.glob("*.log")]
    assert len(logs) > 5
    assert [path for path in logs if TOKEN in path.read_text(errors="replace")] == []
