"""Raw logs: observed and shared, of any shape the stream has; late ones waited for, each query against its own anchor."""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from kumo_assets.assets import predictions
from kumo_assets.assets.raw import build_raw_logs
from kumo_assets.config.raw_logs import RawLogsSpec
from kumo_assets.resources.aws import s3_client
from kumo_assets_tests.chain.conftest import QUERY, QUIET, Chain, failure
from kumo_assets_tests.resources.raw_logs import clocks


def observe(chain: Chain, definitions: dg.Definitions, *names: str) -> dg.ExecuteInProcessResult:
    job = dg.define_asset_job("observe", selection=dg.AssetSelection.assets(*[["raw", name] for name in names]))
    merged = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job]))
    return merged.resolve_job_def("observe").execute_in_process(
        instance=chain.instance, run_config=QUIET, raise_on_error=False
    )


def observations(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetObservation]:
    return {
        event.asset_key.path[-1]: event.event_specific_data.asset_observation
        for event in result.all_events
        if event.is_asset_observation
    }


def with_resources(chain: Chain, spec: dict[str, Any]) -> dg.Definitions:
    from kumo_assets.definitions import shared_definitions

    return dg.Definitions.merge(build_raw_logs("more_logs", RawLogsSpec.model_validate(spec)), shared_definitions())


def test_an_observation_tells_rows_newest_event_and_a_version_made_of_both(chain: Chain) -> None:
    result = observe(chain, chain.definitions, "transactions", "products")
    assert result.success
    seen = observations(result)
    rows = chain.sql('SELECT COUNT(*) FROM "KUMO"."RAW"."TRANSACTIONS"')[0][0]
    found = seen["transactions"]
    assert found.metadata["dagster/row_count"].value == rows
    assert found.metadata["newest event"].value.startswith("2017-11-30 23:59")
    assert found.metadata["dagster/last_updated_timestamp"].value == pytest.approx(1512086340)
    assert found.tags["dagster/data_version"].startswith(f"{rows}-2017-11-30 23:59")
    assert seen["products"].metadata["newest event"].value == "not a stream"


def test_what_the_kafka_connector_lands_is_read_through_a_flattening_view(chain: Chain) -> None:
    schema = chain.environment.upper()
    chain.sql(f'CREATE SCHEMA "KUMO"."{schema}"')
    chain.sql(f'CREATE TABLE "KUMO"."{schema}"."CLICKS_LANDING" (RECORD_METADATA VARIANT, RECORD_CONTENT VARIANT)')
    chain.sql(
        f'INSERT INTO "KUMO"."{schema}"."CLICKS_LANDING" SELECT PARSE_JSON(column1), PARSE_JSON(column2) FROM VALUES '
        """('{"offset": 0}', '{"user": {"id": 7}, "at": "2017-11-30T23:59:00", "item": "a"}'), """
        """('{"offset": 1}', '{"user": {"id": 8}, "at": "2017-11-29T10:00:00", "item": "b"}')"""
    )
    spec = {
        "schema": schema,
        "tables": {
            "clicks": {
                "table": "CLICKS",
                "event_time": "AT",
                "kafka": {
                    "landing_table": "CLICKS_LANDING",
                    "columns": {
                        "USER_ID": {"path": "user.id", "type": "NUMBER"},
                        "AT": {"path": "at", "type": "TIMESTAMP_NTZ"},
                        "ITEM": {"path": "item", "type": "STRING"},
                    },
                },
            }
        },
    }
    result = observe(chain, with_resources(chain, spec), "clicks")
    assert result.success, failure(result)
    [found] = observations(result).values()
    assert found.metadata["dagster/row_count"].value == 2
    assert found.metadata["newest event"].value.startswith("2017-11-30 23:59")
    assert sorted(chain.sql(f'SELECT USER_ID, ITEM FROM "KUMO"."{schema}"."CLICKS"')) == [(7, "a"), (8, "b")]
    # A changed definition is what the view says from the next observation on.
    spec["tables"]["clicks"]["kafka"]["columns"]["ITEM"]["path"] = "user.id"
    assert observe(chain, with_resources(chain, spec), "clicks").success
    assert sorted(chain.sql(f'SELECT ITEM FROM "KUMO"."{schema}"."CLICKS"')) == [("7",), ("8",)]


def test_an_emptied_log_fails_its_blocking_check_and_a_missing_one_is_named(chain: Chain) -> None:
    schema = chain.environment.upper()
    chain.sql(f'CREATE SCHEMA "KUMO"."{schema}"')
    chain.sql(f'CREATE TABLE "KUMO"."{schema}"."EMPTY" (SEEN_AT TIMESTAMP_NTZ)')
    tables = {"empty": {"table": "EMPTY", "event_time": "SEEN_AT"}, "missing": {"table": "MISSING"}}
    definitions = with_resources(chain, {"schema": schema, "tables": tables})
    result = observe(chain, definitions, "empty")
    assert not result.success
    [check] = result.get_asset_check_evaluations()
    assert not check.passed
    assert observations(result)["empty"].metadata["newest event"].value == "none"
    absent = observe(chain, definitions, "missing")
    assert "no such table, or no grant to see it" in failure(absent)
    assert "GRANT SELECT" in failure(absent).upper()


def test_late_logs_are_waited_for_until_they_come(
    custom: Callable[..., Chain], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The partition's end is not reached when the run starts; the missing event arrives while it waits."""
    waits = threading.Event()
    outside = predictions._outside_of_the_pool

    def noticed(context: dg.AssetExecutionContext) -> Callable[[float], None]:
        again = outside(context)
        return lambda seconds: (waits.set(), again(seconds))[1]

    monkeypatch.setattr(predictions, "_outside_of_the_pool", noticed)
    yesterday = (datetime.now(UTC).date() - timedelta(days=1)).isoformat()

    def change(spec: dict[str, Any]) -> None:
        spec["schedule"] |= {"late_logs_cut_off_minutes": 60 * 24 * 7, "late_logs_poll_seconds": 0.3}
        spec["schedule"].pop("end", None)
        spec["raw_logs"] = ["late"]
        spec.pop("outcomes", None)  # they are of a log that this query does not have
        # Seen from today, all that was bought in 2017 is equally long ago.
        spec.setdefault("gates", {})["top_item"] = {"mode": "off"}

    schema = "LATE_LOGS"
    chain = custom(
        "patient_query",
        change=change,
        raw={"schema": schema, "tables": {"late": {"table": "LATE", "event_time": "SEEN_AT"}}},
    )
    chain.sql(f'CREATE SCHEMA IF NOT EXISTS "KUMO"."{schema}"')
    chain.sql(f'CREATE OR REPLACE TABLE "KUMO"."{schema}"."LATE" (SEEN_AT TIMESTAMP_NTZ)')
    chain.sql(f"""INSERT INTO "KUMO"."{schema}"."LATE" VALUES ('{yesterday} 12:00:00')""")
    came = threading.Event()

    def deliver() -> None:
        waits.wait(60)
        assert not chain.kumo_jobs()
        chain.sql(f"""INSERT INTO "KUMO"."{schema}"."LATE" VALUES ('{yesterday} 23:59:30')""")
        came.set()

    late = threading.Thread(target=deliver)
    late.start()
    try:
        result = chain.run(yesterday)
    finally:
        late.join()
    assert result.success, failure(result)
    assert came.is_set()
    retried = [event for event in result.all_events if event.event_type_value == "STEP_UP_FOR_RETRY"]
    assert retried, "a step that sleeps would hold its slot in the pool"
    assert len(chain.kumo_jobs()) == 1


def test_late_logs_outside_snowflake_are_waited_for_as_well_and_are_not_counted(
    custom: Callable[..., Chain], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One log on S3, one that a function speaks for, one that nobody does. The first two are late, and come."""
    yesterday = (datetime.now(UTC).date() - timedelta(days=1)).isoformat()
    end = datetime.fromisoformat(f"{yesterday}T23:59:30+00:00")
    client, bucket = s3_client(), os.environ["KUMO_ASSETS_BUCKET"]
    prefix = f"logs-{uuid.uuid4().hex}"

    def write(name: str, at: str) -> None:
        body = json.dumps({"user": 7, "event": {"at": at}}).encode() + b"\n"
        client.put_object(Bucket=bucket, Key=f"{prefix}/{yesterday.replace('-', '/')}/{name}.json", Body=body)

    def change(spec: dict[str, Any]) -> None:
        spec["schedule"] |= {"late_logs_cut_off_minutes": 60 * 24 * 7, "late_logs_poll_seconds": 0.1}
        spec["schedule"].pop("end", None)
        spec["raw_logs"] = ["clicks", "views", "prices"]
        spec.pop("outcomes", None)
        spec.setdefault("gates", {})["top_item"] = {"mode": "off"}

    location = f"s3://{bucket}/{prefix}/%Y/%m/%d/"
    tables = {
        "clicks": {"freshness_from": "s3", "location": location, "event_time": "event.at"},
        "views": {"freshness_from": f"{clocks.__name__}:newest"},
        "prices": {"freshness_from": "none"},
    }
    chain = custom("outside_query", change=change, raw={"tables": tables})
    write("early", f"{yesterday}T12:00:00Z")
    monkeypatch.setitem(clocks.answers, "views", end - timedelta(days=1))

    def deliver() -> None:
        assert not chain.kumo_jobs()
        write("late", f"{yesterday}T23:59:30Z")
        clocks.answers["views"] = end

    late = threading.Timer(1.0, deliver)
    late.start()
    try:
        result = chain.run(yesterday)
    finally:
        late.join()
    assert result.success, failure(result)
    assert len(chain.kumo_jobs()) == 1
    # Observed by the run's first step, before the late ones came.
    seen = observations(result)
    assert seen["clicks"].metadata["newest event"].value == f"{yesterday} 12:00:00+00:00"
    assert seen["clicks"].metadata["newest object"].value.endswith("/early.json")
    assert seen["views"].metadata["freshness from"].value == f"{clocks.__name__}:newest"
    assert seen["prices"].metadata["newest event"].value == "not asked for"
    verdicts = chain.verdicts(chain.release(result, yesterday))
    assert verdicts["raw_freshness"].value == pytest.approx(0.5)
    assert "none is read in Snowflake" in verdicts["raw_volume"].message
    clicks = chain.definitions.get_assets_def(["raw", "clicks"]).get_asset_spec(dg.AssetKey(["raw", "clicks"]))
    assert set(clicks.kinds) == {"s3"}
    assert clicks.metadata["location"] == location
    assert clicks.freshness_policy is not None


def test_queries_in_different_time_zones_share_the_raw_logs(custom: Callable[..., Chain]) -> None:
    """The same day ends at different moments; each query asks the same logs about its own."""
    east = custom("east", change=lambda spec: spec["schedule"].update(time_zone="Asia/Tokyo"))
    west = custom("west", change=lambda spec: spec["schedule"].update(time_zone="America/Los_Angeles"))
    # The logs end at 2017-12-01T00:00Z: the end of 30 November in Tokyo (15:00Z), but not in Los Angeles (08:00Z).
    assert east.run("2017-11-30").success
    refused = west.run("2017-11-30")
    assert not refused.success
    assert "2017-12-01T08:00:00+00:00" in failure(refused)
    [job] = [job for job in east.kumo_jobs() if job["tags"]["kumo_assets.query"] == "east"]
    assert job["config"]["prediction_time"].startswith("2017-11-30T15:00:00")


def test_nothing_of_one_environment_touches_anothers(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    built = chain.run()
    assert chain.promote().success
    release = chain.release(built)
    sealed = chain.ctx().store.sealed(release)
    assert sealed is not None
    names = [*sealed.seal.artefacts.values(), sealed.seal.table]
    assert all(chain.environment in name.lower() for name in names)
    [job] = chain.kumo_jobs()
    assert job["tags"]["kumo_assets.environment"] == chain.environment
    monkeypatch.setenv("KUMO_ASSETS_ENV", chain.environment + "x")
    assert chain.active() is None
    assert chain.ctx().store.listings() == []
    refused = chain.promote()
    assert not refused.success
    assert "no sealed release" in failure(refused)
    part = chain.run(assets=("postprocessed",))
    assert "no release of this partition has predictions" in failure(part)
    assert QUERY in failure(part)
