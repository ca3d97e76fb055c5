"""Secrets never reach a log, an exception, metadata, a stored document or SQL text (rule 10, fault 21). Real credentials of
the sandbox are looked for in everything a good day leaves behind, wrong ones in everything said when they are refused."""

from __future__ import annotations

import logging
import os
import secrets
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from kumo_serving import Reader, S3Pointer
from kumo_serving.errors import KumoAssetsError
from snowflake.connector.cursor import SnowflakeCursor

from kumo_assets.config.environment import Environment
from kumo_assets.documents import Opened
from kumo_assets.errors import ConfigError, WarehouseError
from kumo_assets.gates import Release
from kumo_assets.gates.judgement import Judgement, to_verdict
from kumo_assets.gates.own import judge_own
from kumo_assets.pointers.zookeeper import ZooKeeperPointerStore
from kumo_assets.redaction import without_secrets
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.operations.status import report
from kumo_assets.resources.kumo.wire import notices
from kumo_assets.resources.snowflake_settings import snowflake_resource
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
    monkeypatch.setattr("kumo_assets.pointers.zookeeper_sessions.SECONDS", 0.5)
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


PEM = (
    "-----BEGIN PRIVATE KEY-----\n" + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n" * 3 + "qXy7Zw==\n-----END PRIVATE KEY-----\n"
)


@pytest.mark.parametrize(
    ("variable", "value", "shown", "secret"),
    [
        ("KUMO_ASSETS_ZOOKEEPER_AUTH", "writer:open-sesame", "digest open-sesame failed", "open-sesame"),
        ("SNOWFLAKE_PRIVATE_KEY", PEM, PEM, "MIIEvQ"),
        ("SNOWFLAKE_PRIVATE_KEY", PEM, " ".join(PEM.split()), "MIIEvQ"),
        ("SNOWFLAKE_PRIVATE_KEY", PEM, repr(PEM), "MIIEvQ"),
        ("SNOWFLAKE_PRIVATE_KEY", PEM, PEM.replace("\n", ""), "qXy7Zw"),
        ("SNOWFLAKE_PRIVATE_KEY", PEM.replace("\n", "\\n"), PEM, "MIIEvQ"),
        ("SNOWFLAKE_PRIVATE_KEY", PEM, f"line: {PEM.splitlines()[1]}", "MIIEvQ"),
        ("SNOWFLAKE_PRIVATE_KEY_PATH", PEM, f"No such file or directory: {PEM!r}", "MIIEvQ"),
        ("SNOWFLAKE_PRIVATE_KEY_PATH", "MIIEvQ" * 60, f"No such file: {'MIIEvQ' * 60}", "MIIEvQ"),
        ("SOME_PASSWORD", "p@ss w/rd%1", "https://h/?p=p%40ss%20w%2Frd%251", "p%40ss"),
        ("SOME_PASSWORD", "p@ss w/rd%1", "Basic cEBzcyB3L3JkJTE=", "cEBzcyB3"),
        ("SOME_PASSWORD", 'quo"ted\\word', '{"p": "quo\\"ted\\\\word"}', "ted"),
        ("HTTPS_PROXY", "http://me:hunter222@proxy:3128", "tunnel to me:hunter222 failed", "hunter222"),
        (
            "KUMO_ASSETS_WEBHOOK_URL",
            "https://hooks.x/services/T0/open-sesame",
            "POST /services/T0/open-sesame",
            "sesame",
        ),
    ],
)
def test_a_secret_is_found_in_every_form(variable: str, value: str, shown: str, secret: str) -> None:
    found = without_secrets(f"before {shown} after", {variable: value})
    assert secret not in found
    assert found.startswith("before ")
    assert found.endswith(" after")


def test_a_keys_file_is_hidden_and_its_path_is_not(tmp_path: Path) -> None:
    path = tmp_path / "rsa.p8"
    path.write_text(PEM)
    text = without_secrets(f"cannot parse {path}: {PEM}", {"SNOWFLAKE_PRIVATE_KEY_PATH": str(path)})
    assert str(path) in text
    assert "MIIEvQ" not in text


def test_ordinary_words_stay() -> None:
    environ = {
        "PWD": "/srv/project",
        "AWS_PROFILE": "production",
        "SNOWFLAKE_AUTHENTICATOR": "externalbrowser",
        "A_KEY": "x",
    }
    words = "the externalbrowser of production in /srv/project, x"
    assert without_secrets(words, environ) == words


def test_evidence_of_a_gate_is_stored_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUMO_ASSETS_ZOOKEEPER_AUTH", "writer:open-sesame")
    monkeypatch.setenv("SNOWFLAKE_PRIVATE_KEY", PEM)
    evidence = {"rows": 3, "open-sesame": [{"key": PEM}, ("open-sesame", Path("/open-sesame"))]}
    judgement = Judgement(
        "error",
        f"with open-sesame and {PEM}",
        1.0,
        evidence=evidence,
        segment="open-sesame",
        bars={"open-sesame": (1, 2)},
    )
    opened = Opened(
        query="shop", environment="local", partition="2017-11-30", release_id="20171130-1a2b3c4d", run_id="r",
        root_run_id="r", opened_at="2017-12-01T00:00:00Z", code_version="1", by="me",
    )  # fmt: skip
    verdict = to_verdict(judgement, opened, "own", "postprocessed", "block", "r")
    stored = verdict.to_json().decode()
    assert "sesame" not in stored
    assert "MIIEvQ" not in stored
    assert verdict.evidence["rows"] == 3


def test_an_own_gates_exception_is_reported_without_a_key_of_several_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNOWFLAKE_PRIVATE_KEY", PEM)
    path = tmp_path / "leaks.py"
    path.write_text("import os\ndef check(release): raise RuntimeError('no ' + os.environ['SNOWFLAKE_PRIVATE_KEY'])\n")
    release = Release("q", "2017-11-30", "20171130-1a2b3c4d", "P", "L", None, None, lambda sql: [])
    judgement = judge_own(path, release, {})
    assert judgement.severity == "error"
    assert "RuntimeError" in judgement.message
    assert "MIIEvQ" not in judgement.message


def test_the_error_of_a_vendor_is_stored_by_dagster_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster keeps an exception with all that it came from, so that our own message alone is not enough."""
    from dagster._utils.error import serializable_error_info_from_exc_info

    planted = "planted-" + secrets.token_hex(12)
    monkeypatch.setenv("SNOWFLAKE_PASSWORD", planted)

    class VendorError(Exception):
        def __init__(self, message: str) -> None:
            super().__init__(message)
            self.raw_msg = self.msg = message

        def __str__(self) -> str:
            return f"vendor: {self.msg}"

    try:
        try:
            try:
                raise FileNotFoundError(2, "No such file", f"/keys/{planted}")
            except OSError as error:
                raise VendorError(f"login with {planted} failed") from error
        except VendorError as error:
            raise WarehouseError("log in", found=str(error), next=f"use {planted}") from error
    except WarehouseError:
        info = serializable_error_info_from_exc_info(sys.exc_info())
    kept = str(info)
    assert "VendorError" in kept
    assert "FileNotFoundError" in kept
    assert planted not in kept


def test_what_kumo_says_is_stored_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNOWFLAKE_PASSWORD", "open-sesame")
    [notice] = notices([{"title": "no open-sesame", "message": "login with open-sesame"}])
    assert (notice.title, notice.message) == ("no ***", "login with ***")


def test_a_key_typed_where_its_path_belongs_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"SNOWFLAKE_ACCOUNT": "a", "SNOWFLAKE_USER": "u", "SNOWFLAKE_PRIVATE_KEY_PATH": PEM}
    with pytest.raises(ConfigError, match="put the key into SNOWFLAKE_PRIVATE_KEY") as caught:
        snowflake_resource(environ)
    assert "MIIEvQ" not in str(caught.value)
