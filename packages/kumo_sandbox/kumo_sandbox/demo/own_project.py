"""A small Dagster project for a user's own log: the same files `dg scaffold defs` starts and a company would keep.

It names the shipped Components and nothing else of ours, so that what the demo runs is what a user would write. It is
written beside the sandbox's state; copying it out is a way to begin.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import httpx
import yaml

from kumo_sandbox.grocery import EventLog

DEFINITIONS = '''"""Everything Dagster loads: the folders under `defs/`, and the resources and sensor that kumo_assets brings."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
from kumo_assets.definitions import shared_definitions


@dg.definitions
def defs() -> dg.Definitions:
    return dg.Definitions.merge(shared_definitions(), dg.load_from_defs_folder(path_within_project=Path(__file__).parent))
'''


@dataclass(frozen=True)
class OwnProject:
    """Where it is and what its query is called."""

    folder: Path
    query: str

    @property
    def defs(self) -> Path:
        return self.folder / self.package / "defs"

    @property
    def package(self) -> str:
        return f"{self.query}_project"


def query_name(log: EventLog) -> str:
    """`orders.parquet` -> `orders_next_item`."""
    stem = re.sub(r"[^a-z0-9]+", "_", log.schema.removeprefix("EVENTS_").lower()).strip("_")
    return f"{stem if stem[:1].isalpha() else 'log_' + stem}_next_item"[:63]


def write_project(log: EventLog, home: Path, start: date, tolerance_minutes: int, horizon_days: int) -> OwnProject:
    """Write (again) the project of a log under the sandbox's home. `start` is the first partition there will be;
    predictions are compared with what followed in `horizon_days`."""
    query = query_name(log)
    project = OwnProject(home / "projects" / query, query)
    defs = project.defs
    for name in ("raw_logs", query):
        (defs / name).mkdir(parents=True, exist_ok=True)
    (project.folder / "pyproject.toml").write_text(
        f'[project]\nname = "{project.package.replace("_", "-")}"\nversion = "0.1.0"\n\n'
        f'[tool.dg]\ndirectory_type = "project"\n\n[tool.dg.project]\nroot_module = "{project.package}"\n'
        f'defs_module = "{project.package}.defs"\ncode_location_target_module = "{project.package}.definitions"\n'
        f'code_location_name = "{project.package}"\n'
    )
    for package in (project.folder / project.package, defs):
        (package / "__init__.py").write_text("")
    (project.folder / project.package / "definitions.py").write_text(DEFINITIONS)
    _write(
        defs / "raw_logs" / "defs.yaml",
        {
            "type": "kumo_assets.components.RawLogs",
            "attributes": {
                "schema": log.schema,
                "owners": ["team:demo"],
                "tables": {
                    "events": {
                        "table": log.events.name,
                        "event_time": log.time,
                        "description": f"Streamed by kumo-sandbox demo from {Path(log.title).name}.",
                    },
                    "items": {"table": log.items.name, "description": "The items' names."},
                },
            },
        },
    )
    _write(
        defs / query / "defs.yaml",
        {
            "type": "kumo_assets.components.PredictiveQuery",
            "attributes": {
                "description": f"The 5 items each entity of {Path(log.title).name} is most likely to take next.",
                "owners": ["team:demo"],
                "raw_logs": ["events", "items"],
                "task": "ranking",
                "source": {
                    "kumo": {
                        "predictive_query_id": query,
                        "connector": "sandbox_snowflake",
                        "graph_id": query,
                        "poll": {"first_seconds": 0.2, "max_seconds": 5, "deadline_minutes": 60},
                    }
                },
                "top_k": 5,
                "outcomes": {
                    "horizon_days": horizon_days,
                    "events": {"log": "events", "entity": log.entity, "class": log.item},
                },
                "table": {"poll_seconds": 0.5},
                "schedule": {"start": start, "end": log.days[1], "late_logs_tolerance_minutes": tolerance_minutes},
            },
        },
    )
    return project


def register_query(kumo_url: str, log: EventLog, query: str) -> None:
    """Tell the Kumo emulator of the query, as one would have trained a model for it in Kumo."""
    answer = httpx.put(
        f"{kumo_url}/_sandbox/queries/{query}",
        json={
            "task": "temporal_link_prediction",
            "table": f"{log.schema}.{log.events.name}",
            "entity": log.entity,
            "item": log.item,
            "time": log.time,
            "graph": query,
        },
        timeout=30,
    )
    answer.raise_for_status()


def _write(path: Path, document: dict[str, object]) -> None:
    path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120))
