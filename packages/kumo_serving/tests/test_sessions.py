"""AWS as the readers of one process share it: one session, and the credentials, regions and endpoints there are now.

Keys are read from what signed the requests that a stand-in for S3 or DynamoDB got. No call is made to AWS.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.session
import pytest
from kumo_sandbox.testing import wait_for
from kumo_serving import Answer, Reader, S3Pointer, credentials
from kumo_serving.aws import Account
from kumo_serving.errors import PointerError, PointerMissing, Unavailable
from kumo_serving.pointer import dump_pointer
from kumo_serving.sessions import shared
from serving_support import (
    NEW,
    RANKING,
    FakeDynamoDB,
    FakeS3,
    MemoryPointer,
    client,
    make_table,
    pointer_to,
)

ADDRESS = "s3://bucket/local/shop/active.json"
ROOT = {"budget_seconds": 5.0, "refresh_seconds": 0.02, "start_seconds": 30}


@pytest.fixture
def shop(s3: FakeS3, dynamodb: FakeDynamoDB) -> tuple[FakeS3, FakeDynamoDB]:
    """A query with a pointer on the S3 stand-in and a table on the DynamoDB one."""
    dynamodb.put(NEW, ann=RANKING)
    s3.objects["/bucket/local/shop/active.json"] = dump_pointer(pointer_to(NEW))
    return s3, dynamodb


def key_of(dynamodb: FakeDynamoDB) -> str:
    """The access key that signed the last lookup."""
    return dynamodb.requests[-1][2]["Authorization"].partition("Credential=")[2].partition("/")[0]


def region_of(headers: dict[str, str]) -> str:
    return headers["Authorization"].split("/")[2]


# -- one session for all -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_one_reader_serves_within_its_budget_while_ten_start(kind: str, aws: str) -> None:
    bucket, table = f"many-{kind}", f"many-{kind}-20171130-1a2b3c4d"
    client("s3").create_bucket(Bucket=bucket)
    make_table(table, {"ann": RANKING})
    for number in range(11):
        pointer = pointer_to(NEW).replace(query=f"query_{number}", table=table)
        client("s3").put_object(Bucket=bucket, Key=f"local/query_{number}/active.json", Body=dump_pointer(pointer))
    script = Path(__file__).parent / "many_readers.py"
    done = subprocess.run(
        [sys.executable, str(script), kind],
        env={**os.environ, "BUCKET": bucket},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    seen: dict[str, Any] = json.loads(done.stdout)
    assert seen["answered"] == sorted(f"query_{number}" for number in range(1, 11))
    assert seen["failed"] == 0
    assert seen["lookups"] > 20
    # ms of the usual budget of 50, and MB. Seen: 8 and 25, 0.1. With a session for each reader: 515 and 595, 28.
    assert seen["longest_lookup"] < 50, seen
    assert seen["longest_turn"] < 50, seen
    assert seen["megabytes"] < 3, seen


def test_a_session_that_was_given_is_shared_by_its_readers_and_by_no_other() -> None:
    ours, theirs = botocore.session.get_session(), botocore.session.get_session()
    assert shared(ours) is shared(ours)
    assert shared(ours) is not shared(theirs)
    assert shared() is shared()
    assert shared() is not shared(ours)
    held = shared(ours)
    assert held.session is ours


def test_readers_close_the_connections_that_they_share_when_the_last_is_closed(s3: FakeS3) -> None:
    s3.objects["/bucket/key"] = b"one"
    stores = [S3Pointer("s3://bucket/key") for _ in range(3)]
    for store in stores:
        assert store.read() is not None
    pool = stores[0]._client._endpoint.http_session._manager
    assert {id(store._client) for store in stores} == {id(stores[0]._client)}
    for store in stores[:2]:
        store.close()
        store.close()  # twice is as once
    assert len(pool.pools) == 1
    stores[2].close()
    assert len(pool.pools) == 0
    assert stores[0].read() is not None


def test_another_configuration_gives_new_readers_another_session(s3: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.objects["/bucket/key"] = b"one"
    before = S3Pointer("s3://bucket/key")
    assert before.read() is not None
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
    with pytest.raises(PointerError, match="Could not connect"):
        S3Pointer("s3://bucket/key").read()
    assert before.read() is not None


# -- credentials ---------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose AWS settings are in files alone: `credentials` and `config`."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return tmp_path


def write_keys(path: Path, access_key: str, *lines: str) -> None:
    keys = f"[default]\naws_access_key_id = {access_key}\naws_secret_access_key = hidden\n"
    path.write_text(keys + "".join(f"{line}\n" for line in lines))


def write_process(folder: Path, access_key: str, **changes: str) -> Path:
    """A profile whose credentials a process gives. The file that tells how often it was asked."""
    asked = folder / "asked"
    answer = {"Version": 1, "AccessKeyId": access_key, "SecretAccessKey": "hidden", "SessionToken": "t", **changes}
    script = folder / "process.py"
    script.write_text(f"open({str(asked)!r}, 'a').write('asked\\n')\nprint({json.dumps(answer)!r})\n")
    (folder / "config").write_text(f"[default]\ncredential_process = {sys.executable} {script}\n")
    return asked


def test_keys_renewed_in_a_file_are_seen_by_a_reader_that_lives_on(
    shop: tuple[FakeS3, FakeDynamoDB], files: Path
) -> None:
    s3, dynamodb = shop
    write_keys(files / "credentials", "AKIDOLD")
    with Reader("shop", ADDRESS, **ROOT) as reader, Reader("shop", ADDRESS, **ROOT) as another:
        for key in ("AKIDOLD", "AKIDNEW", "AKIDNEWER"):
            write_keys(files / "credentials", key)
            for one in (reader, another):
                wait_for(lambda one=one, key=key: one.get("ann") and key_of(dynamodb) == key)
            wait_for(lambda key=key: s3.signed_by()[-4:] == [key] * 4)


def test_keys_renewed_by_a_link_that_leads_elsewhere_are_seen(shop: tuple[FakeS3, FakeDynamoDB], files: Path) -> None:
    """As Kubernetes replaces a mounted secret: no file is written to."""
    _, dynamodb = shop
    for name in ("AKIDOLD", "AKIDNEW"):
        write_keys(files / name, name)
        os.utime(files / name, (1_000_000_000, 1_000_000_000))
    (files / "credentials").symlink_to(files / "AKIDOLD")
    with Reader("shop", ADDRESS, **ROOT) as reader:
        wait_for(lambda: reader.get("ann") and key_of(dynamodb) == "AKIDOLD")
        (files / "link").symlink_to(files / "AKIDNEW")
        (files / "link").replace(files / "credentials")
        wait_for(lambda: reader.get("ann") and key_of(dynamodb) == "AKIDNEW")


def test_a_file_that_is_gone_or_half_written_for_a_moment_stops_no_lookup(
    shop: tuple[FakeS3, FakeDynamoDB], files: Path
) -> None:
    _, dynamodb = shop
    write_keys(files / "credentials", "AKIDOLD")
    with Reader("shop", ADDRESS, **ROOT) as reader:
        (files / "credentials").unlink()
        wait_for(lambda: "credentials" in reader.health().last_error.lower())
        assert isinstance(reader.get("ann"), Answer)
        (files / "credentials").write_text("[default]\naws_access_key_id = AK")
        wait_for(lambda: "PartialCredentials" in reader.health().last_error)
        assert isinstance(reader.get("ann"), Answer)
        assert key_of(dynamodb) == "AKIDOLD"
        write_keys(files / "credentials", "AKIDNEW")
        wait_for(lambda: reader.get("ann") and key_of(dynamodb) == "AKIDNEW")
        wait_for(lambda: reader.health().last_error == "")


def test_an_empty_session_token_is_none(shop: tuple[FakeS3, FakeDynamoDB], files: Path) -> None:
    s3, dynamodb = shop
    write_keys(files / "credentials", "AKIDTOKEN", "aws_session_token =")
    with Reader("shop", ADDRESS, **ROOT) as reader:
        assert isinstance(reader.get("ann"), Answer)
    assert "X-Amz-Security-Token" not in dynamodb.requests[-1][2]
    assert "X-Amz-Security-Token" not in s3.requests[-1][2]


def test_credentials_that_renew_themselves_are_asked_for_once_by_all_readers(
    shop: tuple[FakeS3, FakeDynamoDB], files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kumo_serving.credentials.RENEW_SECONDS", 0.05)
    asked = write_process(files, "AKIDROLE", Expiration="2099-01-01T00:00:00Z")
    readers = [Reader("shop", ADDRESS, **ROOT) for _ in range(4)]
    reads = len(shop[0].requests)
    wait_for(lambda: len(shop[0].requests) > reads + 40)
    for reader in readers:
        assert isinstance(reader.get("ann"), Answer)
        reader.close()
    assert set(shop[0].signed_by()) == {"AKIDROLE"}
    assert asked.read_text() == "asked\n"


def test_credentials_that_neither_renew_themselves_nor_change_in_a_file_are_asked_for_now_and_then(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = write_process(files, "AKIDPROCESS")
    source = shared().credentials()
    assert [source.get_frozen_credentials().access_key for _ in range(20)] == ["AKIDPROCESS"] * 20
    assert asked.read_text() == "asked\n"
    later = time.monotonic() + credentials.RENEW_SECONDS + 1
    monkeypatch.setattr(credentials, "time", SimpleNamespace(monotonic=lambda: later))
    assert source.get_frozen_credentials().access_key == "AKIDPROCESS"
    assert asked.read_text() == "asked\nasked\n"


def test_while_one_thread_renews_credentials_the_others_go_on_with_those_held(files: Path) -> None:
    write_keys(files / "credentials", "AKIDOLD")
    source = credentials.Followed(lambda: session)
    session = botocore.session.get_session()
    assert source.get_frozen_credentials().access_key == "AKIDOLD"
    began, go_on = threading.Event(), threading.Event()

    def slowly() -> Any:
        began.set()
        assert go_on.wait(30)
        return botocore.session.get_session()

    source._new_session = slowly
    write_keys(files / "credentials", "AKIDNEW")
    with ThreadPoolExecutor(1) as pool:
        renewing = pool.submit(source.get_frozen_credentials)
        assert began.wait(30)
        assert source.get_frozen_credentials().access_key == "AKIDOLD"
        go_on.set()
        assert renewing.result(30).access_key == "AKIDNEW"


def test_the_signer_is_kept_while_the_credentials_are_the_same(shop: tuple[FakeS3, FakeDynamoDB]) -> None:
    with Reader("shop", ADDRESS, **ROOT) as reader:
        account = reader._refresher._account
        before, reads = account.credentials, len(shop[0].requests)
        wait_for(lambda: len(shop[0].requests) > reads + 3)
        assert account.credentials is before


def test_a_session_that_was_given_reads_the_pointer_too(shop: tuple[FakeS3, FakeDynamoDB], files: Path) -> None:
    session = botocore.session.get_session()
    session.set_credentials("AKIDGIVEN", "hidden")
    with Reader("shop", ADDRESS, session=session, **ROOT) as reader:
        assert isinstance(reader.get("ann"), Answer)
    assert key_of(shop[1]) == "AKIDGIVEN"
    assert set(shop[0].signed_by()) == {"AKIDGIVEN"}


class Issuer:
    """A container's or single sign-on's stand-in: gives credentials for minutes, each time new ones."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append((self.path, dict(self.headers.items())))
                body = json.dumps(issuer.answer()).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def answer(self) -> dict[str, Any]:
        # botocore renews 15 minutes ahead: these at each look.
        until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=12)
        number = len(self.asked)
        return {
            "AccessKeyId": f"AKID{number}",
            "SecretAccessKey": "hidden",
            "Token": f"token{number}",
            "Expiration": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "roleCredentials": {
                "accessKeyId": f"AKID{number}",
                "secretAccessKey": "hidden",
                "sessionToken": f"token{number}",
                "expiration": int(until.timestamp() * 1000),
            },
        }


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_container_s_credentials_sign_and_are_renewed(
    shop: tuple[FakeS3, FakeDynamoDB], issuer: Issuer, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ECS, and EKS Pod Identity, whose token for the asking is in a file that is renewed too."""
    (files / "token").write_text("first")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{issuer.url}/role")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(files / "token"))
    with Reader("shop", ADDRESS, **ROOT) as reader:
        wait_for(lambda: len(issuer.asked) > 3)
        assert issuer.asked[0] == ("/role", {**issuer.asked[0][1], "Authorization": "first"})
        (files / "token").write_text("second")
        wait_for(lambda: issuer.asked[-1][1]["Authorization"] == "second")
        assert isinstance(reader.get("ann"), Answer)
    key = key_of(shop[1])
    assert int(key.removeprefix("AKID")) > 3
    assert shop[1].requests[-1][2]["X-Amz-Security-Token"] == f"token{key.removeprefix('AKID')}"
    assert all(one.startswith("AKID") for one in shop[0].signed_by())


SSO = """
import sys
from kumo_serving import Reader
with Reader("shop", sys.argv[1], budget_seconds=5, start_seconds=30) as reader:
    print(type(reader.get("ann")).__name__)
"""


def test_single_sign_on_s_credentials_sign(shop: tuple[FakeS3, FakeDynamoDB], issuer: Issuer, files: Path) -> None:
    """In a process of its own: botocore decides at import where the tokens of `aws sso login` are."""
    (files / "config").write_text(
        "[default]\nsso_session = us\nsso_account_id = 123456789012\nsso_role_name = reader\nregion = us-east-1\n"
        "[sso-session us]\nsso_start_url = https://us.awsapps.com/start\nsso_region = us-east-1\n"
    )
    tokens = files / ".aws" / "sso" / "cache"
    tokens.mkdir(parents=True)
    token = {
        "accessToken": "the-token",
        "expiresAt": "2099-01-01T00:00:00Z",
        "startUrl": "https://us.awsapps.com/start",
    }
    (tokens / f"{hashlib.sha1(b'us').hexdigest()}.json").write_text(json.dumps(token))
    environment = {**os.environ, "HOME": str(files), "AWS_ENDPOINT_URL_SSO": issuer.url}
    done = subprocess.run(
        [sys.executable, "-c", SSO, ADDRESS], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout.strip(), done.returncode) == ("Answer", 0), done.stderr[-2000:]
    path, headers = issuer.asked[0]
    assert path.startswith("/federation/credentials?")
    assert {name.lower(): value for name, value in headers.items()}["x-amz-sso_bearer_token"] == "the-token"
    assert key_of(shop[1]).startswith("AKID")
    assert shop[0].signed_by()[0].startswith("AKID")


# -- regions and endpoints -----------------------------------------------------------------------------------------


@pytest.fixture
def no_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"AWS_REGION": "eu-west-1"}, "eu-west-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-2"),
        # As every other AWS SDK has it.
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-1"),
    ],
)
@pytest.mark.parametrize("given", [False, True], ids=["the process's session", "a session of the caller's"])
def test_aws_region_alone_is_enough(
    given: bool,
    variables: dict[str, str],
    expected: str,
    shop: tuple[FakeS3, FakeDynamoDB],
    no_region: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    s3, dynamodb = shop
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    s3.objects["/bucket/local/shop/active.json"] = dump_pointer(pointer_to(NEW, region=""))
    session = botocore.session.get_session() if given else None
    with Reader("shop", ADDRESS, session=session, **ROOT) as reader:
        assert isinstance(reader.get("ann"), Answer)
    if given and len(variables) == 2:
        expected = "eu-west-2"  # a session of the caller's decides for itself
    assert region_of(dynamodb.requests[-1][2]) == expected
    assert region_of(s3.requests[-1][2]) == expected


def test_without_any_region_a_lookup_says_which_variable_to_set(
    shop: tuple[FakeS3, FakeDynamoDB], no_region: None
) -> None:
    store = MemoryPointer(pointer_to(NEW, region=""))
    with Reader("shop", store, **ROOT) as reader, pytest.raises(PointerError, match="set AWS_REGION"):
        reader.get("ann")


@pytest.mark.parametrize("where", ["variables", "file"])
def test_endpoints_of_their_own_for_s3_and_dynamodb_as_of_vpc_endpoints(
    where: str, s3: FakeS3, dynamodb: FakeDynamoDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dynamodb.put(NEW, ann=RANKING)
    s3.objects["/bucket/local/shop/active.json"] = dump_pointer(pointer_to(NEW, region="eu-west-1"))
    if where == "file":
        monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
        monkeypatch.delenv("AWS_ENDPOINT_URL_DYNAMODB")
        config = tmp_path / "config"
        config.write_text(
            f"[default]\nservices = ours\n[services ours]\ns3 =\n  endpoint_url = {s3.url}\n"
            f"dynamodb =\n  endpoint_url = {dynamodb.url}\n"
        )
        monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    with Reader("shop", ADDRESS, **ROOT) as reader:
        assert isinstance(reader.get("ann"), Answer)
    host = dynamodb.url.removeprefix("http://")
    headers = dynamodb.requests[-1][2]
    assert (headers["Host"], region_of(headers)) == (host, "eu-west-1")
    assert s3.requests[-1][:2] == (s3.url.removeprefix("http://"), "/bucket/local/shop/active.json")


@pytest.mark.parametrize(
    "url", ["https://gateway.corp/dynamodb", "dynamodb.corp:8000", "ftp://dynamodb.corp", "https://"]
)
def test_an_endpoint_that_lookups_cannot_be_sent_to_is_refused_by_its_name(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kumo_serving.endpoints.Endpoint.resolve", lambda self: None)
    with pytest.raises(Unavailable, match="AWS_ENDPOINT_URL_DYNAMODB") as error:
        Account(endpoint_url=url).endpoint("eu-west-1")
    assert url in str(error.value)


def test_fips_and_dual_stack_endpoints_are_botocore_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kumo_serving.endpoints.Endpoint.resolve", lambda self: None)
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    assert Account().endpoint("us-east-1").host == "dynamodb-fips.us-east-1.amazonaws.com"


# -- access points -------------------------------------------------------------------------------------------------

POINT = "arn:aws:s3:eu-west-1:123456789012:accesspoint/kumo-readers"


@pytest.mark.parametrize("point", [POINT, POINT.replace("accesspoint/", "accesspoint:")])
@pytest.mark.parametrize("endpoint", ["http://accesspoint.vpce-1.s3.eu-west-1.vpce.amazonaws.com", None])
def test_an_access_point_s_arn_is_a_pointer_s_address(
    endpoint: str | None,
    point: str,
    s3: FakeS3,
    dynamodb: FakeDynamoDB,
    no_region: None,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The stand-in is reached as a proxy, which sees the names of hosts that do not exist here."""
    dynamodb.put(NEW, ann=RANKING)
    fallback = b'{"schema_version":1,"query":"shop","item_format":"ranking/1","p":[["tea",3]]}'
    pointer = pointer_to(NEW, region="eu-west-1", fallback=f"s3://{point}/local/shop/fallback.json")
    s3.objects |= {"/local/shop/active.json": dump_pointer(pointer), "/local/shop/fallback.json": fallback}
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    if endpoint is not None:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
        monkeypatch.setenv("http_proxy", s3.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        with Reader("shop", f"s3://{point}/local/shop/active.json", **ROOT) as reader:
            assert isinstance(reader.get("ann"), Answer)
            assert reader.fallback == (("tea", 3),)
        host = endpoint.removeprefix("http://")
        assert {one[0] for one in s3.requests} == {f"kumo-readers-123456789012.{host}"}
        assert {region_of(one[2]) for one in s3.requests} == {"eu-west-1"}
    else:
        monkeypatch.setenv("https_proxy", s3.url)
        with pytest.raises(PointerError):
            S3Pointer(f"s3://{point}/local/shop/active.json").read()
        assert set(s3.tunnels) == {"kumo-readers-123456789012.s3-accesspoint.eu-west-1.amazonaws.com:443"}


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap",
        "arn:aws:s3-object-lambda:us-east-1:123456789012:accesspoint/banner",
        "arn:aws:s3-outposts:us-east-1:123456789012:outpost/op-1/accesspoint/ours",
        "arn:aws:s3:::bucket",
    ],
)
def test_an_arn_of_another_kind_is_refused_with_what_would_be_right(arn: str) -> None:
    with pytest.raises(PointerError, match=r"s3://arn:aws:s3:<region>:<account>:accesspoint/<name>/<key>"):
        S3Pointer(f"s3://{arn}/local/shop/active.json")
    with pytest.raises(PointerError, match="access point"):
        S3Pointer(bucket=arn, key="active.json")


def test_a_key_is_taken_as_it_stands(s3: FakeS3) -> None:
    s3.objects["/bucket/odd%23key%3Fof/ours"] = b"one"
    found = S3Pointer("s3://bucket/odd#key?of/ours").read()
    assert found is not None
    assert found.data == b"one"


# -- proxies -------------------------------------------------------------------------------------------------------


def test_the_pointer_is_read_through_a_proxy_and_lookups_go_past_it(
    s3: FakeS3, dynamodb: FakeDynamoDB, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dynamodb.put(NEW, ann=RANKING)
    s3.objects["/local/shop/active.json"] = dump_pointer(pointer_to(NEW))
    s3.certificate = certificate
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    monkeypatch.setenv("https_proxy", s3.url)
    with Reader("shop", ADDRESS, **ROOT) as reader:
        assert isinstance(reader.get("ann"), Answer)
    assert set(s3.tunnels) == {"bucket.s3.eu-west-1.amazonaws.com:443"}
    assert s3.requests[0][:2] == ("bucket.s3.eu-west-1.amazonaws.com", "/local/shop/active.json")


@pytest.mark.parametrize("resolves", [True, False], ids=["nothing connects", "nothing resolves"])
def test_where_only_a_proxy_leads_out_a_lookup_says_that_it_does_not_go_through_one(
    resolves: bool, s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(endpoint: Any) -> None:
        if not resolves:
            raise OSError("Name or service not known")
        endpoint.addresses, endpoint.port = ["127.0.0.1"], 1

    monkeypatch.setattr("kumo_serving.endpoints.Endpoint.resolve", resolve)
    monkeypatch.setenv("https_proxy", s3.url)
    store = MemoryPointer(pointer_to(NEW, region="eu-west-1"))
    with Reader("shop", store, **ROOT) as reader, pytest.raises((Unavailable, PointerError)) as error:
        reader.get("ann", budget_seconds=0.3)
    assert "lookups never go through one" in str(error.value)


def test_what_a_missing_role_costs_is_said_with_what_to_do(s3: FakeS3, files: Path) -> None:
    with pytest.raises(PointerError, match="give this service a role"):
        S3Pointer(ADDRESS).read()


def test_no_object_is_missing_and_not_an_error_of_the_network(s3: FakeS3) -> None:
    with pytest.raises(PointerMissing):
        S3Pointer(ADDRESS).read()
