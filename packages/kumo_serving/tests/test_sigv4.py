"""Our signer against AWS's own Python signer (botocore), byte for byte, over whatever keys, hosts, bodies and days."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st
from kumo_serving import sigv4
from kumo_serving.sigv4 import Signer

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
    token=st.none() | text,
    region=st.sampled_from(["us-east-1", "eu-central-2", "cn-north-1"]),
    host=st.sampled_from(["dynamodb.us-east-1.amazonaws.com", "127.0.0.1:8000"]),
    body=st.binary(max_size=300),
)
def test_every_signature_is_botocore_s(
    access: str, secret: str, token: str | None, region: str, host: str, body: bytes
) -> None:
    try:
        secret.encode()
    except UnicodeEncodeError:
        return
    headers, sent = parts(Signer(access, secret, token, region, host).request(TARGET, body))
    assert sent == body
    assert headers["Content-Length"] == str(len(body))
    assert headers["Authorization"] == botocore_s(headers, body, secret, token, region)


def test_the_key_follows_the_day_and_the_time_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    signer = Signer("AKID", "hidden", None, "us-east-1", "localhost")
    midnight = 1_511_999_999  # 2017-11-29T23:59:59Z
    seen = []
    for now in (midnight, midnight + 0.5, midnight + 1, midnight + 2):
        monkeypatch.setattr(sigv4.time, "time", lambda now=now: now)
        headers, body = parts(signer.request(TARGET, b"{}"))
        assert headers["Authorization"] == botocore_s(headers, body, "hidden", None, "us-east-1")
        seen.append(headers["X-Amz-Date"])
    assert seen == ["20171129T235959Z", "20171129T235959Z", "20171130T000000Z", "20171130T000001Z"]


def test_threads_that_sign_across_midnight_never_mix_days(monkeypatch: pytest.MonkeyPatch) -> None:
    signer = Signer("AKID", "hidden", None, "us-east-1", "localhost")
    ticks = iter(range(10**9))
    lock = threading.Lock()

    def jumping() -> float:
        with lock:
            return 1_511_999_999 + next(ticks) % 2  # back and forth over midnight

    monkeypatch.setattr(sigv4.time, "time", jumping)
    with ThreadPoolExecutor(8) as pool:
        requests = list(pool.map(lambda _: signer.request(TARGET, b"{}"), range(400)))
    for request in requests:
        headers, body = parts(request)
        assert headers["Authorization"] == botocore_s(headers, body, "hidden", None, "us-east-1")
    assert time.time is not None


def test_a_signer_shows_no_secret() -> None:
    from kumo_serving.aws import Credentials as Held

    assert "hidden" not in repr(Signer("AKID", "hidden", "token-hidden", "us-east-1", "localhost"))
    assert "hidden" not in repr(Held("AKID", "hidden", "token-hidden"))
    assert "hidden" not in f"{Held('AKID', 'hidden', None)}"
