"""AWS clients with explicit time-outs and retries, configured as every AWS SDK is: by the standard variables.

One place, so that an endpoint, a region or a time-out is never decided twice. What is done with the clients lives in
`s3_objects` and `dynamodb/`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from botocore.config import Config
from botocore.exceptions import ClientError

from kumo_assets.errors import ConfigError

if TYPE_CHECKING:
    from botocore.session import Session
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

# How long a session with self-refreshing credentials is used for new clients.
RENEWING_SECONDS = 300.0
# Connections that a client keeps. One client serves 16 threads, and some of those start threads of their own; of
# botocore's 10 the others would be closed after each request, and opened anew.
CONNECTIONS = 64

# For a bucket whose policy refuses objects that are written without an encryption header.
ENCRYPTION, KMS_KEY = "KUMO_ASSETS_S3_ENCRYPTION", "KUMO_ASSETS_S3_KMS_KEY"
ENCRYPTIONS = ("AES256", "aws:kms", "aws:kms:dsse")


def client_config() -> Config:
    """Time-outs and retries of every AWS client here.

    Standard mode retries throttles and 5xx with jitter and never a 412: a lost compare-and-set stays lost.
    """
    return _config(connect_timeout=5, read_timeout=30, attempts=5)


def brief_config() -> Config:
    """For a sensor's tick, which has a minute for everything and comes again in 10 s: a call ends within some 15 s."""
    return _config(connect_timeout=2, read_timeout=5, attempts=2)


def _config(*, connect_timeout: int, read_timeout: int, attempts: int) -> Config:
    return Config(
        connect_timeout=connect_timeout,
        read_timeout=read_timeout,
        max_pool_connections=CONNECTIONS,
        retries={"mode": "standard", "max_attempts": attempts},
        s3={"addressing_style": "path"},
        user_agent_extra="kumo_assets",
    )


def encryption(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """PutObject's parameters for the encryption of an object; empty where the bucket's own default is right.

    Raises ConfigError for a value that S3 does not know, and a key without `aws:kms`.
    """
    source = os.environ if environ is None else environ
    kind, key = source.get(ENCRYPTION, "").strip(), source.get(KMS_KEY, "").strip()
    if kind and kind not in ENCRYPTIONS:
        raise ConfigError(
            "encrypt objects on S3", found=f"{ENCRYPTION} is {kind!r}", next=f"use one of: {', '.join(ENCRYPTIONS)}"
        )
    if key and not kind.startswith("aws:kms"):
        raise ConfigError(
            "encrypt objects on S3",
            found=f"{KMS_KEY} is set, and {ENCRYPTION} is {kind or 'not set'}",
            next=f"set {ENCRYPTION}=aws:kms",
        )
    return ({"ServerSideEncryption": kind} if kind else {}) | ({"SSEKMSKeyId": key} if key else {})


class Settings(Protocol):
    """What dagster-aws's resources let a person set of a client."""

    region_name: str | None
    endpoint_url: str | None
    profile_name: str | None
    use_ssl: bool
    verify: bool | None
    aws_access_key_id: str | None
    aws_secret_access_key: str | None
    aws_session_token: str | None


class Sessions:
    """Makes clients with fresh credentials.

    A code server runs for weeks, and a botocore session never rereads a credentials file, so a new session is made for
    each client. Sessions that refresh their own credentials (a role, single sign-on) are cached for five minutes, by
    profile, to save calls to STS; no longer, because the keys with which a role is assumed may come from a file too.

    Threads may share it. A client may be shared between threads too, but not the session that makes it (boto3's guide,
    "Session"): clients are made one at a time.
    """

    def __init__(self, config: Callable[[], Config] = client_config) -> None:
        self._config = config
        self._making = threading.Lock()
        self._refreshing: dict[str | None, tuple[float, Session]] = {}

    def s3(self) -> S3Client:
        """An S3 client for AWS_REGION, AWS_ENDPOINT_URL and the standard credential chain."""
        client: S3Client = self._client("s3")
        return client

    def dynamodb(self, region: str | None = None) -> DynamoDBClient:
        """A DynamoDB client, by default in the region of the environment."""
        client: DynamoDBClient = self._client("dynamodb", region_name=region)
        return client

    def client_as_set(self, service: str, settings: Settings) -> Any:
        """A client for a resource of dagster-aws. What is not set there means what every AWS SDK takes from the
        environment."""
        return self._client(
            service,
            settings.profile_name,
            region_name=settings.region_name,
            endpoint_url=settings.endpoint_url,
            aws_access_key_id=settings.aws_access_key_id,
            aws_secret_access_key=settings.aws_secret_access_key,
            aws_session_token=settings.aws_session_token,
            use_ssl=settings.use_ssl,
            verify=settings.verify,
        )

    def _client(self, service: str, profile: str | None = None, **settings: Any) -> Any:
        from botocore.credentials import RefreshableCredentials  # late: naming an AWS error must not cost its import
        from botocore.session import Session

        with self._making:
            now = time.monotonic()
            until, session = self._refreshing.get(profile, (0.0, None))
            if session is not None and now < until:
                return _encrypting(session.create_client(service, config=self._config(), **settings), service)
            session = Session(profile=profile)
            # Every other AWS SDK reads AWS_REGION, and lets it win; botocore reads AWS_DEFAULT_REGION alone.
            if os.environ.get("AWS_REGION"):
                session.set_config_variable("region", os.environ["AWS_REGION"])
            # Loading it takes 80 ms and several MB of each session, and it is the same in all.
            session.register_component("data_loader", _models())
            client = session.create_client(service, config=self._config(), **settings)
            if not settings.get("aws_access_key_id") and isinstance(session.get_credentials(), RefreshableCredentials):
                self._refreshing[profile] = now + RENEWING_SECONDS, session
            return _encrypting(client, service)


def s3_client() -> S3Client:
    """An S3 client from the environment, for a process that makes one."""
    return Sessions().s3()


def dynamodb_client() -> DynamoDBClient:
    """A DynamoDB client from the environment, for a process that makes one."""
    return Sessions().dynamodb()


def _encrypting(client: Any, service: str) -> Any:
    """The client; one of S3 writes each object with the encryption that the environment names."""
    options = encryption() if service == "s3" else {}
    if options:

        def add(params: dict[str, Any], **_: Any) -> None:
            params.update(options)

        client.meta.events.register("provide-client-params.s3.PutObject", add)
    return client


@cache
def _models() -> Any:
    """botocore's reader of service models. Kept for the process: it holds files of the installed package, and no state."""
    from botocore.session import Session

    return Session().get_component("data_loader")


_ADVICE = {
    "NoSuchBucket": "create the bucket, or correct KUMO_ASSETS_BUCKET",
    "AccessDenied": "grant the permissions in deploy/iam; `kumo-assets doctor` tries each",
    "AccessDeniedException": "grant the permissions in deploy/iam; `kumo-assets doctor` tries each",
    "InvalidAccessKeyId": "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "UnrecognizedClientException": "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "SignatureDoesNotMatch": "check AWS_SECRET_ACCESS_KEY",
    "NoCredentialsError": 'set AWS credentials; on a laptop: eval "$(kumo-sandbox env)"',
    "NoRegionError": "set AWS_REGION (AWS_DEFAULT_REGION and a configuration file do as well)",
    "EndpointConnectionError": "check the network, or on a laptop start the sandbox: kumo-sandbox start",
}


# What AWS answers to a machine whose clock is more than 15 minutes off: S3 by a code of its own, DynamoDB and STS by the
# texts below under the code of a wrong signature ("Signature Version 4: troubleshooting").
_CLOCK = ("RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture")
_SET_THE_CLOCK = "set this machine's clock (NTP): AWS refuses requests that are dated more than 15 minutes off"


def code_of(error: Exception) -> str:
    """AWS's code of an error answer; the exception's class for anything else."""
    return error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__


def explain_error(error: Exception, otherwise: str) -> tuple[str, str]:
    """What AWS or its SDK said, and what to do about it, of an exception of boto3. `otherwise` is the advice for a code
    that this module has none for."""
    code = code_of(error)
    if code in _CLOCK or any(words in str(error) for words in ("Signature expired", "Signature not yet current")):
        return f"{code}: {error}", _SET_THE_CLOCK
    advice = _ADVICE.get(code, otherwise)
    if code == "AccessDenied" and isinstance(error, ClientError) and error.operation_name == "PutObject":
        advice += (
            f"; a bucket whose policy demands an encryption header: set {ENCRYPTION} to AES256 or aws:kms "
            f"(and {KMS_KEY} to the key)"
        )
    return f"{code}: {error}", advice
