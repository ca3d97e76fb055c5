"""Which folder of definitions a command works on: the variable's, else the project's around it, and never ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from kumo_assets.config.project import Project, defs_folder, project_around
from kumo_assets.errors import ConfigError


def test_the_folder_of_a_project_around_the_current_one_is_found(tmp_path: Path) -> None:
    project = tmp_path / "acme"
    defs = project / "src" / "acme" / "defs"
    defs.mkdir(parents=True)
    (project / "pyproject.toml").write_text('[tool.dg.project]\nroot_module = "acme"\n')
    assert defs_folder({}, project / "src") == defs
    assert project_around(defs / "offers") == Project(project / "src", defs, "acme.definitions")
    with pytest.raises(ConfigError, match="KUMO_ASSETS_DEFS"):
        defs_folder({"KUMO_ASSETS_DEFS": str(tmp_path / "none")})


def test_a_projects_own_modules_are_taken_and_a_dg_toml_comes_before_pyproject(tmp_path: Path) -> None:
    (tmp_path / "acme" / "queries").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[tool.dg.project]\nroot_module = "other"\n')
    (tmp_path / "dg.toml").write_text(
        '[project]\nroot_module = "acme"\ndefs_module = "acme.queries"\ncode_location_target_module = "acme.all"\n'
    )
    assert project_around(tmp_path) == Project(tmp_path, tmp_path / "acme" / "queries", "acme.all")


def test_without_a_project_nothing_is_taken_instead_and_the_message_says_how_to_make_one(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "no dagster project"\n')
    with pytest.raises(ConfigError, match=r"KUMO_ASSETS_DEFS is not set.*create-dagster project.*dg scaffold defs"):
        defs_folder({}, tmp_path)


def test_a_pyproject_that_is_not_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.dg")
    with pytest.raises(ConfigError, match=r"pyproject\.toml"):
        defs_folder({}, tmp_path)
