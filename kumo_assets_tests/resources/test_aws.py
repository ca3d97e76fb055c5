"""The AWS clients' credentials and time-outs, from real files and a real credential process. No call is made to AWS."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kumo_assets.resources import aws
from kumo_assets.resources.dynamodb.resource import DynamoDBResource
from kumo_assets.resources.s3 import S3Resource

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
