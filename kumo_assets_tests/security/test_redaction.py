"""Secrets never reach a log, an exception, metadata, a stored document or SQL text (rule 10, fault 21). Real credentials of
the sandbox are looked for in everything a good day leaves behind, wrong ones in everything said when they are refused."""

from __future__ import annotations

import logging
import os
import secrets
from typing import Any

import dagster as dg
import pytest
from kumo_serving import Reader, S3Pointer
from kumo_serving.errors import KumoAssetsError
from snowflake.connector.cursor import SnowflakeCursor

from kumo_assets.config.environment import Environment
from kumo_assets.pointers.zookeeper import ZooKeeperPointerStore
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.operations.status import report
from kumo_assets.resources.webhook import notify
from kumo_assets_tests.chain.conftest import QUERY, Chain, failure

SECRETS = ("AWS_SECRET_ACCESS_KEY", "SNOWFLAKE_PASSWORD", "KUMO_API_KEY")


def told(chain: Chain, result: dg.ExecuteInProcessResult, caplog: pytest.LogCaptureFixture) -> str:
    """Everything a run said: log lines, events with their metadata and errors, as Dagster stores them."""
    stored = [str(record.to_json()) for record in chain.instance.all_logs(result.run_id)]
    return "\n".join([caplog.text, *map(repr, result.all_events), *stored])


def documents(chain: Chain) -> str:
    """Every small object this environment has on S3."""
    ctx = chain.ctx()
    s3, bucket = ctx.objects.client, ctx.names.bucket
    keys = [item.key for item in ctx.objects.list(f"{chain.environment}/")]
    return "\n".join(
        s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode("utf-8", "replace")
        for key in keys
        if "/export" not in key
    )


def test_a_good_day_leaves_no_secret_anywhere(
    chain: Chain, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []
    execute: Any = SnowflakeCursor.execute

    def noted(self: Any, command: str, *arguments: Any, **options: Any) -> Any:
        statements.append(f"{command} {arguments} {options.get('params')}")
        return execute(self, command, *arguments, **options)

    monkeypatch.setattr(SnowflakeCursor, "execute", noted)
    for name in ("kumo_assets", "kumo_serving", "snowflake.connector", "botocore", "httpx", "dagster"):
        caplog.set_level(logging.INFO, logger=name)
    result = chain.run()
    assert result.success, failure(result)
    assert chain.promote().success
    text = told(chain, result, caplog) + documents(chain) + "\n".join(statements) + repr(chain.ctx())
    assert len(statements) > 5
    assert "20" in text
    for name in SECRETS:
        assert os.environ[name] not in text, f"{name} was told"
    # Snowflake's query history keeps SQL: not even the key's id belongs there.
    assert os.environ["AWS_ACCESS_KEY_ID"] not in "\n".join(statements)


@pytest.mark.parametrize("variable", SECRETS)
def test_a_wrong_credential_is_named_and_not_shown(
    chain: Chain, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    planted = "planted-" + secrets.token_hex(12)
    monkeypatch.setenv(variable, planted)
    caplog.set_level(logging.INFO)
    result = chain.run()
    assert not result.success
    text = told(chain, result, caplog)
    assert planted not in text
    assert failure(result)


def test_zookeepers_password_is_in_no_error_and_no_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kumo_assets.config.names import QueryNames

    monkeypatch.setenv("KUMO_ASSETS_ZOOKEEPER_AUTH", "writer:planted-sesame")
    monkeypatch.setattr("kumo_assets.pointers.zookeeper.SECONDS", 0.5)
    caplog.set_level(logging.DEBUG)
    store = ZooKeeperPointerStore(QueryNames("local", "shop", "a-bucket"), "127.0.0.1:9")
    with pytest.raises(KumoAssetsError) as caught:
        store.read()
    assert "planted-sesame" not in f"{caught.value} {caught.value!r} {caplog.text} {store!r} {vars(store)}"


def test_the_webhooks_address_is_in_no_log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level(logging.DEBUG)
    for address in ("http://127.0.0.1:9/services/planted-sesame", "not a url planted-sesame", "http://[planted-sesame"):
        monkeypatch.setenv("KUMO_ASSETS_WEBHOOK_URL", address)
        notify("shop", "stale", "old")
    assert "planted-sesame" not in caplog.text


def test_a_readers_errors_show_no_secret(sandbox: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    planted = "planted-" + secrets.token_hex(12)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", planted)
    monkeypatch.setenv("KUMO_SERVING_CACHE", str(tmp_path))
    bucket = os.environ["KUMO_ASSETS_BUCKET"]
    reader = Reader(QUERY, pointer=S3Pointer(f"s3://{bucket}/local/{QUERY}/active.json"))
    try:
        with pytest.raises(KumoAssetsError) as caught:
            reader.get(1)
    finally:
        reader.close()
    assert planted not in f"{caught.value} {caught.value!r} {reader!r}"


def test_status_with_wrong_credentials_says_which_and_not_what(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = "planted-" + secrets.token_hex(12)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", planted)
    with pytest.raises(KumoAssetsError, match="SignatureDoesNotMatch") as caught:
        report(ReleaseContext.from_environment(chain.definition, Environment.from_variables()))
    assert planted not in str(caught.value)
