"""Stored documents: `data/` was written by the chain at commit 91d9d5a, whose models kept dictionaries where types are now."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from kumo_assets.documents import (
    Artefact,
    ComparedWith,
    Details,
    Document,
    ExportDetails,
    ImportDetails,
    KumoNotice,
    LedgerEntry,
    NoticeDetails,
    Opened,
    PostprocessedDetails,
    PredictionDetails,
    SampleDetails,
    Seal,
    Verdict,
    WarehouseDetails,
)
from kumo_assets.errors import ReleaseError

DATA = Path(__file__).parent / "data"
CONTRACT = Path(__file__).parents[2] / "docs" / "contract"
DETAILS: dict[str, type[Details]] = {
    "predictions": PredictionDetails,
    "postprocessed": PostprocessedDetails,
    "s3_export": ExportDetails,
    "dynamodb_table": ImportDetails,
}
FILES: list[tuple[str, type[Document], str]] = [
    ("opened.json", Opened, "opened"),
    ("release.json", Seal, "release"),
    ("ledger_entry.json", LedgerEntry, "ledger-entry"),
    *((f"artefacts/{asset}.json", Artefact, "artefact") for asset in DETAILS),
    *((f"verdicts/{path.name}", Verdict, "verdict") for path in sorted((DATA / "verdicts").glob("*.json"))),
]


# Fields whose keys are names: of assets, of gates, or of what a gate chose.
BY_NAME = ("adopted", "gates", "artefacts", "statistics", "timings", "limits", "baseline", "evidence")


def read(data: bytes, kind: type[Document]) -> Any:
    """The document, an artefact with its details as its asset's type."""
    document = kind.from_json(data, "here")
    if isinstance(document, Artefact):
        document = Artefact(**{**dict(document), "details": document.details_as(DETAILS[document.asset])})
    return document


def stored(file: str, kind: type[Document]) -> Any:
    return read((DATA / file).read_bytes(), kind)


def artefact(asset: str, **changes: Any) -> Artefact:
    """The stored artefact with some of its details changed, and those set to None left out."""
    document = json.loads((DATA / f"artefacts/{asset}.json").read_bytes())
    details = document["details"] | changes
    document["details"] = {name: value for name, value in details.items() if value is not None}
    return Artefact.from_json(json.dumps(document).encode(), asset)


def other_fields(document: Any) -> Any:
    """The JSON value with a field more in each object that has known fields."""
    if isinstance(document, dict):
        known = {name: value if name in BY_NAME else other_fields(value) for name, value in document.items()}
        return known | {"of_a_newer_writer": 1}
    return [other_fields(item) for item in document] if isinstance(document, list) else document


@pytest.mark.parametrize(("file", "kind", "schema"), FILES)
def test_what_the_types_write_is_byte_for_byte_what_the_dictionaries_wrote(
    file: str, kind: type[Document], schema: str
) -> None:
    written = stored(file, kind).to_json()
    assert written == (DATA / file).read_bytes()
    jsonschema.validate(json.loads(written), json.loads((CONTRACT / f"{schema}.schema.json").read_text()))


def test_details_are_written_with_the_names_that_the_dictionaries_had() -> None:
    details = PredictionDetails(
        job_id="j",
        predictive_query_id="q",
        warnings=(KumoNotice(title="Slow", message="It was slow."),),
        database="KUMO",
        schema="PUBLIC",
    )
    written = json.loads(Artefact(**{**dict(artefact("predictions")), "details": details}).to_json())["details"]
    assert written == {
        "job_id": "j",
        "predictive_query_id": "q",
        "model_id": None,
        "snapshot_id": None,
        "tracking_url": None,
        "warnings": [{"title": "Slow", "message": "It was slow."}],
        "errors": [],
        "database": "KUMO",
        "schema": "PUBLIC",
        "adopted": False,
    }


@pytest.mark.parametrize(("file", "kind"), [(file, kind) for file, kind, _ in FILES])
def test_a_newer_writers_fields_are_ignored(file: str, kind: type[Document]) -> None:
    newer = json.dumps(other_fields(json.loads((DATA / file).read_bytes()))).encode()
    assert newer.count(b"of_a_newer_writer") >= 1
    assert read(newer, kind) == stored(file, kind)


def test_fields_that_an_older_artefact_lacks_have_defaults() -> None:
    export = artefact("s3_export", files=None, bytes=None, fallback=None, source=None, sample=None)
    assert export.details_as(ExportDetails) == ExportDetails(
        prefix=export.details_as(ExportDetails).prefix, format="csv"
    )
    old = artefact("predictions", job_id=None, warnings=None, errors=None, adopted=None, tracking_url=None)
    assert old.details_as(PredictionDetails).warnings == ()
    assert old.details_as(PredictionDetails).tracking_url is None
    assert artefact("postprocessed").details_as(NoticeDetails) == NoticeDetails()
    assert artefact("postprocessed").details_as(SampleDetails).sample == ()


@pytest.mark.parametrize(
    ("asset", "kind", "changes", "field"),
    [
        ("s3_export", ExportDetails, {"prefix": None}, "details.prefix: Field required"),
        ("s3_export", ExportDetails, {"format": "parquet"}, "details.format: Input should be 'csv' or"),
        ("s3_export", SampleDetails, {"sample": [{"entity": "1"}]}, "details.sample.0.p: Field required"),
        ("s3_export", ImportDetails, {}, "details.import_arn: Field required"),
        ("dynamodb_table", ImportDetails, {"key": {"name": "e"}, "errors": "none"}, "details.errors: Input should be"),
        ("predictions", WarehouseDetails, {"schema": None}, "details.schema: Field required"),
    ],
)
def test_details_that_do_not_fit_are_an_error_that_names_object_and_field(
    asset: str, kind: type[Details], changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(ReleaseError) as caught:
        artefact(asset, **changes).details_as(kind)
    assert f"artefacts/{asset}.json of release 20171129-23e88bf1 of next_best_product" in str(caught.value)
    assert field in str(caught.value)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"counts": {"rows": 1, "entities": 1, "exported": 1, "errors": 0}}, "counts.imported: Field required"),
        ({"key": {"name": 1}}, "key.name: Input should be a valid string"),
        ({"kumo": {"job_id": 7}}, "kumo.job_id: Input should be a valid string"),
        ({"timings": {"predictions": "long"}}, "timings.predictions: Input should be a valid number"),
    ],
)
def test_a_damaged_seal_is_an_error_that_names_the_object_and_the_field(change: dict[str, Any], field: str) -> None:
    damaged = json.loads((DATA / "release.json").read_bytes()) | change
    with pytest.raises(ReleaseError) as caught:
        Seal.from_json(json.dumps(damaged).encode(), "s3://bucket/release.json")
    assert "s3://bucket/release.json" in str(caught.value)
    assert field in str(caught.value)


def test_what_is_no_number_in_counts_is_stored_as_null() -> None:
    """JSON has no NaN; another language's reader would refuse the whole seal."""
    counts = {"predictions": {"lowest": float("nan"), "edges": [float("inf"), 1.5]}}
    seal = Seal(**{**dict(stored("release.json", Seal)), "statistics": counts})
    assert b"NaN" not in seal.to_json()
    assert json.loads(seal.to_json())["statistics"] == {"predictions": {"lowest": None, "edges": [None, 1.5]}}


@pytest.mark.parametrize(
    ("change", "agree"),
    [
        ({}, True),
        ({"errors": 1}, False),
        ({"imported": 59}, False),
        ({"exported": 61}, False),
        ({"entities": 1}, False),
    ],
)
def test_counts_agree_when_entities_rows_and_items_are_as_many_without_errors(
    change: dict[str, int], agree: bool
) -> None:
    assert stored("release.json", Seal).counts.model_copy(update=change).agree is agree


def test_counts_of_nothing_do_not_agree() -> None:
    nothing = {"rows": 0, "entities": 0, "exported": 0, "imported": 0}
    assert not stored("release.json", Seal).counts.model_copy(update=nothing).agree


def verdict(**changes: Any) -> Verdict:
    document = json.loads((DATA / "verdicts" / "volume.json").read_bytes())
    return Verdict(**(document | changes))


def test_a_verdict_keeps_what_its_gate_chose_as_json() -> None:
    """A gate of a query's own gives what Python or Snowflake gave it."""
    evidence = {"share": Decimal("0.5"), "shops": ("S1", "S2"), "worst": {"S1": float("nan")}}
    found = verdict(evidence=evidence, limits={"allow": ["Slow*"]})
    assert json.loads(found.to_json())["evidence"] == {"share": "0.5", "shops": ["S1", "S2"], "worst": {"S1": None}}
    assert json.loads(found.to_json())["limits"] == {"allow": ["Slow*"]}
    assert Verdict.from_json(found.to_json(), "here") == found


def test_a_baseline_has_a_kind_a_release_and_that_releases_figures() -> None:
    found = verdict().baseline
    assert (found.kind, found.release_id) == ("active", "20171128-76bc882c")
    assert found.known() == {"kind": "active", "release_id": "20171128-76bc882c", "entities": 60, "rows": 720}
    assert ComparedWith(kind="bootstrap").known() == {"kind": "bootstrap"}
    with pytest.raises(ReleaseError, match=r"baseline\.kind"):
        Verdict.from_json(verdict().to_json().replace(b'"active"', b'"yesterday"'), "here")


def test_what_is_no_number_in_a_verdicts_bars_is_none() -> None:
    assert verdict().bars == {"entities": [60.0, 60.0], "rows": [720.0, 720.0]}
    odd = verdict(evidence={"bars": {"a": [None, 1], "b": ["nan", 2.5], "c": 3}})
    assert odd.bars == {"a": [None, 1.0], "b": [None, 2.5]}
    assert (verdict(evidence={}).bars, verdict(evidence={}).segment) == ({}, "")
