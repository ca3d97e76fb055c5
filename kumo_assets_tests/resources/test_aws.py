"""The AWS clients' credentials and time-outs, from real files and a real credential process. No call is made to AWS."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from kumo_assets.assets.s3_export import copy_into
from kumo_assets.errors import ConfigError, ObjectStoreError
from kumo_assets.resources import aws
from kumo_assets.resources.aws import explain_error
from kumo_assets.resources.dynamodb.resource import DynamoDBResource
from kumo_assets.resources.s3 import S3Resource
from kumo_assets.resources.s3_objects import ObjectStore
from kumo_assets_tests.resources.kumo.scripted import Answer, Asked, ScriptedServer
from kumo_assets_tests.support.scripted_s3 import DONE, failure, listing

MAKERS: dict[str, Callable[[aws.Sessions], Any]] = {
    "s3": lambda sessions: sessions.s3(),
    "dynamodb": lambda sessions: sessions.dynamodb(),
    "S3Resource": lambda sessions: S3Resource().client(sessions),
    "s3_client": lambda _: aws.s3_client(),
    "dynamodb_client": lambda _: aws.dynamodb_client(),
    "S3Resource by itself": lambda _: S3Resource().get_client(),
    "DynamoDBResource": lambda _: DynamoDBResource().client(),
}
SHARING = ("s3", "dynamodb", "S3Resource")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose AWS settings are in files alone."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return tmp_path


def write_keys(folder: Path, access_key: str) -> None:
    text = f"[default]\naws_access_key_id = {access_key}\naws_secret_access_key = hidden\n"
    (folder / "credentials").write_text(text)


def write_process(folder: Path, section: str, access_key: str) -> Path:
    """A profile whose credentials a process gives, for long. The file that tells how often it was asked."""
    asked = folder / f"asked-{access_key}"
    answer = {
        "Version": 1,
        "AccessKeyId": access_key,
        "SecretAccessKey": "hidden",
        "SessionToken": "hidden",
        "Expiration": "2099-01-01T00:00:00Z",
    }
    script = folder / f"{access_key}.py"
    script.write_text(f"open({str(asked)!r}, 'a').write('asked\\n')\nprint({json.dumps(answer)!r})\n")
    with (folder / "config").open("a") as config:
        config.write(f"[{section}]\ncredential_process = {sys.executable} {script}\n")
    return asked


def key_of(client: Any) -> str:
    return str(client._request_signer._credentials.access_key)


@pytest.mark.parametrize("maker", MAKERS)
def test_keys_renewed_in_a_file_are_those_of_the_next_client(maker: str, files: Path) -> None:
    sessions = aws.Sessions()
    write_keys(files, "AKIDOLD")
    assert key_of(MAKERS[maker](sessions)) == "AKIDOLD"
    write_keys(files, "AKIDNEW")
    assert key_of(MAKERS[maker](sessions)) == "AKIDNEW"


def test_credentials_that_renew_themselves_are_asked_for_once(files: Path) -> None:
    asked = write_process(files, "default", "AKIDROLE")
    sessions = aws.Sessions()
    assert {key_of(MAKERS[maker](sessions)) for maker in SHARING} == {"AKIDROLE"}
    assert asked.read_text() == "asked\n"


def test_they_are_asked_for_again_after_minutes(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What they are taken by may have been renewed in its file; a session would never know."""
    asked = write_process(files, "default", "AKIDROLE")
    sessions = aws.Sessions()
    sessions.s3()
    monkeypatch.setattr("time.monotonic", lambda now=time.monotonic: now() + aws.RENEWING_SECONDS)
    sessions.s3()
    assert asked.read_text() == "asked\nasked\n"


def test_each_profile_has_its_own(files: Path) -> None:
    for name in ("default", "profile one", "profile two"):
        write_process(files, name, f"AKID{name[-3:].upper()}")
    sessions = aws.Sessions()
    made = [S3Resource(profile_name=name).client(sessions) for name in ("one", "two", None, "one")]
    assert [key_of(client) for client in made] == ["AKIDONE", "AKIDTWO", "AKIDULT", "AKIDONE"]


def test_keys_that_a_person_set_are_used_without_a_look_for_others(files: Path) -> None:
    asked = write_process(files, "default", "AKIDROLE")
    client = S3Resource(aws_access_key_id="AKIDSET", aws_secret_access_key="hidden").get_client()
    assert key_of(client) == "AKIDSET"
    assert not asked.exists()


@pytest.mark.parametrize("maker", MAKERS)
def test_no_client_waits_for_longer_than_its_time_outs(maker: str, files: Path) -> None:
    write_keys(files, "AKID")
    config = MAKERS[maker](aws.Sessions()).meta.config
    assert (config.connect_timeout, config.read_timeout) == (5, 30)
    assert config.retries["mode"] == "standard"


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize(
    ("variables", "region"),
    [
        ({"AWS_REGION": "eu-west-1"}, "eu-west-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-2"),
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-1"),
    ],
)
def test_either_variable_names_the_region_and_aws_region_wins(
    maker: str, variables: dict[str, str], region: str, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for kumo_serving, and every other AWS SDK: services and releases must look in one region."""
    write_keys(files, "AKID")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert MAKERS[maker](aws.Sessions()).meta.region_name == region


def test_sixteen_threads_keep_their_connections(files: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of botocore's 10, the others would be closed after each request and opened anew."""
    write_keys(files, "AKID")
    together = threading.Barrier(16)

    def answer(asked: Asked) -> Answer:
        together.wait(10)
        return Answer(200, listing(), {"Content-Type": "application/xml"})

    with ScriptedServer(answer) as server:
        client = S3Resource(endpoint_url=server.origin).get_client()
        with ThreadPoolExecutor(16) as pool:
            for _ in range(2):
                list(pool.map(lambda _: client.list_objects_v2(Bucket="a-bucket"), range(16)))
    assert "Connection pool is full" not in caplog.text


def test_objects_are_written_with_the_encryption_that_the_environment_names(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_keys(files, "AKID")
    monkeypatch.setenv("KUMO_ASSETS_S3_ENCRYPTION", "aws:kms")
    monkeypatch.setenv("KUMO_ASSETS_S3_KMS_KEY", "alias/releases")
    with ScriptedServer(lambda asked: DONE) as server:
        objects = ObjectStore("a-bucket", S3Resource(endpoint_url=server.origin).get_client())
        objects.put("local/a", b"1")
        assert objects.create("local/b", b"2")
        assert objects.replace("local/c", b"3", etag='"e"')
    for asked in server.asked:
        assert asked.headers["x-amz-server-side-encryption"] == "aws:kms"
        assert asked.headers["x-amz-server-side-encryption-aws-kms-key-id"] == "alias/releases"


def test_without_the_option_no_encryption_is_asked_for(files: Path) -> None:
    write_keys(files, "AKID")
    with ScriptedServer(lambda asked: DONE) as server:
        ObjectStore("a-bucket", S3Resource(endpoint_url=server.origin).get_client()).put("local/a", b"1")
    assert not [name for name in server.asked[0].headers if "encryption" in name]


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"KUMO_ASSETS_S3_ENCRYPTION": "kms"}, "use one of: AES256, aws:kms"),
        ({"KUMO_ASSETS_S3_KMS_KEY": "k"}, "set KUMO_ASSETS_S3_ENCRYPTION=aws:kms"),
        (
            {"KUMO_ASSETS_S3_KMS_KEY": "k", "KUMO_ASSETS_S3_ENCRYPTION": "AES256"},
            "set KUMO_ASSETS_S3_ENCRYPTION=aws:kms",
        ),
    ],
)
def test_an_encryption_that_s3_does_not_know_is_refused(variables: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        aws.encryption(variables)


def test_a_write_that_a_buckets_policy_denies_says_how_to_encrypt(files: Path) -> None:
    write_keys(files, "AKID")
    with ScriptedServer(lambda asked: failure(403, "AccessDenied")) as server:
        objects = ObjectStore("a-bucket", S3Resource(endpoint_url=server.origin).get_client())
        with pytest.raises(ObjectStoreError, match="set KUMO_ASSETS_S3_ENCRYPTION to AES256 or aws:kms"):
            objects.put("local/a", b"1")
        with pytest.raises(ObjectStoreError) as refused:
            objects.get("local/a")
    assert "ENCRYPTION" not in str(refused.value)


def test_the_unload_is_encrypted_alike() -> None:
    sql = copy_into(
        "s3://b/p/", "SELECT 1", "csv", "INTEGRATION", 16, {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "k"}
    )
    assert "ENCRYPTION = (TYPE = 'AWS_SSE_KMS' KMS_KEY_ID = 'k')" in sql
    assert "ENCRYPTION" not in copy_into("s3://b/p/", "SELECT 1", "csv", "INTEGRATION", 16, {})


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("RequestTimeTooSkewed", "The difference between the request time and the current time is too large."),
        ("InvalidSignatureException", "Signature expired: 20171130T000000Z is now earlier than 20171130T010000Z"),
        ("SignatureDoesNotMatch", "Signature not yet current: 20171130T020000Z is still later than 20171130T010000Z"),
    ],
)
def test_a_clock_too_far_off_is_named_and_not_told_to_try_again(code: str, message: str) -> None:
    error = ClientError({"Error": {"Code": code, "Message": message}}, "GetObject")
    found, advice = explain_error(error, "try again")
    assert code in found
    assert "clock" in advice


def test_a_call_of_a_sensors_tick_ends_well_within_the_time_of_the_tick() -> None:
    from kumo_assets.automation.looking import LOOK_SECONDS
    from kumo_assets.automation.sending import TICK_SECONDS

    config: Any = aws.brief_config()
    call = config.retries["max_attempts"] * (config.connect_timeout + config.read_timeout)
    assert call < LOOK_SECONDS
    # Dagster's own limit of a tick is 60 s; the rest is for its storage and for definitions.
    assert LOOK_SECONDS + TICK_SECONDS < 40
    client: Any = aws.Sessions(aws.brief_config).s3()
    assert client.meta.config.read_timeout == config.read_timeout
