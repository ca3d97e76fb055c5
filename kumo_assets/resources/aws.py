"""AWS clients with explicit time-outs and retries, configured as every AWS SDK is: by the standard variables.

One place, so that an endpoint, a region or a time-out is never decided twice. What is done with the clients lives in
`dynamodb/` and in `kumo_assets.releases`.
"""

from __future__ import annotations

import threading
import time
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from botocore.config import Config
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from botocore.session import Session
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

# A client may be shared between threads, the session that makes it may not (boto3's guide, "Session"): and the sensor's
# threads each make theirs.
_making = threading.Lock()
# By profile: sessions whose credentials renew themselves (a role, single sign-on), and until when each is kept.
_renewing: dict[str | None, tuple[float, Session]] = {}
RENEWING_SECONDS = 300.0


def client_config() -> Config:
    """Time-outs and retries of every AWS client here.

    Standard mode retries throttles and 5xx with jitter and never a 412: a lost compare-and-set stays lost.
    """
    return Config(
        connect_timeout=5,
        read_timeout=30,
        retries={"mode": "standard", "max_attempts": 5},
        s3={"addressing_style": "path"},
        user_agent_extra="kumo_assets",
    )


def s3_client() -> S3Client:
    """An S3 client for AWS_REGION, AWS_ENDPOINT_URL and the standard credential chain."""
    client: S3Client = _client("s3")
    return client


def dynamodb_client(region: str | None = None) -> DynamoDBClient:
    """A DynamoDB client, by default in the region of the environment."""
    client: DynamoDBClient = _client("dynamodb", region_name=region)
    return client


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


def client_as_set(service: str, settings: Settings) -> Any:
    """A client for a resource of dagster-aws; what is not set there means what every AWS SDK takes from the environment."""
    return _client(
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


def _client(service: str, profile: str | None = None, **settings: Any) -> Any:
    """A client with the credentials that there are now: a code server lives for weeks, and keys in a file are renewed
    meanwhile, of which a session that has read them never learns. So only sessions that renew their own are kept, as a
    role asked for anew by each client would cost each of them a call to AWS; and these only for minutes, for the keys by
    which a role is taken may be of a file too.
    """
    from botocore.credentials import RefreshableCredentials  # late: what only names an AWS error should not pay for it
    from botocore.session import Session

    with _making:
        now = time.monotonic()
        until, session = _renewing.get(profile, (0.0, None))
        if session is not None and now < until:
            return session.create_client(service, config=client_config(), **settings)
        session = Session(profile=profile)
        # 80 ms and several MB of a session, and the same in all.
        session.register_component("data_loader", _models())
        client = session.create_client(service, config=client_config(), **settings)
        if not settings.get("aws_access_key_id") and isinstance(session.get_credentials(), RefreshableCredentials):
            _renewing[profile] = now + RENEWING_SECONDS, session
        return client


@cache
def _models() -> Any:
    """botocore's reader of service models, which keeps what it has read."""
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
    "NoRegionError": "set AWS_REGION",
    "EndpointConnectionError": "check the network, or on a laptop start the sandbox: kumo-sandbox start",
}


def trouble(error: Exception, otherwise: str) -> tuple[str, str]:
    """(what AWS or its SDK said, what to do) of an exception of boto3; `otherwise` for one we know nothing special of."""
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
    return f"{code}: {error}", _ADVICE.get(code, otherwise)
