"""The written contract is true: its vectors go through the reader's own code, and its schemas agree with them."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from enum import Enum
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from kumo_serving import Answer, Miss, TableReader
from kumo_serving.aws import Account, Endpoint
from kumo_serving.errors import ItemMalformed, PointerMalformed, ReadError, TableGone, Throttled, Unavailable
from kumo_serving.fallback import parse_fallback
from kumo_serving.items import decode, decode_batch, encode, encode_item
from kumo_serving.pointer import KeyAttribute, Staged, dump_pointer, parse_pointer
from kumo_serving.state import build_state
from kumo_serving.wire import canonical, plain_keys
from referencing import Registry, Resource
from serving_support import NEW, NEWER, OLD, FakeDynamoDB, pointer_to, unsigned

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
_, KEY_CASES = vectors("key")
NAMED, NAMED_CASES = vectors("release")
RESPONSES, RESPONSE_CASES = vectors("response")


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


@pytest.mark.parametrize("case", NAMED_CASES)
def test_each_vector_of_a_lookup_that_names_its_release(case: dict[str, Any]) -> None:
    pointer = parse_pointer(json.dumps(case["document"]).encode(), NAMED["query"], NAMED["environment"])
    url = "http://127.0.0.1:1"
    account, here = Account(None, url), Endpoint(url, pointer.region, None)
    beside = Endpoint(url, pointer.staged.region or pointer.region, None) if pointer.staged is not None else None
    state = build_state(pointer, account, here, beside=beside).of_release(case["release"])
    if state is None:
        assert case["expect"] is None
        return
    asked = state.active
    assert case["expect"] == {
        "table": asked.source.table,
        "region": asked.endpoint.region,
        "key": {"name": asked.key.name, "type": asked.key.type},
        "item_format": asked.item_format,
    }
    assert (state.previous, state.fallback) == ((), None), "no other release may answer in its place"


def test_what_kumo_assets_writes_conforms_to_the_stricter_schema() -> None:
    pointer = pointer_to(NEW, OLD, releases="s3://bucket/local/shop/releases/")
    staged = Staged("20171201-2b3c4d5e", "2017-12-01", NEWER, fallback="s3://bucket/fallback.json")
    for one in (pointer, pointer.replace(staged=staged)):
        written = json.loads(dump_pointer(one))
        assert ("staged" in written) == (one.staged is not None)
        assert conforms(written, "pointer-written.schema.json")
        assert parse_pointer(dump_pointer(one), one.query).staged == one.staged
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
    valid = [case for case in cases if case["valid"]]
    outcomes = decode_batch([case["p"] for case in valid], item_format)
    assert outcomes is not None
    assert [pairs(outcome) for outcome in outcomes] == [case["predictions"] for case in valid]
    for case in cases:
        if not case["valid"]:  # told of, and never taken for something else beside others
            assert decode_batch([valid[0]["p"], case["p"], valid[-1]["p"]], item_format) is None, case["name"]


def test_a_batch_whose_texts_are_whole_only_together_is_none() -> None:
    assert decode_batch(['[["a",1]', '["b",2]]'], "ranking/1") is None
    assert decode_batch(["[]"], "ranking/9") is None
    assert decode_batch([], "ranking/1") == []


# Texts of which some, joined, complete each other, and others are two: together they are as many as they should be.
COMPLETING = {
    "ranking/1": (['[["a",1]', '["b",2]]', "[],[]", '[["healthy",3]]'], [["healthy", 3]]),
    "ranking/1 in a string": (['[["a', '",1]]', "[],null,[]", '[["healthy",3]]'], [["healthy", 3]]),
    "ranking/1 null": (["null", '[["healthy",3]]'], [["healthy", 3]]),
    "classification/1": (['[["a",1]', '["b",2]]', '[["c",1]],[["c",1]]', '[["healthy",3]]'], [["healthy", 3]]),
    "regression/1": (["", "1,2", "3"], 3.0),
}


@pytest.mark.parametrize("name", COMPLETING)
def test_a_healthy_entity_has_its_own_predictions_in_every_order_of_malformed_ones(
    name: str, dynamodb: FakeDynamoDB
) -> None:
    texts, expected = COMPLETING[name]
    healthy = texts[-1]
    table = RESPONSES["table"]
    with TableReader(
        table, endpoint_url=dynamodb.url, budget_seconds=5.0, item_format=name.partition(" ")[0]
    ) as reader:
        for order in itertools.permutations(texts):
            dynamodb.tables[table] = {str(number): text for number, text in enumerate(order)}
            for number, outcome in enumerate(reader.get_many([str(number) for number in range(len(order))]).values()):
                if order[number] == healthy:
                    assert isinstance(outcome, Answer), order
                    assert pairs(outcome.predictions) == expected, order
                else:
                    assert isinstance(outcome, ItemMalformed), order


PIECES = st.lists(
    st.sampled_from([*'[],"a1-. \n\\', "null", '[["a",1]]', '["b",2]', "{}", '[["a",1]', '["b",2]]', "[],[]", "1,2"]),
    max_size=5,
).map("".join)


@given(
    item_format=st.sampled_from(["ranking/1", "regression/1", "classification/1"]), texts=st.lists(PIECES, max_size=5)
)
@example("ranking/1", ['[["a', '",1]]', "[],null,[]"])
@example("ranking/1", ['[["a",1]', '["b",2]]', "[],[]"])
def test_a_batch_is_what_each_text_is_by_itself(item_format: str, texts: list[str]) -> None:
    alone: list[Any] | None = []
    for text in texts:
        try:
            alone.append(decode(text, item_format))  # type: ignore[union-attr]
        except ItemMalformed:
            alone = None
            break
    assert decode_batch(texts, item_format) == alone


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


@pytest.mark.parametrize("case", KEY_CASES)
def test_each_key_vector(case: dict[str, Any]) -> None:
    entity = case["repeat"][0] * case["repeat"][1] if "repeat" in case else case["entity"]
    wanted = case["request"]
    if "repeat" in case and wanted is not None:
        wanted = {case["key"]["name"]: {wanted: entity}}
    key = KeyAttribute(**case["key"])
    found = canonical(entity, key)
    assert (None if found is None else {key.name: {key.type: found}}) == wanted
    # The quick way for a whole batch takes only what stands as it is.
    assert plain_keys([entity], key, 0) in (None, {found: 0})


def test_half_a_surrogate_pair_is_in_no_table() -> None:
    assert canonical("\ud800", KeyAttribute()) is None
    assert plain_keys(["\ud800"], KeyAttribute(), 0) is None


def test_an_enumeration_s_member_stands_for_its_text_alone_and_in_a_batch() -> None:
    class Household(str, Enum):  # noqa: UP042 - a StrEnum's member already has its text as str()
        FIRST = "371"

    assert canonical(Household.FIRST, KeyAttribute()) == "371"
    assert canonical(Household.FIRST, KeyAttribute(type="N")) == "371"
    assert plain_keys([Household.FIRST, "372"], KeyAttribute(), 0) == {"371": 0, "372": 0}
    assert plain_keys([Household.FIRST, 372], KeyAttribute(), 0) is None

    class Number(int, Enum):
        FIRST = 371

    assert canonical(Number.FIRST, KeyAttribute()) == "371"


def outcome_of(outcome: Any) -> dict[str, Any]:
    if isinstance(outcome, Answer):
        return {"kind": "answer", "predictions": pairs(outcome.predictions)}
    return {"kind": {Miss: "miss", ItemMalformed: "malformed", Throttled: "unprocessed"}[type(outcome)]}


WHOLE = {"throttled": Throttled, "retry": Unavailable, "gone": TableGone, "refused": Unavailable}


@pytest.mark.parametrize("case", RESPONSE_CASES)
def test_each_response_vector_through_the_reader(case: dict[str, Any], dynamodb: FakeDynamoDB) -> None:
    body = case["body"].encode()
    stated = case.get("crc32", "right")

    def answer(handler: Any) -> str:
        handler.reply(case["status"], body, crc32=None if stated == "right" else int(stated))
        return "done"

    dynamodb.always = answer if stated is not None else unsigned(body)
    # What is retried to the end needs a short budget; what is answered at once must not time out on a busy machine.
    budget = 0.3 if case["expect"] in ("throttled", "retry") or "unprocessed" in str(case["expect"]) else 20.0
    with TableReader(RESPONSES["table"], endpoint_url=dynamodb.url, budget_seconds=budget) as reader:
        if case["operation"] == "GetItem":
            try:
                outcomes: dict[Any, Any] = {case["asked"][0]: reader.get(case["asked"][0])}
            except ReadError as error:
                outcomes = {case["asked"][0]: error}
        else:
            outcomes = reader.get_many(case["asked"])
    assert {operation for operation, _, _ in dynamodb.requests} == {case["operation"]}
    if isinstance(case["expect"], str):
        assert {type(outcome) for outcome in outcomes.values()} == {WHOLE[case["expect"]]}
        assert (len(dynamodb.requests) > 1) == (case["expect"] in ("throttled", "retry"))
    else:
        assert {entity: outcome_of(outcome) for entity, outcome in outcomes.items()} == case["expect"]


@pytest.mark.parametrize("asked", [["1", "2"], [1, "2"]], ids=["plain keys", "others"])
def test_a_key_that_an_answer_passes_over_is_an_error_and_no_miss(
    asked: list[str | int], dynamodb: FakeDynamoDB
) -> None:
    row = {"e": {"S": "1"}, "p": {"S": '[["a",0.5]]'}}
    twice = json.dumps({"Responses": {RESPONSES["table"]: [row, row]}, "UnprocessedKeys": {}}).encode()

    def answer(handler: Any) -> str:
        handler.reply(200, twice)
        return "done"

    dynamodb.always = answer
    with TableReader(RESPONSES["table"], endpoint_url=dynamodb.url, budget_seconds=1.0) as reader:
        outcomes = reader.get_many(asked)
    assert [type(outcomes[entity]) for entity in asked] == [Answer, Unavailable]


NODE = shutil.which("node")
READER = Path(__file__).parent / "other_language" / "reader.mjs"


def node_on(folder: Path) -> Any:
    assert NODE is not None
    done = subprocess.run([NODE, str(READER), str(folder)], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_a_reader_in_another_language_agrees_with_every_vector() -> None:
    cases = [*POINTER_CASES, *NAMED_CASES, *ITEM_CASES, *FALLBACK_CASES, *KEY_CASES, *RESPONSE_CASES]
    assert node_on(CONTRACT / "vectors") == {"agreed": len(cases), "differ": []}


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_the_reader_in_another_language_would_notice_a_changed_vector(tmp_path: Path) -> None:
    shutil.copytree(CONTRACT / "vectors", tmp_path, dirs_exist_ok=True)
    changed = []
    for path in tmp_path.iterdir():
        whole = json.loads(path.read_text())
        case = next(case for case in whole["cases"] if case.get("valid", True))
        for field in ("expect", "predictions", "request"):
            if field in case:
                case[field] = "something else"
        changed.append((path.stem, case["name"]))
        path.write_text(json.dumps(whole))
    assert sorted((found["file"], found["name"]) for found in node_on(tmp_path)["differ"]) == sorted(changed)


def test_an_item_is_written_as_the_contract_says() -> None:
    assert encode_item(7, [("a", 0.5)], "ranking/1") == {"e": {"S": "7"}, "p": {"S": '[["a",0.5]]'}}
    with pytest.raises(ItemMalformed):
        encode_item("a", [("a", float("nan"))], "ranking/1")


def test_every_file_the_contract_names_is_there_and_every_schema_is_named() -> None:
    text = (CONTRACT.parent / "contract.md").read_text()
    for name in SCHEMAS:
        assert f"contract/{name}" in text
    for name in (path.stem for path in (CONTRACT / "vectors").iterdir()):
        assert f"contract/vectors/{name}.json" in text
