"""`kumo-sandbox` as typed: one JSON document on stdout, words on stderr, and an exit status that says how it went."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from kumo_sandbox import cli
from kumo_sandbox.testing import SandboxHandle

ROOT = Path(__file__).parents[4]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Type a command; (exit status, stdout, stderr)."""

    def type_(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["kumo-sandbox", *arguments])
        status = 0
        try:
            cli.main()
        except SystemExit as ended:
            status = int(ended.code or 0)
        said = capsys.readouterr()
        return status, said.out, said.err

    return type_


@pytest.mark.sandbox
def test_status_names_every_address_for_scripts(own: SandboxHandle, typed: Any) -> None:
    status, out, _ = typed("status", "--home", str(own.settings.home), "--json")
    found = json.loads(out)
    assert status == 0
    assert found["running"] is True
    assert (found["kumo"]["url"], found["aws"]["url"]) == (own.url["kumo"], own.url["aws"])
    assert (found["snowflake"]["host"], found["snowflake"]["port"]) == ("127.0.0.1", own.settings.ports["snowflake"])


@pytest.mark.sandbox
def test_env_points_a_shell_at_the_sandbox_and_at_the_projects_dagster_instance(
    own: SandboxHandle, typed: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.chdir(ROOT)
    _, out, _ = typed("env", "--home", str(own.settings.home), "--json")
    assert json.loads(out) == {**own.env, "DAGSTER_HOME": str(ROOT)}
    monkeypatch.chdir(tmp_path)
    _, out, _ = typed("env", "--home", str(own.settings.home))
    assert f"export DAGSTER_HOME={own.settings.home / 'dagster'}" in out.splitlines()
    assert all(line.startswith("export ") for line in out.splitlines())


def test_home_that_was_never_started_is_wrong_usage(typed: Any, tmp_path: Path) -> None:
    for command in ("status", "env"):
        status, out, err = typed(command, "--home", str(tmp_path / "none"), "--json")
        assert status == 2
        assert json.loads(out)["exit_status"] == 2
        assert "it was never started here" in err
    assert not (tmp_path / "none").exists()


def test_stop_and_reset_of_nothing_are_done_already(typed: Any, tmp_path: Path) -> None:
    for command in ("stop", "reset"):
        status, _, err = typed(command, "--home", str(tmp_path / "none"))
        assert status == 0
        assert "There is no sandbox" in err


@pytest.mark.parametrize(
    "arguments", [["start", "--ports", "some"], ["frobnicate"], ["demo", "--break", "nonsense"]], ids=lambda a: a[0]
)
def test_wrong_usage_is_exit_status_2(typed: Any, arguments: list[str], tmp_path: Path) -> None:
    extra = ["--home", str(tmp_path / "none")] if arguments[0] != "frobnicate" else []
    status, _, err = typed(*arguments, *extra)
    assert status == 2
    assert err.strip()
    assert not (tmp_path / "none").exists()


def test_port_that_is_none_is_named_with_its_variable(
    typed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUMO_SANDBOX_PORT_AWS", "many")
    status, _, err = typed("start", "--home", str(tmp_path / "none"))
    assert status == 2
    assert "KUMO_SANDBOX_PORT_AWS: 'many'" in err
    assert not (tmp_path / "none").exists()
