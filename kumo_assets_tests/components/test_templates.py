"""The scaffolded YAML names every field a user may write, and stays valid when what is commented out is written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from kumo_assets.config.load import validate
from kumo_assets.config.query import PredictiveQuerySpec
from kumo_assets.config.raw_logs import RawLogsSpec

FOLDER = Path(__file__).parents[2] / "kumo_assets" / "components" / "templates"
MODELS: dict[str, type[BaseModel]] = {"predictive_query.yaml": PredictiveQuerySpec, "raw_logs.yaml": RawLogsSpec}


def written(name: str) -> str:
    text = (FOLDER / name).read_text()
    for placeholder, value in {"__TYPE__": "t", "__NAME__": "offers", "__RAW_LOGS__": "events"}.items():
        text = text.replace(placeholder, value)
    return text


def fields(model: type[BaseModel]) -> Iterator[str]:
    """Field names as YAML has them, of the model and of the models in it; the gates have a page of their own."""
    for name, field in model.model_fields.items():
        yield field.alias or name
        for kind in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(kind, type) and issubclass(kind, BaseModel) and name != "gates":
                yield from fields(kind)


@pytest.mark.parametrize("name", MODELS)
def test_it_is_valid_as_it_stands(name: str) -> None:
    document: dict[str, Any] = yaml.safe_load(written(name))
    validate(MODELS[name], document["attributes"], Path(name))


@pytest.mark.parametrize("name", MODELS)
def test_it_stays_valid_with_every_comment_that_is_yaml_written(name: str) -> None:
    text = re.sub(r"^( +)# (?=( *)[\w-]+:( |$))", r"\1", written(name), flags=re.MULTILINE)
    assert text != written(name)
    document: dict[str, Any] = yaml.safe_load(text)
    validate(MODELS[name], document["attributes"], Path(name))


@pytest.mark.parametrize("name", MODELS)
def test_every_field_is_named_in_it(name: str) -> None:
    text = (FOLDER / name).read_text()
    missing = [field for field in fields(MODELS[name]) if not re.search(rf"\b{field}\b", text)]
    assert missing == []
