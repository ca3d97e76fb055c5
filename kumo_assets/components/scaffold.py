"""What `dg scaffold defs` writes: a commented, valid starting folder for a new query or a new set of raw logs."""

from __future__ import annotations

import re
from pathlib import Path

import dagster as dg

from kumo_assets.config.index import DefinitionsIndex
from kumo_assets.config.names import QUERY_PATTERN, RESERVED
from kumo_assets.config.project import project_around
from kumo_assets.errors import ConfigError

_TEMPLATES = Path(__file__).parent / "templates"


def _write(request: dg.ScaffoldRequest, template: str, *extra: str, raw_logs: str = "") -> None:
    name = request.target_path.name
    if not re.fullmatch(QUERY_PATTERN, name) or name in RESERVED:
        raise ConfigError(
            "scaffold",
            to=repr(name),
            found=f"the folder's name must match {QUERY_PATTERN}, and not be one of {', '.join(RESERVED)}",
            next="use a name like next_best_product",
        )
    request.target_path.mkdir(parents=True, exist_ok=True)
    text = (_TEMPLATES / template).read_text()
    for placeholder, value in {"__TYPE__": request.type_name, "__NAME__": name, "__RAW_LOGS__": raw_logs}.items():
        text = text.replace(placeholder, value)
    (request.target_path / "defs.yaml").write_text(text)
    for file in extra:
        (request.target_path / file).write_text((_TEMPLATES / file).read_text())


class PredictiveQueryScaffolder(dg.Scaffolder):
    """A folder with a commented defs.yaml, examples of SQL before and after Kumo, and of the query as code."""

    def scaffold(self, request: dg.ScaffoldRequest) -> None:
        _write(
            request,
            "predictive_query.yaml",
            "postprocess.sql.example",
            "preprocess.sql.example",
            "training.py.example",
            raw_logs=", ".join(_known_raw_logs(request.target_path)) or "transactions",
        )


def _known_raw_logs(target: Path) -> list[str]:
    """The raw logs that the project's definitions have, so that the new query is valid as it is written."""
    try:
        project = project_around(target)
        logs = DefinitionsIndex(project.defs).raw_logs() if project is not None else {}
    except ConfigError:
        return []  # somebody's file is broken: no reason not to begin a new one
    return sorted(name for spec in logs.values() for name in spec.tables)


class RawLogsScaffolder(dg.Scaffolder):
    """A folder with a commented defs.yaml."""

    def scaffold(self, request: dg.ScaffoldRequest) -> None:
        _write(request, "raw_logs.yaml")
