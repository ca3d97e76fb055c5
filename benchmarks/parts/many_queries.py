"""Dagster projects written from the shipped definitions: of 100 queries, as a company might have, or of one to measure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

SHIPPED = Path(__file__).parents[2] / "kumo_assets" / "defs"
PACKAGE = "many_queries"
DEFINITIONS = """from pathlib import Path

import dagster as dg
from kumo_assets.definitions import shared_definitions


@dg.definitions
def defs() -> dg.Definitions:
    return dg.Definitions.merge(shared_definitions(), dg.load_from_defs_folder(path_within_project=Path(__file__).parent))
"""


def query_name(number: int) -> str:
    return f"query_{number:03d}"


def write_project(folder: Path, queries: int, partitions: int) -> Path:
    """A project of many queries; its folder of definitions. Each has that many daily partitions up to yesterday."""
    start = datetime.now(UTC).date() - timedelta(days=partitions)

    def change(attributes: dict[str, Any]) -> None:
        attributes["schedule"]["start"] = start
        del attributes["schedule"]["end"]

    return write_queries(folder, [query_name(number) for number in range(queries)], change)


def write_queries(folder: Path, names: list[str], change: Callable[[dict[str, Any]], None]) -> Path:
    """A project whose queries are the shipped one, changed; its folder of definitions."""
    package = folder / PACKAGE
    defs = package / "defs"
    document = yaml.safe_load((SHIPPED / "next_best_product" / "defs.yaml").read_text())
    change(document["attributes"])
    for name in names:
        (defs / name).mkdir(parents=True)
        (defs / name / "defs.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    (defs / "raw_logs").mkdir()
    (defs / "raw_logs" / "defs.yaml").write_text((SHIPPED / "raw_logs" / "defs.yaml").read_text())
    for place in (package, defs):
        (place / "__init__.py").write_text("")
    (package / "definitions.py").write_text(DEFINITIONS)
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "many-queries"\nversion = "0"\n\n[tool.dg]\ndirectory_type = "project"\n\n'
        f'[tool.dg.project]\nroot_module = "{PACKAGE}"\ndefs_module = "{PACKAGE}.defs"\n'
        f'code_location_target_module = "{PACKAGE}.definitions"\n'
    )
    return defs
