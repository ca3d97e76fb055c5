"""Where the pipeline's AWS clients run: in a container of ECS or EKS, for a person with single sign-on, behind VPC endpoints."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kumo_assets.resources import aws
from kumo_assets_tests.resources.kumo.scripted import Answer, Asked, ScriptedServer, ok
from kumo_assets_tests.resources.test_aws import files, key_of  # noqa: F401

UNTIL = "2099-01-01T00:00:00Z"
SSO = """
from kumo_assets.resources.aws import Sessions
print(Sessions().s3()._request_signer._credentials.get_frozen_credentials().access_key)
"""


def container(asked: Asked) -> Answer:
    return ok({"AccessKeyId": "AKIDTASK", "SecretAccessKey": "hidden", "Token": "hidden", "Expiration": UNTIL})


def test_a_containers_credentials_sign_and_are_asked_for_once(
    files: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (files / "token").write_text("a-token")
    with ScriptedServer(container) as server:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{server.origin}/role")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(files / "token"))
        sessions = aws.Sessions()
        assert key_of(sessions.s3()) == key_of(sessions.dynamodb()) == "AKIDTASK"
        assert [(asked.path, asked.headers["authorization"]) for asked in server.asked] == [("/role", "a-token")]


def test_single_sign_on_signs(files: Path) -> None:  # noqa: F811
    """In a process of its own: botocore decides at import where the tokens of `aws sso login` are."""
    (files / "config").write_text(
        "[default]\nsso_session = us\nsso_account_id = 123456789012\nsso_role_name = operator\nregion = us-east-1\n"
        "[sso-session us]\nsso_start_url = https://us.awsapps.com/start\nsso_region = us-east-1\n"
    )
    tokens = files / ".aws" / "sso" / "cache"
    tokens.mkdir(parents=True)
    token = {"accessToken": "the-token", "expiresAt": UNTIL, "startUrl": "https://us.awsapps.com/start"}
    (tokens / f"{hashlib.sha1(b'us', usedforsecurity=False).hexdigest()}.json").write_text(json.dumps(token))
    role = {"accessKeyId": "AKIDSSO", "secretAccessKey": "hidden", "sessionToken": "hidden"}
    answer = ok({"roleCredentials": role | {"expiration": int((time.time() + 3600) * 1000)}})
    with ScriptedServer(lambda asked: answer) as server:
        environment = {**os.environ, "HOME": str(files), "AWS_ENDPOINT_URL_SSO": server.origin}
        done = subprocess.run([sys.executable, "-c", SSO], env=environment, capture_output=True, text=True, timeout=60)
        assert (done.stdout.strip(), done.returncode) == ("AKIDSSO", 0), done.stderr[-2000:]
        assert server.asked[0].headers["x-amz-sso_bearer_token"] == "the-token"


def test_each_service_has_its_own_vpc_endpoint(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://bucket.vpce-1.s3.us-east-1.vpce.amazonaws.com")
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "https://vpce-2.dynamodb.us-east-1.vpce.amazonaws.com")
    sessions = aws.Sessions()
    assert "vpce-1" in sessions.s3().meta.endpoint_url
    assert "vpce-2" in sessions.dynamodb().meta.endpoint_url
