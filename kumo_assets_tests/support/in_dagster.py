"""One query in a Dagster of a test's own: its jobs run in this process, its promotion sensor ticked as the daemon does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from kumo_sandbox.testing.releases import BUCKET, Shop, new_query, shop

from kumo_assets.releases.operations.promote import promote

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class Dagster:
    """One query's definitions, as `dg` loads them, on an instance of this test's own."""

    shop: Shop
    instance: dg.DagsterInstance
    definitions: dg.Definitions
    cursor: str | None = None
    others: list[dg.DagsterInstance] = field(default_factory=list)

    def on_new_storage(self) -> None:
        """From here on a Dagster whose storage begins with nothing, under the cursor of before."""
        self.instance = dg.DagsterInstance.ephemeral()
        self.others.append(self.instance)

    def run(self, name: str, config: dict[str, Any] | None = None, op: str = "", **more: Any) -> Any:
        job = self.definitions.resolve_job_def(f"{self.shop.query}_{name}")
        ops = {"ops": {op or name: {"config": config}}} if config is not None else {}
        return job.execute_in_process(
            instance=self.instance, run_config={**QUIET, **ops}, raise_on_error=False, tags={"user": "ann"}, **more
        )

    def tick(self) -> dg.SensorResult:
        """One tick of the promotion sensor; its events are stored as the daemon stores them."""
        sensor = self.definitions.get_repository_def().get_sensor_def("promotion_sensor")
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursor,
            repository_def=self.definitions.get_repository_def(),
            resources={
                name: (self.definitions.resources or {})[name] for name in ("kumo_assets_releases", "kumo_assets_s3")
            },
        ) as context:
            found = sensor(context)
        assert isinstance(found, dg.SensorResult)
        self.cursor = found.cursor
        for event in found.asset_events:
            self.instance.report_runless_asset_event(event)
        return found

    @property
    def pointer(self) -> dg.AssetKey:
        return dg.AssetKey([self.shop.query, "active_pointer"])

    def last(self) -> dg.AssetMaterialization:
        """The newest materialisation of the pointer, as the UI shows it."""
        event = self.instance.get_latest_materialization_event(self.pointer)
        assert event is not None
        assert event.asset_materialization is not None
        return event.asset_materialization


def define(defs: Path, *queries: str, **attributes: Any) -> dg.Definitions:
    """The definitions of a project of these queries, each the shipped one under another name, as `dg` loads them.
    `attributes` replace what the shipped one says."""
    from kumo_assets.components.predictive_query import build_query
    from kumo_assets.components.raw_logs import build_raw_logs
    from kumo_assets.config.index import DefinitionsIndex
    from kumo_assets.definitions import shared_definitions

    shipped = Path(__file__).parents[2] / "kumo_assets" / "defs"
    for name, source in (("raw_logs", "raw_logs"), *((query, "next_best_product") for query in queries)):
        folder = defs / name
        folder.mkdir(parents=True)
        document = yaml.safe_load((shipped / source / "defs.yaml").read_text())
        if name in queries:
            document["attributes"].update(retention={"keep": 1, "min_age_hours": 0, "grace_minutes": 0}, **attributes)
        (folder / "defs.yaml").write_text(yaml.safe_dump(document))
    index = DefinitionsIndex(defs)
    definitions = [index.query(query) for query in queries]
    return dg.Definitions.merge(
        *(build_query(definition, index.raw_sources(definition)) for definition in definitions),
        build_raw_logs("raw_logs", index.raw_logs()["raw_logs"]),
        shared_definitions(),
    )


@pytest.fixture
def dagster(aws: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dagster]:
    query = new_query()
    definitions = define(tmp_path / "defs", query)
    monkeypatch.setenv("KUMO_ASSETS_ENV", "local")
    monkeypatch.setenv("KUMO_ASSETS_BUCKET", BUCKET)
    with dg.instance_for_test() as instance:
        found = Dagster(shop(query=query), instance, definitions)
        yield found
        for other in found.others:
            other.dispose()


def two(dagster: Dagster) -> tuple[str, str]:
    """Two releases, promoted one after the other from outside Dagster."""
    first = dagster.shop.build("2017-11-29")
    promote(dagster.shop.ctx, first, by="ann")
    second = dagster.shop.build("2017-11-30")
    promote(dagster.shop.ctx, second, by="ann")
    return first, second
