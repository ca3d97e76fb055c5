"""Time that DynamoDB takes to protect a table is DynamoDB's, not ours. In memory."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, cast

from kumo_sandbox.testing.releases import definition

from kumo_assets.assets import dynamodb_table
from kumo_assets.assets.step import Step
from kumo_assets.config.names import QueryNames
from kumo_assets.documents import Artefact, ExportDetails
from kumo_assets.releases.run import RunIdentity
from kumo_assets.releases.store import ReleaseStore
from kumo_assets.resources.dynamodb.imports import ImportState
from kumo_assets.resources.s3_objects import ObjectStore
from kumo_assets_tests.support.memory_aws import Memory
from kumo_assets_tests.support.opened import OPENED

SLOW = 0.4


def test_protecting_the_table_counts_as_time_outside() -> None:
    memory = Memory()
    client = memory.dynamodb()
    name = f"local-q1-{OPENED.release_id}"
    client.create_table(TableName=name)
    client.tag_resource = lambda **_: time.sleep(SLOW)
    store = ReleaseStore(QueryNames("local", "q1", "a-bucket"), ObjectStore("a-bucket", memory.s3()))
    run = RunIdentity(run_id="run", root_run_id="run", partition=OPENED.partition, by="test")
    step = Step(definition=definition("q1"), store=store, run=run, opened=OPENED, asset="dynamodb_table", warn=print)
    details = ExportDetails(prefix="p/", format="csv")
    stamp: dict[str, Any] = {"query": "q1", "release_id": OPENED.release_id, "attempt": 1, "rows": 3, "entities": 3}
    store.write_artefact(
        Artefact(**stamp, asset="s3_export", name="s3://p/", seconds_outside=0, created_at="", details=details)
    )
    state = ImportState("arn", name, "COMPLETED", 3, 3, 0, 9, "", "s3://p/")
    dynamodb = cast(Any, SimpleNamespace(client=lambda: client, region=lambda: "us-east-1"))
    proved = dynamodb_table._prove(step, dynamodb, 1, state, False, time.perf_counter(), lambda line: None)
    assert proved.seconds_outside >= SLOW
