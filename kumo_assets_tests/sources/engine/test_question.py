"""`engine.py` of a query: what it says is checked before anything runs, and every message names the file and the mistake."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from kumo_assets.config.engine_source import EngineSettings
from kumo_assets.config.load import QueryDefinition, read_query
from kumo_assets.errors import ConfigError
from kumo_assets.sources.engine.question import read_question
from kumo_assets.sources.engine.source import EngineSource
from kumo_assets.sources.engine.training import purpose_of
from kumo_assets_tests.support.definitions import QUERY
from kumo_assets_tests.support.engine import QUESTION

PRODUCTS = '"products": {\n        "raw_log": "products",'


def definition(folder: Path, text: str | None = QUESTION) -> QueryDefinition:
    document = yaml.safe_load(QUERY)
    document["attributes"] |= {"source": {"engine": {}}, "raw_logs": ["transactions", "products"]}
    query = folder / "q"
    query.mkdir(exist_ok=True)
    (query / "defs.yaml").write_text(yaml.safe_dump(document))
    if text is not None:
        (query / "engine.py").write_text(text)
    return read_query(query)


def test_a_question_is_read_as_it_is_written(tmp_path: Path) -> None:
    found = read_question(definition(tmp_path))
    assert set(found.tables) == {"households", "transactions", "products"}
    assert found.edges[0] == ("transactions", "HOUSEHOLD_ID", "households")
    assert found.pql.startswith("PREDICT LIST_DISTINCT")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (PRODUCTS, '"products": {\n        "raw_log": "clicks",', "raw log clicks, and the definition has raw_logs"),
        ('"primary_key": "PRODUCT_ID"', '"primary_key": "ID"', "primary_key ID is not among the columns"),
        ('"primary_key": "PRODUCT_ID",', "", "EDGES leads to products, which has no primary_key"),
        ('"PRODUCT_ID", "products")]', '"PRODUCT", "products")]', "EDGES names the column PRODUCT, which"),
        ('"households")', '"homes")', "EDGES names the table homes"),
        ('"distinct": True', '"distinct": True, "colums": []', "tables.households.colums: Extra inputs"),
        ('"distinct": True', '"distinct": True, "days": 3', "days needs a time_column"),
        ('"DEPARTMENT"]', '"DEPARTMENT; DROP"]', "tables.products.columns.1: String should match pattern"),
        ("PQL =", "PQ =", "it sets no PQL"),
        ("PQL =", "import kumo.engine\nPQL =", "line 20: ModuleNotFoundError: No module named 'kumo"),
        ("PQL =", "PQL ==", "line 20: NameError"),
        ("TABLES = {", "TABLES = {{", "line"),
    ],
)
def test_a_wrong_question_is_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in QUESTION
    with pytest.raises(ConfigError) as refused:
        read_question(definition(tmp_path, QUESTION.replace(old, new, 1)))
    assert words in str(refused.value)
    assert "q/engine.py" in str(refused.value)


def test_a_query_without_a_question_says_where_it_belongs(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no .*q/engine\.py"):
        read_question(definition(tmp_path, None))


def test_a_comment_is_the_same_question_and_another_window_is_another(tmp_path: Path) -> None:
    same = read_question(definition(tmp_path, QUESTION + "# a comment\n")).digest
    assert same == read_question(definition(tmp_path)).digest
    assert same != read_question(definition(tmp_path, QUESTION.replace("28, days", "7, days"))).digest


def test_predictions_are_another_release_once_the_question_or_the_candidates_are_others(tmp_path: Path) -> None:
    source = EngineSource()
    before = source.parameters(definition(tmp_path))
    assert before == source.parameters(definition(tmp_path))
    assert before != source.parameters(definition(tmp_path, QUESTION.replace("28, days", "7, days")))
    assert before["candidates"] == 12


def test_a_training_by_hand_is_another_once_the_question_or_the_model_is(tmp_path: Path) -> None:
    before = purpose_of(definition(tmp_path))
    assert before == purpose_of(definition(tmp_path, QUESTION + "# a comment\n"))
    assert before != purpose_of(definition(tmp_path, QUESTION.replace("28, days", "7, days")))
    query = definition(tmp_path)
    wider = query.spec.source.model_copy(update={"engine": EngineSettings(channels=256)})
    assert before != purpose_of(replace(query, spec=query.spec.model_copy(update={"source": wider})))
    later = query.spec.source.model_copy(update={"engine": EngineSettings(deadline_minutes=9)})
    assert before == purpose_of(replace(query, spec=query.spec.model_copy(update={"source": later})))
