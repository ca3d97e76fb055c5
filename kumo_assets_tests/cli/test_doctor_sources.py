"""`doctor` with each source of predictions and each place of raw logs: what is asked of whom, and of nobody else.

Only the trials that differ are run; that one fault hides no other is in `test_doctor`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kumo_sandbox.testing import SandboxHandle

from kumo_assets.cli.doctor import Finding, _trials, _try
from kumo_assets.config.index import DefinitionsIndex
from kumo_assets.resources.aws import s3_client
from kumo_assets_tests.chain.conftest import QUERY, SHIPPED
from kumo_assets_tests.resources.raw_logs import clocks

KUMO = "Kumo: key, connectors, models"
TABLES = "Snowflake: the tables that other jobs write"
Doctor = Callable[..., dict[str, Finding]]


@pytest.fixture
def doctor(logs: SandboxHandle, sandbox: SandboxHandle, tmp_path: Path) -> Doctor:
    """Findings of the trials whose names begin so, over the shipped query, changed by `change`, and raw logs `tables`."""

    def run(
        *asked: str, change: Callable[[dict[str, Any]], None] = lambda _: None, **tables: Any
    ) -> dict[str, Finding]:
        for name in ("raw_logs", QUERY):
            document = yaml.safe_load((SHIPPED / name / "defs.yaml").read_text())
            if name == QUERY:
                change(document["attributes"])
            else:
                document["attributes"]["tables"] |= tables
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / "defs.yaml").write_text(yaml.safe_dump(document))
        trials = dict(_trials(DefinitionsIndex(tmp_path)))
        return {what: _try(what, trial) for what, trial in trials.items() if what.startswith(asked)}

    return run


def v3(monkeypatch: pytest.MonkeyPatch, logs: SandboxHandle) -> None:
    monkeypatch.setenv("KUMO_API_DIALECT", "v3")
    monkeypatch.setenv("KUMO_API_URL", logs.url["kumo"] + "/v3/api")


def native(monkeypatch: pytest.MonkeyPatch, logs: SandboxHandle) -> None:
    monkeypatch.delenv("KUMO_API_KEY")
    monkeypatch.setenv("KUMO_AUTHENTICATION", "snowflake")


def sdk(monkeypatch: pytest.MonkeyPatch, logs: SandboxHandle) -> None:
    """As the sandbox's variables are."""


@pytest.mark.parametrize("way", [sdk, v3, native])
def test_kumo_is_tried_by_whichever_way_it_is_reached(
    doctor: Doctor, logs: SandboxHandle, monkeypatch: pytest.MonkeyPatch, way: Callable[..., None]
) -> None:
    way(monkeypatch, logs)
    found = doctor("Kumo", "Snowflake: the tables")
    assert list(found) == [KUMO]
    assert found[KUMO].ok, found
    assert found[KUMO].seen.startswith(f"{QUERY} by trainingjob-")


@pytest.mark.parametrize(
    ("way", "variable", "value", "words"),
    [
        (sdk, "KUMO_API_KEY", "demo:wrong", "KUMO_API_KEY"),
        (v3, "KUMO_PROJECT", "nobodys", "KUMO_PROJECT"),
        (v3, "KUMO_API_KEY", "demo:wrong", "KUMO_API_KEY"),
        (native, "SNOWFLAKE_PASSWORD", "wrong", "SNOWFLAKE_PASSWORD"),
    ],
)
def test_what_is_wrong_with_each_way_names_the_variable_to_set(
    doctor: Doctor,
    logs: SandboxHandle,
    monkeypatch: pytest.MonkeyPatch,
    way: Callable[..., None],
    variable: str,
    value: str,
    words: str,
) -> None:
    way(monkeypatch, logs)
    monkeypatch.setenv(variable, value)
    [found] = doctor("Kumo").values()
    assert not found.ok
    assert words in found.seen + found.fix


def of_table(attributes: dict[str, Any]) -> None:
    attributes["raw_logs"] = []
    attributes.pop("outcomes", None)  # of a raw log
    settings = {"table": "KUMO.RAW.NOBODY_WROTE_%Y%m%d", "complete": {"control": {"table": "D", "where": "TRUE"}}}
    attributes["source"] = {"table": settings}


def test_of_a_table_source_nothing_of_kumo_is_asked(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("KUMO_API_URL", "KUMO_API_KEY"):
        monkeypatch.delenv(variable)
    found = doctor("Kumo", "query as code", "Snowflake: the tables", change=of_table)
    assert list(found) == [TABLES]
    assert found[TABLES].ok, found
    assert "KUMO.RAW.NOBODY_WROTE_" in found[TABLES].seen
    assert "is not there yet" in found[TABLES].seen


def test_each_raw_log_outside_snowflake_is_tried(doctor: Doctor) -> None:
    bucket = os.environ["KUMO_ASSETS_BUCKET"]
    s3_client().put_object(Bucket=bucket, Key="doctors-logs/a", Body=b'{"at": "2017-11-30T23:59:00Z"}')
    tables = {
        "clicks": {"freshness_from": "s3", "location": f"s3://{bucket}/doctors-logs/", "event_time": "at"},
        "views": {"freshness_from": f"{clocks.__name__}:naive"},
        "prices": {"freshness_from": "none"},
    }

    def change(attributes: dict[str, Any]) -> None:
        attributes["raw_logs"] = ["transactions", *tables]

    found = doctor("raw log", "Snowflake: log in", change=change, **tables)
    clicks, views, prices = (found[f"raw log {name}: how far it reaches"] for name in tables)
    assert clicks.ok
    assert clicks.seen.startswith("newest event 2017-11-30T23:59:00+00:00; newest object s3://")
    assert (views.ok, "no time zone" in views.seen) == (False, True)
    assert (prices.ok, "not asked for" in prices.seen) == (True, True)
    [snowflake] = [item for what, item in found.items() if what.startswith("Snowflake")]
    assert snowflake.seen.endswith("raw logs transactions"), snowflake
