"""Which setting matters to which asset. Every setting of a query is placed here, so that a new one cannot be forgotten."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from kumo_sandbox.testing.releases import definition
from pydantic import BaseModel

from kumo_assets.assets.made_from import made_from_now
from kumo_assets.config.load import QueryDefinition, RawSource
from kumo_assets.config.names import CHAIN
from kumo_assets.config.query import PredictiveQuerySpec
from kumo_assets.config.raw_logs import RawTable
from kumo_assets.releases.fingerprints import differences

DAY = "2017-11-30"
KUMO: dict[str, Any] = {"predictive_query_id": "q", "connector": "c", "classes_per_entity": 50}
TABLE: dict[str, Any] = {"table": "NEXT_BUY", "complete": {"record": {}}}
SOURCES = {"kumo": KUMO, "engine": {"classes_per_entity": 50}, "table": TABLE}
# Setting -> (another value of it, the assets that are another thing with it).
MATTERS: dict[str, tuple[Any, set[str]]] = {
    "task": ("multiclass_classification", {"predictions", "postprocessed"}),
    "top_k": (9, {"postprocessed"}),
    "source.kumo.predictive_query_id": ("q2", {"predictions"}),
    "source.kumo.connector": ("c2", {"predictions"}),
    "source.kumo.training_job_id": ("m1", {"predictions"}),
    "source.kumo.graph_id": ("g1", {"predictions"}),
    "source.kumo.refresh_graph": (False, {"predictions"}),
    "source.kumo.send_prediction_time": (False, {"predictions"}),
    "source.kumo.classes_per_entity": (60, {"predictions"}),
    "source.kumo.binary_threshold": (0.3, {"predictions"}),
    "source.table.table": ("OTHER", {"predictions"}),
    "source.table.where": ("AS_OF = {{ partition }}", {"predictions"}),
    "source.table.columns": ({"ENTITY": "USER_ID"}, {"predictions"}),
    "source.table.binary_threshold": (0.3, {"predictions"}),
    "source.engine.classes_per_entity": (60, {"predictions"}),
    "source.engine.binary_threshold": (0.3, {"predictions"}),
    "schedule.time_zone": ("America/New_York", {"predictions"}),
    "export.format": ("dynamodb_json", {"s3_export"}),
    "export.max_file_size_mb": (16, {"s3_export"}),
    "export.fallback_size": (3, {"s3_export"}),
    "table.sample": (3, {"s3_export"}),
    "table.deletion_protection": (False, {"dynamodb_table"}),
    "table.point_in_time_recovery": (True, {"dynamodb_table"}),
    "table.reads_per_second": (20_000, {"dynamodb_table"}),
    "table.replicas": (["eu-west-1"], {"dynamodb_table"}),
    "table.sse": ("alias/predictions", {"dynamodb_table"}),
}
# How things are waited for, when they are begun, who owns them, what is judged or kept: no artefact is another with it.
# Gates are judged again instead (`kumo_assets.gates.settings`).
NOT = {
    "description", "owners", "entity", "show_entities", "raw_logs", "gates", "pointer", "promotion", "retention", "outcomes", "stale_after_hours",
    "waiting_after_hours", "source.kumo.num_workers", "source.table.complete", "source.table.wait_minutes",
    "source.table.poll_seconds", "source.engine.epochs", "source.engine.experiments", "source.engine.small",
    "source.engine.channels", "source.engine.batch_size", "source.engine.learning_rate", "source.engine.fan_out",
    "source.engine.seed", "source.engine.threads", "source.engine.deadline_minutes", "source.engine.training",
    "source.kumo.poll", "source.kumo.training", "source.kumo.entities_agree", "schedule.owner",
    "schedule.at", "schedule.start", "schedule.end", "schedule.late_logs_cut_off_minutes",
    "schedule.late_logs_poll_seconds", "schedule.late_logs_tolerance_minutes", "table.import_deadline_minutes",
    "table.poll_seconds",
}  # fmt: skip


def test_every_setting_is_placed() -> None:
    def leaves(model: type[BaseModel], prefix: str = "") -> set[str]:
        found = set()
        for name, field in model.model_fields.items():
            path = f"{prefix}{name}"
            kinds = [kind for kind in (get_args(field.annotation) or (field.annotation,)) if kind is not type(None)]
            models = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
            found |= leaves(models[0], f"{path}.") if models and path not in NOT else {path}
        return found

    assert leaves(PredictiveQuerySpec) == MATTERS.keys() | NOT


def differing(before: QueryDefinition, after: QueryDefinition) -> set[str]:
    old, new = made_from_now(before, DAY), made_from_now(after, DAY)
    return {asset for asset in CHAIN if differences(old(asset, None), new(asset, None))}


@pytest.mark.parametrize("setting", MATTERS)
def test_a_setting_matters_to_its_assets_alone(setting: str) -> None:
    value, assets = MATTERS[setting]
    chosen = setting.split(".")[1] if setting.startswith("source.") else "kumo"
    source: dict[str, Any] = {chosen: {**SOURCES[chosen]}}
    attributes: dict[str, Any] = {"source": source, "schedule": {"start": "2017-11-01"}}
    before = definition("q1", **attributes)
    inner = attributes
    *folders, name = setting.split(".")
    for folder in folders:
        inner = inner.setdefault(folder, {})
    inner[name] = value
    assert differing(before, definition("q1", **attributes)) == assets


def test_fewer_candidates_are_among_more_and_more_are_not_among_fewer() -> None:
    five, three, nine = (definition("q1", top_k=top_k) for top_k in (5, 3, 9))
    assert differing(five, three) == {"postprocessed"}
    assert differing(five, nine) == {"predictions", "postprocessed"}


def test_the_sql_matters_as_it_is_rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    query = replace(definition("q1", task="regression"), folder=tmp_path)

    def made() -> Any:
        return made_from_now(query, DAY)("postprocessed", None)

    shipped = made()
    path = tmp_path / "postprocess.sql"
    path.write_text("SELECT ENTITY, TARGET_PRED FROM {{ predictions }}")
    own = made()
    assert differences(shipped, own) == ["postprocess.sql takes the place of regression.sql"]
    path.write_text("SELECT ENTITY, TARGET_PRED FROM {{ predictions }}\n")
    assert differences(own, made()) == []
    path.write_text("SELECT ENTITY, 2 * TARGET_PRED AS TARGET_PRED FROM {{ predictions }}")
    assert differences(own, made()) == ["postprocess.sql has changed"]
    path.write_text("SELECT * FROM {{ predictions }} JOIN {{ schema }}.P USING (ENTITY) LIMIT {{ top_k }}")
    monkeypatch.setenv("SNOWFLAKE_SCHEMA", "A")
    of_a = made()
    monkeypatch.setenv("SNOWFLAKE_SCHEMA", "B")
    query = replace(query, spec=query.spec.model_copy(update={"top_k": 7}))
    assert differences(of_a, made()) == ['schema was "A" and is "B"', "top_k was 5 and is 7"]


def test_a_raw_log_that_the_sql_names_matters_by_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNOWFLAKE_DATABASE", "KUMO")
    (tmp_path / "postprocess.sql").write_text("SELECT * FROM {{ predictions }} JOIN {{ transactions }} USING (ENTITY)")

    def made(database: str | None, schema: str, log: str = "transactions") -> Any:
        source = RawSource(log, database, schema, RawTable(table="T"))
        return made_from_now(replace(definition("q1"), folder=tmp_path, sources={log: source}), DAY)(
            "postprocessed", None
        )

    assert differences(made(None, "RAW"), made("KUMO", "RAW")) == []
    assert differences(made(None, "RAW"), made(None, "RAW2")) == [
        'raw log transactions was "KUMO.RAW.T" and is "KUMO.RAW2.T"'
    ]
    assert differences(made(None, "RAW", "products"), made(None, "RAW2", "products")) == []


def test_each_asset_carries_the_fingerprint_of_what_it_is_built_on() -> None:
    from kumo_assets.config.names import QueryNames
    from kumo_assets.releases.store import ReleaseStore
    from kumo_assets.resources.s3_objects import ObjectStore
    from kumo_assets_tests.releases.test_fingerprints import artefact as recorded
    from kumo_assets_tests.support.memory_aws import Memory

    store = ReleaseStore(QueryNames("local", "q1", "bucket"), ObjectStore("bucket", Memory().s3()))
    source = recorded(store, "20171130-1a2b3c4d", "predictions", {"a": 1})
    now = made_from_now(definition("q1"), DAY)
    assert now("postprocessed", source)["predictions"] == source.fingerprint
    assert differences(now("postprocessed", source), {"predictions": "other"}) == [
        "it was built on another predictions"
    ]
