"""Our use of awscrt against AWS's Python signer (botocore), byte for byte, over whatever keys, hosts and bodies."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st
from kumo_serving.aws import Account, Endpoint
from kumo_serving.aws import Credentials as Held
from kumo_serving.errors import Unavailable
from kumo_serving.pointer import KeyAttribute
from kumo_serving.signing import Signer
from kumo_serving.wire import TableWire

TARGET = "DynamoDB_20120810.GetItem"


def parts(request: bytes) -> tuple[dict[str, str], bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    assert lines[0] == "POST / HTTP/1.1"
    return dict(line.split(": ", 1) for line in lines[1:]), body


def botocore_s(headers: dict[str, str], body: bytes, secret: str, token: str | None, region: str) -> str:
    """The Authorization header that botocore gives the same request."""
    access = headers["Authorization"].partition("Credential=")[2].partition("/")[0]
    signer = SigV4Auth(Credentials(access, secret, token), "dynamodb", region)
    request = AWSRequest("POST", f"http://{headers['Host']}/", data=body)
    for name in ("Host", "X-Amz-Date", "X-Amz-Target", "X-Amz-Security-Token"):
        if name in headers:
            request.headers[name] = headers[name]
    request.context["timestamp"] = headers["X-Amz-Date"]
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    signed = signer.signed_headers(signer.headers_to_sign(request))
    scope = signer.scope(request)
    return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={signed}, Signature={signature}"


text = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="/,= "), min_size=1, max_size=60)


@given(
    access=text,
    secret=st.text(min_size=1, max_size=60),
    token=st.none() | st.just("") | text,
    region=st.sampled_from(["us-east-1", "eu-central-2", "cn-north-1"]),
    host=st.sampled_from(["dynamodb.us-east-1.amazonaws.com", "127.0.0.1:8000"]),
    bodies=st.lists(st.binary(max_size=300), min_size=1, max_size=3),
)
def test_every_signature_is_botocore_s(
    access: str, secret: str, token: str | None, region: str, host: str, bodies: list[bytes]
) -> None:
    try:
        secret.encode()
    except UnicodeEncodeError:
        return
    signer = Signer(access, secret, token, region, host)
    for body in bodies:
        headers, sent = parts(signer.request(TARGET, body))
        assert sent == body
        assert headers["Content-Length"] == str(len(body))
        assert headers["Authorization"] == botocore_s(headers, body, secret, token, region)


@given(
    keys=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=5, unique=True)
    | st.lists(st.text(st.characters(max_codepoint=127), min_size=1, max_size=3), min_size=1, max_size=5, unique=True)
    | st.lists(st.text('",\\', min_size=1, max_size=4), min_size=1, max_size=5, unique=True)
)
def test_a_batch_asks_for_its_keys_whatever_is_in_them(keys: list[str]) -> None:
    account = Account()
    account.credentials = Held("AKID", "hidden", None)
    wire = TableWire(account, Endpoint("http://localhost", "us-east-1", None), "ta.ble", KeyAttribute("the key"))
    _, body = parts(wire.batch(keys))
    assert json.loads(body) == {"RequestItems": {"ta.ble": {"Keys": [{"the key": {"S": key}} for key in keys]}}}


def a_signature() -> str:
    headers, body = parts(Signer("AKID", "hidden", "token", "us-east-1", "localhost").request(TARGET, b"{}"))
    assert headers["Authorization"] == botocore_s(headers, body, "hidden", "token", "us-east-1")
    return headers["Authorization"]


def refuses(*_: object) -> None:
    raise TypeError("function takes exactly 4 arguments (3 given)")


def fails(request: object, config: object, done: Any) -> None:
    done(34)


def is_late(request: object, config: object, done: object) -> None:
    """Another thread would say so later."""


def signs_nothing(request: object, config: object, done: Any) -> None:
    done(0)


@pytest.mark.parametrize("other", [None, refuses, fails, is_late, signs_nothing])
def test_where_awscrt_s_bare_function_is_another_its_public_one_signs(
    other: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Signer("AKID", "hidden", None, "us-east-1", "localhost")._bare is not None
    monkeypatch.setattr("kumo_serving.signing._bare", other)
    assert Signer("AKID", "hidden", None, "us-east-1", "localhost")._bare is None
    assert a_signature()


def test_what_awscrt_cannot_sign_is_said_without_the_secret() -> None:
    signer = Signer("AKID", "hidden", "token-hidden", "us-east-1", "localhost")
    # awscrt refuses a request that has what it would add.
    request, stream = signer._new(TARGET)
    request.headers.add("Authorization", "somebody else's")
    signer._unsigned[TARGET] = [(request, stream)]
    with pytest.raises(Unavailable, match="sign a lookup") as error:
        signer.request(TARGET, b"{}")
    assert "hidden" not in str(error.value)
    assert parts(signer.request(TARGET, b"{}"))[1] == b"{}"


def test_threads_that_sign_side_by_side_never_mix_requests() -> None:
    signer = Signer("AKID", "hidden", "token", "us-east-1", "localhost")
    bodies = [b"%d" % number for number in range(400)]
    with ThreadPoolExecutor(8) as pool:
        requests = list(pool.map(lambda body: signer.request(TARGET, body), bodies))
    for request, body in zip(requests, bodies, strict=True):
        headers, sent = parts(request)
        assert sent == body
        assert headers["Authorization"] == botocore_s(headers, body, "hidden", "token", "us-east-1")


def test_the_date_is_now_however_long_the_signer_lives() -> None:
    signer = Signer("AKID", "hidden", None, "us-east-1", "localhost")
    signer.request(TARGET, b"{}")
    time.sleep(1.1)
    before = datetime.now(UTC).replace(microsecond=0)
    headers, _ = parts(signer.request(TARGET, b"{}"))
    then = datetime.strptime(headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert before <= then <= datetime.now(UTC)
    assert headers["Authorization"] == botocore_s(headers, b"{}", "hidden", None, "us-east-1")


def test_a_signer_shows_no_secret() -> None:
    assert "hidden" not in repr(Signer("AKID", "hidden", "token-hidden", "us-east-1", "localhost"))
    assert "hidden" not in repr(Held("AKID", "hidden", "token-hidden"))
    assert "hidden" not in f"{Held('AKID', 'hidden', None)}"
