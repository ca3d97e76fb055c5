"""The written contract of today holds for what the old commit stored. No server is needed."""

from __future__ import annotations

import json

import pytest

from kumo_assets_tests.upgrade.data_files import DATA, Stored, read_objects
from kumo_assets_tests.upgrade.project import EDITED, ENVIRONMENT, QUERIES
from kumo_assets_tests.upgrade.restore import old_objects
from kumo_assets_tests.upgrade.schemas import BY_FOLDER, BY_NAME, faults, item_faults, schema_of

EDITED_KEY = f"{ENVIRONMENT}/{EDITED}/active.json"


@pytest.mark.parametrize("query", QUERIES)
def test_every_old_object_conforms(query: str) -> None:
    assert faults(old_objects(query), edited=EDITED_KEY) == {}


def test_old_pointers_in_zookeeper_and_before_the_edit_conform() -> None:
    before = Stored("before/active.json", "", (DATA / "pointer_before_edit.json").read_bytes())
    assert faults([*read_objects(DATA / "zookeeper.yaml"), before]) == {}


def test_old_items_conform() -> None:
    tables = json.loads((DATA / "dynamodb.json").read_text())
    items = [p for table in tables for p in table["Items"].values()]
    assert len(items) == 8 * len(tables)
    assert [wrong for p in items for wrong in item_faults(p)] == []


def test_the_old_objects_are_of_every_kind_that_has_a_schema() -> None:
    stored = [*(one for query in QUERIES for one in old_objects(query)), *read_objects(DATA / "zookeeper.yaml")]
    assert {schema_of(one.key) for one in stored} - {None} == {*BY_NAME.values(), *BY_FOLDER.values()}


def test_a_document_without_a_field_does_not_conform() -> None:
    [opened, *_] = [one for one in old_objects(EDITED) if one.key.endswith("/opened.json")]
    document = json.loads(opened.body)
    document["root_run"] = document.pop("root_run_id")
    assert list(faults([Stored(opened.key, "", json.dumps(document).encode())])) == [opened.key]
