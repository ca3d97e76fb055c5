"""The sample of what a release serves: one statement, the same entities in every release, and nobody else drops it."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from kumo_assets.documents import (
    Artefact,
    CalibrationRow,
    Figure,
    Opened,
    Outcome,
    RivalOutcome,
    Served,
    ServedDropped,
    utc_now,
)
from kumo_assets.outcomes.served import PARTS, keep_sample, kept_parts
from kumo_assets.releases.inspection import inspect
from kumo_assets.releases.operations.retire import plan, retire
from kumo_assets.releases.operations.status import report
from kumo_assets_tests.support.embedded_warehouse import Embedded
from kumo_assets_tests.support.memory_shop import MemoryShop, memory_shop

COLUMNS = {"ENTITY": "NUMBER", "CLASS": "NUMBER", "SCORE": "FLOAT", "RANK": "NUMBER"}
ASKED = {"sample": 200}


def artefact_of(shop: MemoryShop, opened: Opened, snowflake: Embedded, entities: range) -> Artefact:
    name = shop.ctx.names.warehouse_table(opened.release_id, "postprocessed")
    rows = [(entity, rank, 1 / rank, rank) for entity in entities for rank in (1, 2)]
    snowflake.put(COLUMNS, rows, name)
    found = shop.artefact(opened, "postprocessed", name, database="KUMO", schema="PUBLIC", source="")
    return found.model_copy(update={"entities": len(entities), "rows": len(rows)})


def kept(snowflake: Embedded, served: Served | None) -> set[int]:
    assert served is not None
    rows = snowflake.run(f"SELECT ENTITY, COUNT(*) FROM {served.table} GROUP BY ENTITY")
    assert {count for _, count in rows} == {2}, "whole lists"
    return {int(entity) for entity, _ in rows}


def test_a_sample_costs_one_statement_and_is_of_the_same_entities_in_every_release(snowflake: Embedded) -> None:
    shop = memory_shop(outcomes=ASKED)
    definition = shop.ctx.definition
    assert definition is not None
    samples = []
    for day, entities in (("2017-11-28", range(2000)), ("2017-11-29", range(3000)), ("2017-11-30", range(150))):
        opened = shop.open(day)
        artefact = artefact_of(shop, opened, snowflake, entities)
        snowflake.sent.clear()
        served = keep_sample(shop.ctx.store, opened, definition, snowflake.warehouse, artefact)
        assert len(snowflake.sent) == 1
        # A step that is run again finds it.
        assert keep_sample(shop.ctx.store, opened, definition, snowflake.warehouse, artefact) == served
        assert len(snowflake.sent) == 1
        samples.append(kept(snowflake, served))
    first, second, small = samples
    assert 150 < len(first) < 250
    assert 150 < len(second) < 250
    assert {entity for entity in second if entity < 2000} <= first, "a smaller share is of the same entities"
    assert small == set(range(150))


def test_a_worker_that_died_after_the_statement_leaves_a_table_that_is_adopted(snowflake: Embedded) -> None:
    shop = memory_shop(outcomes=ASKED)
    definition = shop.ctx.definition
    assert definition is not None
    opened = shop.open()
    artefact = artefact_of(shop, opened, snowflake, range(10))
    name = shop.ctx.names.served_table(opened.release_id)
    snowflake.put(COLUMNS, [(1, 1, 1.0, 1), (1, 2, 0.5, 2)], name)
    served = keep_sample(shop.ctx.store, opened, definition, snowflake.warehouse, artefact)
    assert kept(snowflake, served) == {1}


def test_a_release_that_adopted_the_table_shares_the_sample_of_its_maker(snowflake: Embedded) -> None:
    shop = memory_shop(outcomes=ASKED)
    definition = shop.ctx.definition
    assert definition is not None
    maker = shop.open()
    artefact = artefact_of(shop, maker, snowflake, range(10))
    adopting = shop.open(adopted={"predictions": maker.release_id, "postprocessed": maker.release_id})
    served = keep_sample(shop.ctx.store, adopting, definition, snowflake.warehouse, artefact)
    assert served is not None
    assert served.release_id == maker.release_id
    assert served.table == shop.ctx.names.served_table(maker.release_id)


def test_without_outcomes_nothing_is_kept_and_nothing_is_asked(snowflake: Embedded) -> None:
    shop = memory_shop()
    definition = shop.ctx.definition
    assert definition is not None
    opened = shop.open()
    artefact = artefact_of(shop, opened, snowflake, range(10))
    assert keep_sample(shop.ctx.store, opened, definition, snowflake.warehouse, artefact) is None
    assert snowflake.sent == []


def test_the_share_that_is_kept_is_of_the_wanted_size() -> None:
    assert kept_parts(100, 100) == PARTS
    assert kept_parts(400, 100) == PARTS // 4
    assert kept_parts(10**12, 100) == 1


def with_sample(shop: MemoryShop, release: str) -> str:
    table = shop.ctx.names.served_table(release)
    shop.ctx.store.write_served(
        Served(
            query=shop.query,
            release_id=release,
            partition=f"{release[:4]}-{release[4:6]}-{release[6:8]}",
            task="ranking",
            top_k=5,
            table=table,
            database="KUMO",
            schema="PUBLIC",
            entities=3,
            share=1,
            taken_at=utc_now(),
        )
    )
    return table


def live(shop: MemoryShop, days: int) -> list[str]:
    from kumo_assets.releases.operations.promote import promote

    found = []
    for day in range(days):
        release = shop.build(f"2017-11-{20 + day}")
        with_sample(shop, release)
        promote(shop.ctx, release, by="a test")
        found.append(release)
    return found


def test_retirement_leaves_the_sample_and_lists_it_until_it_is_dropped() -> None:
    shop = memory_shop(outcomes=ASKED)
    oldest, *newer = live(shop, 4)
    table = shop.ctx.names.served_table(oldest)
    dropped: list[str] = []
    assert oldest in retire(shop.ctx, dropped.extend, by="a test")
    assert dropped
    assert table not in dropped
    planned = plan(shop.ctx)
    assert planned.samples == {release: shop.ctx.names.served_table(release) for release in (oldest, *newer)}
    assert planned.foreign == []
    assert report(shop.ctx).samples == [*planned.samples.values()]
    shop.ctx.store.mark_served_dropped(
        ServedDropped(query=shop.query, release_id=oldest, at=utc_now(), by="a test", reason="after the last age")
    )
    assert oldest not in plan(shop.ctx).samples
    assert shop.ctx.store.served(oldest) is None


def test_the_documents_of_outcomes_are_neither_foreign_nor_damaged_and_a_damaged_one_is_reported() -> None:
    shop = memory_shop(outcomes=ASKED)
    release = shop.build()
    with_sample(shop, release)
    store = shop.ctx.store
    store.mark_served_dropped(ServedDropped(query=shop.query, release_id=release, at=utc_now(), by="a test"))
    store.write_outcome(outcome_of(shop.query, release))
    assert inspect(shop.another_context()) == []
    key = f"{shop.ctx.names.release_prefix(release)}outcomes/1.json"
    data, modified = shop.memory.objects[key]
    shop.memory.objects[key] = (data.replace(b'"age_days": 1', b'"age_days": 7'), modified)
    [problem] = inspect(shop.another_context())
    assert "outcomes/1.json is damaged (age_days: 7" in problem


def test_an_outcome_is_written_once_and_conforms_to_its_schema() -> None:
    shop = memory_shop(outcomes=ASKED)
    release = shop.build()
    first = shop.ctx.store.write_outcome(outcome_of(shop.query, release))
    again = first.model_copy(update={"hours_live": 99.0})
    assert shop.another_context().store.write_outcome(again) == first
    schema = json.loads((Path(__file__).parents[2] / "docs/contract/outcome.schema.json").read_text())
    document = json.loads(first.to_json())
    jsonschema.validate(document, schema, format_checker=jsonschema.FormatChecker())
    for field in set(document) & set(schema["required"]):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({name: value for name, value in document.items() if name != field}, schema)


def outcome_of(query: str, release: str) -> Outcome:
    figure = Figure(value=0.5, standard_error=0.1, entities=3)
    rival = RivalOutcome(
        release_id="20171129-1a2b3c4d", figures={"mean_hits": figure}, differences={"mean_hits": figure}
    )
    return Outcome(
        query=query,
        release_id=release,
        partition="2017-11-30",
        task="ranking",
        age_days=1,
        judged=True,
        window_start="2017-12-01T00:00:00.000Z",
        window_end="2017-12-02T00:00:00.000Z",
        judged_at="2017-12-02T02:00:00.000Z",
        run_id="r",
        hours_live=24,
        top_k=5,
        entities=3,
        active=2,
        figures={"mean_hits": figure, "catalogue_shown": Figure(value=0.2)},
        rivals={"before": rival, "fallback": RivalOutcome(reason="the release has no fallback list")},
        calibration=(CalibrationRow(entities=3, predicted=0.4, happened=0.5, standard_error=0.1),),
    )


def test_retirement_drops_the_sample_of_a_query_that_asks_for_no_outcomes_any_more() -> None:
    shop = memory_shop()
    oldest, *_ = live(shop, 4)
    dropped: list[str] = []
    assert oldest in retire(shop.ctx, dropped.extend, by="a test")
    assert shop.ctx.names.served_table(oldest) in dropped
    assert oldest not in plan(shop.ctx).samples
