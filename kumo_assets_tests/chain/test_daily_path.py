"""One day's release, from raw logs to an online answer; and the ways in which days follow one another."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest
from kumo_serving import Answer, Miss, TableReader

from kumo_assets.config.names import CHAIN
from kumo_assets.config.query import NOT_SHOWN
from kumo_assets.documents import PostprocessedDetails
from kumo_assets.sources.kumo import KumoSource
from kumo_assets_tests.chain.conftest import DAY, HOUSEHOLDS, NEXT_DAY, Chain, Day, answer_of, steps


def test_a_day_becomes_a_sealed_release_whose_counts_agree(day: Day) -> None:
    sealed = day.chain.ctx().store.sealed(day.release)
    assert sealed is not None
    counts = sealed.seal.counts
    assert counts.entities == counts.exported == counts.imported == HOUSEHOLDS
    assert counts.rows == HOUSEHOLDS * 5
    assert counts.errors == 0
    assert {verdict.severity for verdict in day.chain.verdicts(day.release).values()} == {"ok"}
    assert sealed.seal.kumo.model_id
    assert sealed.seal.kumo.snapshot_id


def test_the_active_pointer_moves_only_when_promoted_and_services_get_ranked_lists(chain: Chain) -> None:
    result = chain.run()
    assert chain.active() is None
    assert chain.promote().success
    assert chain.active() == chain.release(result)
    found = chain.ctx().pointers.read()
    assert found is not None
    reader = TableReader(
        found.pointer.table, key=found.pointer.key, item_format=found.pointer.item_format, region=found.pointer.region
    )
    try:
        answer = reader.get(1)
        assert isinstance(answer, Answer)
        scores = [score for _, score in answer.predictions]
        assert len(scores) == 5
        assert scores == sorted(scores, reverse=True)
        assert isinstance(reader.get(10**9), Miss)
    finally:
        reader.close()


def test_each_day_is_anchored_at_its_own_end(day: Day) -> None:
    [job] = day.chain.kumo_jobs()
    assert datetime.fromisoformat(job["config"]["prediction_time"]) == datetime(2017, 11, 29, tzinfo=UTC)


def test_later_partitions_go_live_over_earlier_ones_and_never_the_other_way(chain: Chain) -> None:
    """The next day replaces the day before; a late backfill does not overtake it; built again, the later sealed wins."""
    first, second = chain.run(DAY), chain.run(NEXT_DAY)
    assert chain.promote().success
    found = chain.ctx().pointers.read()
    assert found is not None
    assert found.pointer.release_id == chain.release(second, NEXT_DAY)
    assert found.pointer.generation == 1
    late = chain.run(DAY)
    assert late.success
    chain.promote()
    assert chain.active() == chain.release(second, NEXT_DAY)
    again = chain.run(NEXT_DAY)
    assert len({chain.release(first), chain.release(late)}) == 2
    assert chain.promote().success
    assert chain.active() == chain.release(again, NEXT_DAY)


def test_a_fallback_list_of_the_most_recommended_stands_beside_the_export(day: Day) -> None:
    names = day.chain.ctx().store.names
    key = names.release_prefix(day.release) + "fallback.json"
    document = json.loads(day.chain.ctx().objects.client.get_object(Bucket=names.bucket, Key=key)["Body"].read())
    shares = [share for _, share in document["p"]]
    assert shares == sorted(shares, reverse=True)
    assert 0 < shares[0] <= 1


def test_a_run_that_starts_mid_chain_opens_a_release_that_says_what_it_adopts(chain: Chain) -> None:
    whole = chain.run()
    part = chain.run(assets=("s3_export", "dynamodb_table"))
    assert part.success
    assert steps(part) == {"s3_export", "dynamodb_table"}
    opened = chain.ctx().store.opened(chain.release(part))
    assert opened is not None
    assert opened.adopted == {"predictions": chain.release(whole), "postprocessed": chain.release(whole)}
    assert len(chain.kumo_jobs()) == 1
    chain.promote()
    assert chain.active() == chain.release(part)


def test_kumo_3_0_takes_a_day_from_raw_logs_to_an_answer_too(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUMO_API_DIALECT", "v3")
    monkeypatch.setenv("KUMO_API_URL", chain.handle.env["KUMO_API_URL"].removesuffix("/api") + "/v3/api")
    assert KumoSource().check([chain.definition]).startswith(f"{chain.definition.name} by trainingjob-")
    result = chain.run()
    assert result.success, chain.why(result)
    chain.promote()
    assert chain.active() == chain.release(result)
    assert len(answer_of(chain, 1)) == 5
    assert [job["dialect"] for job in chain.kumo_jobs()] == ["v3"]


def test_dynamodb_json_is_the_other_form_of_export_a_stage_the_other_way_and_no_entity_need_be_shown(  # type: ignore[no-untyped-def]
    custom, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = custom(change=lambda spec: spec.update(export={"format": "dynamodb_json"}, show_entities=False))
    url = f"s3://{chain.ctx().names.bucket}/{chain.environment}/"
    stage = f"UNLOADS_{chain.environment}".upper()
    chain.sql(f'CREATE STAGE "KUMO"."PUBLIC"."{stage}" URL = \'{url}\'')
    monkeypatch.setenv("KUMO_ASSETS_STAGE", f"KUMO.PUBLIC.{stage}")
    monkeypatch.delenv("KUMO_ASSETS_STORAGE_INTEGRATION")
    result = chain.run()
    assert result.success, chain.why(result)
    events = result.get_asset_materialization_events()
    shown = {event.asset_key.path[-1]: event.materialization.metadata["preview"].value for event in events}
    assert shown == dict.fromkeys(CHAIN, f"*{NOT_SHOWN}*")
    chain.promote()
    assert chain.active() is not None


def test_a_users_postprocess_sql_decides_what_is_served(custom) -> None:  # type: ignore[no-untyped-def]
    chain = custom(
        sql="""
        SELECT p.ENTITY, p.CLASS, p.SCORE, ROW_NUMBER() OVER (PARTITION BY p.ENTITY ORDER BY p.SCORE DESC, p.CLASS) AS RANK
        FROM {{ predictions }} p JOIN {{ database }}."RAW"."PRODUCTS" c ON c.PRODUCT_ID = p.CLASS
        WHERE c.NAME <> 'product 0'
        QUALIFY RANK <= 3
        """,
        change=lambda spec: spec.update(gates={"list_shape": {"mode": "warn"}}),
    )
    result = chain.run()
    assert result.success, chain.why(result)
    post = chain.ctx().store.artefact(chain.release(result), "postprocessed")
    assert post is not None
    assert post.details_as(PostprocessedDetails).longest == 3
    served = chain.sql(f'SELECT COUNT(*) FROM "KUMO"."PUBLIC"."{post.name}" WHERE CLASS = 1000')
    assert served == [(0,)]


def test_each_asset_shows_rows_schema_links_a_preview_whose_time_and_the_cost(day: Day) -> None:
    release = day.release
    shown: dict[str, dict[str, Any]] = {}
    for event in day.result.get_asset_materialization_events():
        shown[event.asset_key.path[-1]] = dict(event.materialization.metadata)
        assert event.materialization.tags["dagster/data_version"] == f"{release}-a1"
    assert shown.keys() == {"predictions", "postprocessed", "s3_export", "dynamodb_table"}
    for asset, metadata in shown.items():
        assert metadata["release"].value == release, asset
        assert metadata["dagster/partition_row_count"].value > 0, asset
        assert metadata["entities"].value == HOUSEHOLDS, asset
        assert metadata["seconds in outside services"].value > 0, asset
        assert metadata["seconds of our own"].value >= 0, asset
        assert release in metadata["release objects"].value, asset
        assert metadata["preview"].value.count("\n|") in range(2, 8), asset
    for asset in ("predictions", "postprocessed"):
        columns = [column.name for column in shown[asset]["dagster/column_schema"].schema.columns]
        assert columns[:2] == ["ENTITY", "CLASS"], asset
        assert shown[asset]["dagster/table_name"].value.startswith("KUMO.PUBLIC.KUMO_")
    assert isinstance(shown["predictions"]["Kumo job"], dg.UrlMetadataValue)
    assert shown["s3_export"]["dagster/uri"].value.startswith("s3://")
    table = shown["dynamodb_table"]
    assert table["dagster/table_name"].value.endswith(release)
    assert 0 < table["estimated AWS cost (USD)"].value < 0.01
    assert table["sealed at"].value.endswith("Z")


def test_the_pointer_shows_what_is_live_and_what_was(chain: Chain) -> None:
    first = chain.run()
    chain.promote()
    second = chain.run()
    promotion = chain.promote()
    assert promotion.success
    [event] = promotion.get_asset_materialization_events()
    metadata = event.materialization.metadata
    assert metadata["release"].value == chain.release(second)
    assert metadata["previous"].value == chain.release(first)
    assert metadata["generation"].value == 2
    assert metadata["dagster/uri"].value.endswith("/active.json")
    assert event.materialization.tags["dagster/data_version"].startswith("2-")


def test_no_session_of_snowflakes_is_open_while_kumo_works(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session policy may end one that idles through a job of hours; the proof would then fail on a paid job."""
    import snowflake.connector
    from snowflake.connector import SnowflakeConnection

    from kumo_assets.resources.kumo.transport import Transport

    open_now: set[int] = set()
    logins = 0
    log_in, close, send = snowflake.connector.connect, SnowflakeConnection.close, Transport._send
    open_at: list[int] = []

    def connect(**options: Any) -> SnowflakeConnection:
        nonlocal logins
        made = log_in(**options)
        open_now.add(id(made))
        logins += 1
        return made

    def closing(self: SnowflakeConnection, *values: Any, **named: Any) -> None:
        open_now.discard(id(self))
        close(self, *values, **named)

    def asked(self: Transport, *values: Any, **named: Any) -> object:
        open_at.append(len(open_now))
        return send(self, *values, **named)

    monkeypatch.setattr(snowflake.connector, "connect", connect)
    monkeypatch.setattr(SnowflakeConnection, "close", closing)
    monkeypatch.setattr(Transport, "_send", asked)
    assert chain.run(assets=("predictions",)).success
    assert logins > 1
    assert open_at
    assert set(open_at) == {0}
