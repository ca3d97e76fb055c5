"""Definitions in nested folders, as Dagster loads them: raw logs are found in the whole project, two of one name refused."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from kumo_assets.components.scaffold import PredictiveQueryScaffolder
from kumo_assets.config import index as index_module
from kumo_assets.config.yaml_file import read_mapping

QUERY = """
type: kumo_assets.components.PredictiveQuery
attributes:
  owners: ["team:growth"]
  raw_logs: [events]
  source: {kumo: {predictive_query_id: q, connector: c}}
  schedule: {start: 2026-01-01}
"""
RAW = """
type: kumo_assets.components.RawLogs
attributes:
  schema: RAW
  owners: ["team:growth"]
  tables: {events: {table: EVENTS, event_time: AT}}
"""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], dg.Definitions]:
    """Writes a Dagster project of definitions (folder under `defs/` -> YAML) and loads it as the project itself would."""
    package = f"acme_{uuid.uuid4().hex[:8]}"
    (tmp_path / "pyproject.toml").write_text(f'[tool.dg.project]\nroot_module = "{package}"\n')
    monkeypatch.syspath_prepend(tmp_path)

    def loaded(files: dict[str, str]) -> dg.Definitions:
        for folder, text in files.items():
            path = tmp_path / package / "defs" / folder / "defs.yaml"
            path.parent.mkdir(parents=True)
            path.write_text(text)
        return dg.load_from_defs_folder(path_within_project=tmp_path)

    return loaded


def causes(error: BaseException) -> str:
    """Everything an exception and what it came from say."""
    return str(error) + (causes(error.__cause__) if error.__cause__ is not None else "")


def test_nested_queries_find_the_raw_logs_of_the_whole_project(
    load: Callable[[dict[str, str]], dg.Definitions],
) -> None:
    loaded = load({"growth/emails/offers": QUERY, "risk/churn": QUERY, "shared/logs": RAW})
    parents: dict[dg.AssetKey, set[dg.AssetKey]] = {}
    for item in loaded.assets or []:
        assert isinstance(item, dg.AssetsDefinition)
        parents |= item.asset_deps
    for query in ("offers", "churn"):
        assert dg.AssetKey(["raw", "events"]) in parents[dg.AssetKey([query, "predictions"])]
        assert f"{query}_daily" in {job.name for job in loaded.jobs or []}


def test_two_nested_queries_of_one_name_are_refused_with_both_paths(
    load: Callable[[dict[str, str]], dg.Definitions],
) -> None:
    with pytest.raises(Exception, match="growth/offers") as caught:
        load({"growth/offers": QUERY, "risk/offers": QUERY, "logs": RAW})
    words = causes(caught.value)
    assert "use the query 'offers': it is defined 2 times" in words
    assert "defs/growth/offers/defs.yaml and in " in words
    assert "defs/risk/offers/defs.yaml" in words


def test_one_load_parses_each_file_once_and_the_next_load_sees_what_changed(
    load: Callable[[dict[str, str]], dg.Definitions], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []

    def read(path: Path) -> dict[str, Any]:
        opened.append(path)
        return read_mapping(path)

    monkeypatch.setattr(index_module, "read_mapping", read)
    load({"offers": QUERY, "growth/churn": QUERY, "logs": RAW})
    assert len(opened) == len(set(opened)) == 3
    opened.clear()
    load({"growth/newer": QUERY})
    assert len(opened) == len(set(opened)) == 4


def test_a_query_scaffolded_in_a_nested_folder_names_the_raw_logs_of_the_whole_project(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.dg.project]\nroot_module = "acme"\n')
    logs = tmp_path / "acme" / "defs" / "shared" / "logs"
    logs.mkdir(parents=True)
    (logs / "defs.yaml").write_text(RAW)
    target = tmp_path / "acme" / "defs" / "growth" / "offers"
    PredictiveQueryScaffolder().scaffold(
        dg.ScaffoldRequest("kumo_assets.components.PredictiveQuery", target, "yaml", tmp_path, None)
    )
    assert "raw_logs: [events]" in (target / "defs.yaml").read_text()
