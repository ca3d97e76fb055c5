"""The written contract is true: its vectors go through the reader's own code, and its schemas agree with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from kumo_serving.errors import ItemMalformed, PointerMalformed
from kumo_serving.fallback import parse_fallback
from kumo_serving.items import decode, decode_batch, encode, encode_item
from kumo_serving.pointer import dump_pointer, parse_pointer
from referencing import Registry, Resource
from serving_support import NEW, OLD, pointer_to

CONTRACT = Path(__file__).parents[3] / "docs" / "contract"
SCHEMAS = {path.name: json.loads(path.read_text()) for path in CONTRACT.glob("*.schema.json")}
REGISTRY: Registry[Any] = Registry().with_resources(
    [(name, Resource.from_contents(schema)) for name, schema in SCHEMAS.items()]
)


def conforms(document: Any, schema: str) -> bool:
    return bool(jsonschema.Draft202012Validator(SCHEMAS[schema], registry=REGISTRY).is_valid(document))


def vectors(name: str) -> tuple[dict[str, Any], list[Any]]:
    whole = json.loads((CONTRACT / "vectors" / f"{name}.json").read_text())
    return whole, [pytest.param(case, id=case["name"]) for case in whole["cases"]]


POINTERS, POINTER_CASES = vectors("pointer")
ITEMS, ITEM_CASES = vectors("item")
FALLBACKS, FALLBACK_CASES = vectors("fallback")


def pairs(predictions: Any) -> Any:
    return predictions if isinstance(predictions, float) else [list(pair) for pair in predictions]


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_each_schema_is_a_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])


@pytest.mark.parametrize("case", POINTER_CASES)
def test_each_pointer_vector(case: dict[str, Any]) -> None:
    data = case["text"] if "text" in case else json.dumps(case["document"])
    if "document" in case:
        assert conforms(case["document"], "pointer.schema.json") == case.get("schema_valid", case["valid"])
    if not case["valid"]:
        with pytest.raises(PointerMalformed) as error:
            parse_pointer(data.encode(), POINTERS["query"], POINTERS["environment"])
        assert case["names"] in str(error.value)
        return
    pointer = parse_pointer(data.encode(), POINTERS["query"], POINTERS["environment"])
    believed = {
        "table": pointer.table,
        "served_release_id": pointer.served_release_id,
        "served_partition": pointer.served_partition,
        "served_fallback": pointer.served_fallback,
        "region": pointer.region,
        "key": {"name": pointer.key.name, "type": pointer.key.type},
        "item_format": pointer.item_format,
        "previous_tables": [entry.table for entry in pointer.previous],
        "edited": pointer.edited,
    }
    assert believed == case["expect"]


def test_what_kumo_assets_writes_conforms_to_the_stricter_schema() -> None:
    pointer = pointer_to(NEW, OLD, releases="s3://bucket/local/shop/releases/")
    assert conforms(json.loads(dump_pointer(pointer)), "pointer-written.schema.json")
    assert conforms(json.loads(dump_pointer(pointer)), "pointer.schema.json")
    assert not conforms(json.loads(dump_pointer(pointer.replace(release_id="today"))), "pointer-written.schema.json")


@pytest.mark.parametrize("case", ITEM_CASES)
def test_each_item_vector(case: dict[str, Any]) -> None:
    if case.get("schema_valid", True):
        schema = f"item-{case['format'].partition('/')[0]}.schema.json"
        assert conforms(json.loads(case["p"]), schema) == (case["valid"] or case.get("schema_valid", False))
    if case["valid"]:
        assert pairs(decode(case["p"], case["format"])) == case["predictions"]
        assert pairs(decode(encode(case["predictions"], case["format"]), case["format"])) == case["predictions"]
    else:
        with pytest.raises(ItemMalformed):
            decode(case["p"], case["format"])


@pytest.mark.parametrize("item_format", ["ranking/1", "regression/1", "classification/1"])
def test_item_vectors_in_one_batch_keep_their_places(item_format: str) -> None:
    cases = [case for case in ITEMS["cases"] if case["format"] == item_format]
    outcomes = decode_batch([case["p"] for case in cases], item_format)
    for case, outcome in zip(cases, outcomes, strict=True):
        assert isinstance(outcome, ItemMalformed) == (not case["valid"]), case["name"]
        if case["valid"]:
            assert pairs(outcome) == case["predictions"]


@pytest.mark.parametrize("case", FALLBACK_CASES)
def test_each_fallback_vector(case: dict[str, Any]) -> None:
    assert conforms(case["document"], "fallback.schema.json") == case.get("schema_valid", case["valid"])
    data = json.dumps(case["document"]).encode()
    if case["valid"]:
        release, predictions = parse_fallback(data, FALLBACKS["query"])
        assert (release, pairs(predictions)) == (case["release_id"], case["predictions"])
    else:
        with pytest.raises(ItemMalformed):
            parse_fallback(data, FALLBACKS["query"])


def test_an_item_is_written_as_the_contract_says() -> None:
    assert encode_item(7, [("a", 0.5)], "ranking/1") == {"e": {"S": "7"}, "p": {"S": '[["a",0.5]]'}}
    with pytest.raises(ItemMalformed):
        encode_item("a", [("a", float("nan"))], "ranking/1")


def test_every_file_the_contract_names_is_there_and_every_schema_is_named() -> None:
    text = (CONTRACT.parent / "contract.md").read_text()
    for name in SCHEMAS:
        assert f"contract/{name}" in text
    for name in ("pointer", "item", "fallback"):
        assert f"contract/vectors/{name}.json" in text
