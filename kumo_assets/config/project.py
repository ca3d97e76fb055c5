"""Which folder of definitions a command works on, and which Dagster project it belongs to.

A project is what `dg` calls one: a folder whose `pyproject.toml` has a `[tool.dg.project]` table, or that has a `dg.toml`.
What is in the folder is `index`'s business. No Dagster here, and nothing of this package is ever the answer by default.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kumo_assets.errors import ConfigError


@dataclass(frozen=True)
class Project:
    """A Dagster project. `source` is the folder that its Python package is imported from, `defs` the folder of its
    definitions, and `definitions` the module that Dagster loads."""

    source: Path
    defs: Path
    definitions: str


def project_around(start: Path) -> Project | None:
    """The nearest project at or above `start` that has a folder of definitions; None when there is none.

    Raises ConfigError for a `pyproject.toml` or `dg.toml` on the way that is not TOML.
    """
    here = start.resolve()
    for folder in (here, *here.parents):
        settings = _settings(folder)
        package = settings.get("root_module")
        if not package:
            continue
        defs = str(settings.get("defs_module", f"{package}.defs")).replace(".", "/")
        for source in (folder, folder / "src"):
            if (source / defs).is_dir():
                module = settings.get("code_location_target_module", f"{package}.definitions")
                return Project(source, source / defs, str(module))
    return None


def defs_folder(environ: Mapping[str, str] | None = None, start: Path | None = None) -> Path:
    """The folder of definitions: `KUMO_ASSETS_DEFS`, else that of the project around `start` (the current folder).

    Raises ConfigError, which says how to make a project, when there is neither.
    """
    value = (os.environ if environ is None else environ).get("KUMO_ASSETS_DEFS", "")
    if value:
        folder = Path(value)
        if not folder.is_dir():
            raise ConfigError(
                "read the definitions in",
                to=str(folder),
                found="no such folder",
                next="set KUMO_ASSETS_DEFS to the folder that holds one folder per query",
            )
        return folder
    here = start or Path.cwd()
    project = project_around(here)
    if project is None:
        raise ConfigError(
            "find the definitions",
            found=f"no Dagster project with a folder of definitions is at or above {here}, and KUMO_ASSETS_DEFS is not set",
            next="change to your project's folder, or set KUMO_ASSETS_DEFS to its folder of definitions. To make a "
            "project: `create-dagster project my_project`, then in it `dg scaffold defs kumo_assets.components.RawLogs "
            "raw_logs` and `dg scaffold defs kumo_assets.components.PredictiveQuery my_query`",
        )
    return project.defs


def _settings(folder: Path) -> dict[str, object]:
    """The table that makes a folder a project; empty when it is none."""
    for name in ("dg.toml", "pyproject.toml"):  # the order in which `dg` looks
        path = folder / name
        if not path.is_file():
            continue
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:  # not TOML, or not UTF-8
            raise ConfigError(
                "read",
                to=str(path),
                found=str(error),
                next="fix the file, or set KUMO_ASSETS_DEFS to the folder of definitions",
            ) from error
        table = document if name == "dg.toml" else document.get("tool", {}).get("dg", {})
        if project := table.get("project"):
            return dict(project)
    return {}
