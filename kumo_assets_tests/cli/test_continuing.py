"""What becomes of an unsealed release: gone on with, adopted from, or left for a new one. In memory; no server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from kumo_sandbox.testing.releases import definition

from kumo_assets.assets.made_from import made_from_now
from kumo_assets.cli.continuing import continuation, unsealed
from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.names import CHAIN, QueryNames, ReleaseId
from kumo_assets.documents import GateRecord, Opened, Verdict, utc_now
from kumo_assets.errors import Refused
from kumo_assets.gates.settings import judged_by_others, mode_for, settings_of
from kumo_assets.releases.store import ReleaseStore
from kumo_assets.resources.object_cache import ObjectCache
from kumo_assets.resources.s3_objects import ObjectStore
from kumo_assets_tests.releases.test_fingerprints import DAY, RELEASE, ROOT, artefact
from kumo_assets_tests.support.memory_aws import Memory


@dataclass
class Begun:
    """A release whose run died after its export, made from `query`."""

    store: ReleaseStore
    query: QueryDefinition
    release: Opened

    def verdict(self, gate: str, asset: str, **more: Any) -> None:
        self.store.write_verdict(
            Verdict(
                query="q1",
                release_id=RELEASE,
                partition=DAY,
                gate=gate,
                asset=asset,
                mode="block",
                passed=False,
                severity="error",
                message="too much",
                decided_at=utc_now(),
                run_id="run",
                **{"settings": settings_of(self.query, gate), **more},
            )
        )

    def goes_on(self, **attributes: Any) -> str:
        """`resumed`, `anew`, `refused`, or the asset that a new release is built from on, by an edited definition."""
        try:
            found = continuation(self.store, definition("q1", **attributes), self.release)
        except Refused as error:
            return "refused" if "--fresh" in str(error) else "refused without a way out"
        if found is None:
            return "anew"
        return found.difference.asset if found.difference is not None else "resumed"


@pytest.fixture
def begun() -> Begun:
    store = ReleaseStore(QueryNames("local", "q1", "bucket"), ObjectStore("bucket", Memory().s3()))
    query = definition("q1")
    release = store.open(
        Opened(
            query="q1",
            environment="local",
            partition=DAY,
            release_id=RELEASE,
            run_id=ROOT,
            root_run_id=ROOT,
            opened_at=utc_now(),
            code_version="1",
            by="ann",
            gates={gate: GateRecord.model_validate(record) for gate, record in query.spec.asked_gates.items()},
        )
    )
    source = None
    for asset in CHAIN[:3]:
        source = artefact(store, RELEASE, asset, made_from_now(query, DAY)(asset, source))
    return Begun(store, query, release)


LISTS: dict[str, Any] = {"gates": {"list_shape": {"warn": 0.9, "block": 0.9}}}
VOLUME: dict[str, Any] = {"gates": {"volume": {"warn": 0.9, "block": 0.9}}}
OTHER_KUMO: dict[str, Any] = {"source": {"kumo": {"predictive_query_id": "q2", "connector": "c"}}}


@pytest.mark.parametrize(
    ("edit", "becomes"),
    [
        ({}, "resumed"),
        ({"schedule": {"start": "2017-10-01"}}, "resumed"),
        (LISTS, "resumed"),
        ({"top_k": 3}, "postprocessed"),
        ({"export": {"format": "dynamodb_json"}}, "s3_export"),
        ({"top_k": 3, "export": {"format": "dynamodb_json"}}, "postprocessed"),
        ({"table": {"replicas": ["eu-west-1"]}}, "resumed"),  # no table is recorded yet
        ({"top_k": 9}, "refused"),
        (OTHER_KUMO, "refused"),
    ],
)
def test_a_release_that_no_gate_stopped(begun: Begun, edit: dict[str, Any], becomes: str) -> None:
    assert begun.goes_on(**edit) == becomes


@pytest.mark.parametrize(
    ("gate", "asset", "edit", "becomes"),
    [
        ("list_shape", "postprocessed", {}, "anew"),
        ("list_shape", "postprocessed", VOLUME, "anew"),
        ("list_shape", "postprocessed", LISTS, "resumed"),
        ("list_shape", "postprocessed", {"gates": {"list_shape": {"mode": "warn"}}}, "anew"),
        ("list_shape", "postprocessed", {"gates": {"list_shape": {"mode": "off"}}}, "anew"),
        ("list_shape", "postprocessed", {"top_k": 3}, "postprocessed"),
        ("list_shape", "postprocessed", OTHER_KUMO, "anew"),
        ("list_shape", "postprocessed", {"export": {"format": "dynamodb_json"}}, "anew"),
        ("volume", "predictions", {"top_k": 3}, "anew"),
        ("volume", "predictions", VOLUME, "resumed"),
        ("volume", "predictions", {**VOLUME, "export": {"format": "dynamodb_json"}}, "s3_export"),
        ("raw_volume", "predictions", {"gates": {"raw_volume": {"min_rows": 0}}}, "resumed"),
        ("import_complete", "dynamodb_table", {}, "resumed"),
        ("import_complete", "dynamodb_table", {"top_k": 3}, "postprocessed"),
    ],
)
def test_a_release_that_a_gate_stopped(begun: Begun, gate: str, asset: str, edit: dict[str, Any], becomes: str) -> None:
    begun.verdict(gate, asset)
    assert begun.goes_on(**edit) == becomes


def test_a_verdict_of_an_earlier_version_stays_final(begun: Begun) -> None:
    begun.verdict("list_shape", "postprocessed", settings=None)
    assert begun.goes_on(**LISTS) == "anew"


def test_what_a_release_adopts_is_compared_with_the_release_that_made_it(begun: Begun) -> None:
    second = begun.store.open(
        begun.release.model_copy(update={"release_id": "20171130-5e6f7a8b", "adopted": {"predictions": RELEASE}})
    )
    begun.release = second
    assert begun.goes_on() == "resumed"
    assert continuation(begun.store, begun.query, second).adopted == ("predictions",)  # type: ignore[union-attr]
    assert begun.goes_on(top_k=9) == "refused"
    begun.verdict("volume", "predictions")
    assert begun.goes_on() == "anew", "the adopted predictions were blocked"


def test_a_mode_is_never_lifted_and_may_become_stricter(begun: Begun) -> None:
    opened = begun.release.model_copy(
        update={"gates": {"a": GateRecord(asset="x", mode="block"), "b": GateRecord(asset="x", mode="warn")}}
    )
    assert [mode_for(opened, gate, "warn") for gate in "abc"] == ["block", "warn", "warn"]
    assert [mode_for(opened, gate, "block") for gate in "abc"] == ["block", "block", "block"]


def test_an_own_gate_is_judged_again_when_its_file_changes(begun: Begun, tmp_path: Any) -> None:
    from dataclasses import replace

    query = replace(begun.query, folder=tmp_path)
    (tmp_path / "gates").mkdir()
    file = tmp_path / "gates" / "mine.sql"
    file.write_text("SELECT 1")
    begun.verdict("mine", "postprocessed", settings=settings_of(query, "mine"))
    verdict = begun.store.verdict(RELEASE, "mine")
    assert verdict is not None
    assert not judged_by_others(query, verdict)
    file.write_text("SELECT 2")
    assert judged_by_others(query, verdict)
    file.unlink()
    assert not judged_by_others(query, verdict), "a gate that was taken away is not lifted"


def test_a_release_that_a_later_sealed_one_has_replaced_is_not_gone_on_with(begun: Begun) -> None:
    names = begun.store.names

    def opened(run: str, hour: int, day: str = DAY) -> Opened:
        root = run * 32
        changed = {
            "release_id": str(ReleaseId.of(day, root)),
            "partition": day,
            "run_id": root,
            "root_run_id": root,
            "opened_at": f"2199-01-01T0{hour}:00:00.000Z",
        }
        return begun.store.open(begun.release.model_copy(update=changed))

    def put(release: Opened, name: str) -> None:
        begun.store.objects.put(f"{names.release_prefix(release.release_id)}{name}", b"not JSON")

    first, second, third, _ = opened("1", 1), opened("2", 2), opened("3", 3), opened("4", 4, "2017-11-29")
    assert unsealed(begun.store, DAY) == [third, second, first, begun.release]
    put(second, "release.json")
    assert unsealed(begun.store, DAY) == [third]
    put(opened("5", 5), "opened.json")
    begun.store.objects.cache = ObjectCache()
    assert unsealed(begun.store, DAY) == [third], "one damaged release stops no other"
    put(third, "release.json")
    assert unsealed(begun.store, DAY) == []


def test_a_damaged_artefact_never_counts_in_its_releases_favour(begun: Begun) -> None:
    key = f"{begun.store.names.release_prefix(RELEASE)}artefacts/postprocessed.json"
    begun.store.objects.put(key, b"not JSON")
    begun.store.objects.cache = ObjectCache()
    assert begun.goes_on() == "anew"
