"""`doctor`: every system tried for real; what is wrong is named with what to do, and hides nothing else."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test
from kumo_sandbox.testing import SandboxHandle

from kumo_assets.cli.trials import count_tables, login_warning, regions_agree
from kumo_assets.cli.warehouse_trials import judge_warehouse
from kumo_assets.errors import ConfigError
from kumo_assets.resources.processes import PROCESS_TAG
from kumo_assets_tests.chain.conftest import QUERY, SHIPPED
from kumo_assets_tests.cli.conftest import kumo_assets


@pytest.fixture(autouse=True)
def _logs(logs: SandboxHandle, home: Path) -> None:
    """Raw logs are there."""


def findings(status: int) -> dict[str, dict[str, Any]]:
    done = kumo_assets("doctor", "--json")
    assert done.status == status, done.out
    assert done.document["ok"] is (status == 0)
    return {item["what"].partition(":")[0]: item for item in done.document["findings"]}


def test_a_machine_that_is_set_up_right_passes() -> None:
    killed = {PROCESS_TAG: f"999999999@{socket.gethostname()}"}
    with dg.DagsterInstance.get() as instance:
        gone = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED, tags=killed)
        found = findings(0)
        ended = instance.get_run_by_id(gone.run_id)
    assert all(item["ok"] for item in found.values())
    assert ended is not None
    assert ended.status is dg.DagsterRunStatus.FAILURE
    assert gone.run_id[:8] in found["runs whose process is gone"]["seen"]
    words = kumo_assets("doctor").out
    assert "Snowflake" in words
    assert "FAIL" not in words


@pytest.mark.parametrize(
    ("variable", "value", "failing", "words"),
    [
        ("KUMO_API_KEY", "wrong:planted-secret-value", "Kumo", "KUMO_API_KEY"),
        ("SNOWFLAKE_PASSWORD", "planted-secret-value", "Snowflake", "SNOWFLAKE"),
        ("AWS_SECRET_ACCESS_KEY", "planted-secret-value", "S3", "AWS"),
        ("KUMO_ASSETS_BUCKET", "no-such-bucket-here", "S3", "bucket"),
        ("KUMO_ASSETS_STORAGE_INTEGRATION", "", "environment variables", "grants.sql"),
        ("KUMO_ASSETS_STORAGE_INTEGRATION", "OTHER", "unload", "VALIDATE_STORAGE_INTEGRATION('OTHER'"),
        ("KUMO_ASSETS_STAGE", "KUMO.PUBLIC.NO_SUCH", "unload", "stage.sql"),
        ("SNOWFLAKE_WAREHOUSE", "NO_SUCH", "Snowflake", "it sees SANDBOX"),
        ("SNOWFLAKE_SCHEMA", "RAW", "Kumo", "its schema is PUBLIC, and SNOWFLAKE_SCHEMA is RAW"),
        ("DAGSTER_HOME", "", "Dagster", "DAGSTER_HOME"),
    ],
    ids=[
        "kumo-key",
        "snowflake-password",
        "aws-secret",
        "bucket",
        "integration",
        "other-integration",
        "stage",
        "warehouse",
        "connectors-schema",
        "dagster-home",
    ],
)
def test_each_fault_is_found_alone_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, failing: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    found = findings(1)
    assert found[failing]["ok"] is False
    assert words in found[failing]["seen"] + found[failing]["fix"]
    assert found[failing]["fix"]
    # The others were tried all the same.
    assert found["definitions"]["ok"] is True
    assert "planted-secret-value" not in str(found)


def test_every_broken_definition_is_named_and_the_systems_are_tried_for_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("raw_logs", "growth/" + QUERY):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "defs.yaml").write_text((SHIPPED / place.split("/")[-1] / "defs.yaml").read_text())
    broken = [tmp_path / name / "defs.yaml" for name in ("broken", "other")]
    for path in broken:
        path.parent.mkdir()
        path.write_text("type: [")
    monkeypatch.setenv("KUMO_ASSETS_DEFS", str(tmp_path))
    found = findings(1)
    assert found["definitions"]["ok"] is False
    assert all(f"{path}: not YAML" in found["definitions"]["seen"] for path in broken)
    assert [what for what, item in found.items() if not item["ok"]] == ["definitions"]
    assert "transactions" in found["Snowflake"]["seen"]
    assert QUERY in found["Kumo"]["seen"]


def test_sql_that_snowflake_does_not_compile_is_found_without_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(SHIPPED, tmp_path, dirs_exist_ok=True)
    some = "SELECT ENTITY, CLASS, SCORE, 1 AS RANK FROM {{ predictions }} WHERE CLASS IN (SELECT PRODUCT_ID FROM {{ products }})"
    select = f"({some}) UNION ALL ({some})"  # a SELECT of any form
    for name, sql in (("good", select), ("bad", select.replace("PRODUCT_ID", "PRODUCT"))):
        shutil.copytree(SHIPPED / QUERY, tmp_path / f"{name}_rules")
        (tmp_path / f"{name}_rules" / "postprocess.sql").write_text(sql)
    monkeypatch.setenv("KUMO_ASSETS_DEFS", str(tmp_path))
    done = kumo_assets("doctor", "--json")
    assert done.status == 1, done.err
    found = {item["what"]: item for item in done.document["findings"] if item["what"].startswith("postprocess.sql")}
    assert "returns ENTITY, CLASS, SCORE, RANK" in found["postprocess.sql: good_rules"]["seen"]
    wrong = found["postprocess.sql: bad_rules"]
    assert not wrong["ok"]
    assert "PRODUCT" in wrong["seen"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("schema: RAW", "schema: raw", "there is KUMO.RAW.TRANSACTIONS: names differ in case"),
        ("table: TRANSACTIONS", "table: Transactions", "there is KUMO.RAW.TRANSACTIONS: names differ in case"),
        ("event_time: TRANSACTION_TIMESTAMP", "event_time: Transaction_Timestamp", "TRANSACTION_TIMESTAMP differs"),
    ],
)
def test_a_raw_log_in_another_case_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, words: str
) -> None:
    for place in ("raw_logs", QUERY):
        (tmp_path / place).mkdir()
        text = (SHIPPED / place / "defs.yaml").read_text()
        assert place == QUERY or old in text
        (tmp_path / place / "defs.yaml").write_text(text.replace(old, new, 1) if place == "raw_logs" else text)
    monkeypatch.setenv("KUMO_ASSETS_DEFS", str(tmp_path))
    found = findings(1)["Snowflake"]
    assert words in found["seen"]
    assert "RawLogs definition" in found["fix"]


def test_a_warehouse_that_would_run_nothing_is_found() -> None:
    def row(**changes: str) -> dict[str, Any]:
        return {"name": "TRANSFORMING", "state": "SUSPENDED", "is_current": "Y", "auto_resume": "true", **changes}

    assert judge_warehouse([row()], {"SNOWFLAKE_WAREHOUSE": "transforming"}) == "warehouse TRANSFORMING (suspended)"
    assert "TRANSFORMING" in judge_warehouse([row()], {})
    for rows, variables, words in (
        ([row(auto_resume="false")], {}, "AUTO_RESUME is off"),
        ([row(name="OTHER")], {"SNOWFLAKE_WAREHOUSE": "TRANSFORMING"}, "it sees OTHER"),
        ([row(is_current="N")], {}, "SNOWFLAKE_WAREHOUSE is not set"),
    ):
        with pytest.raises(ConfigError, match=words):
            judge_warehouse(rows, variables)
    assert judge_warehouse([row(state="STARTED", auto_resume="false")], {}), "it runs"


def test_near_the_quota_of_tables_doctor_warns() -> None:
    assert not count_tables(10, 2249, "eu-west-1").warning
    assert "retire old releases" in count_tables(10, 2250, "eu-west-1").warning


@pytest.mark.parametrize(
    ("variables", "warns"),
    [
        ({"SNOWFLAKE_PASSWORD": "x"}, True),
        ({"SNOWFLAKE_PASSWORD": "x", "SNOWFLAKE_HOST": "127.0.0.1"}, False),
        ({"SNOWFLAKE_PASSWORD": "x", "SNOWFLAKE_AUTHENTICATOR": "username_password_mfa"}, False),
        ({"SNOWFLAKE_PRIVATE_KEY_PATH": "/k"}, False),
    ],
)
def test_a_bare_password_outside_the_sandbox_is_warned_of(variables: dict[str, str], warns: bool) -> None:
    assert bool(login_warning(variables)) is warns


def test_two_regions_are_warned_of() -> None:
    assert "AWS_REGION is a, which is used" in regions_agree({"AWS_REGION": "a", "AWS_DEFAULT_REGION": "b"})
    assert not regions_agree({"AWS_REGION": "a", "AWS_DEFAULT_REGION": "a"})
    assert not regions_agree({"AWS_DEFAULT_REGION": "b"})
