"""boto3 clients with explicit time-outs and retries, configured as every AWS SDK is: by the standard variables.

One place, so that an endpoint, a region or a time-out is never decided twice. What is done with the clients lives in
`dynamodb/` and in `kumo_assets.releases`.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from botocore.config import Config
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

# boto3's clients may be shared between threads, its session, which makes them, may not (boto3's guide, "Session"): and
# the sensor's threads each make theirs.
_making = threading.Lock()


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
    import boto3  # late: what only names an AWS error should not pay for it

    with _making:
        return boto3.client("s3", config=client_config())


def dynamodb_client(region: str | None = None) -> DynamoDBClient:
    """A DynamoDB client, by default in the region of the environment."""
    import boto3

    with _making:
        return boto3.client("dynamodb", region_name=region, config=client_config())


@cache
def _models() -> Any:
    """botocore's reader of service models, which keeps what it has read."""
    from botocore.session import Session

    return Session().get_component("data_loader")


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
    """A client for a resource of dagster-aws; what is not set there means what every AWS SDK takes from the environment.

    Of a session of its own, which finds the credentials that there are now: a code server lives for weeks, and keys in a
    file are renewed meanwhile. Only botocore's service models are shared, 80 ms and several MB of a session.
    """
    from botocore.session import Session

    with _making:
        session = Session(profile=settings.profile_name)
        session.register_component("data_loader", _models())
        return session.create_client(
            service,
            region_name=settings.region_name,
            endpoint_url=settings.endpoint_url,
            aws_access_key_id=settings.aws_access_key_id,
            aws_secret_access_key=settings.aws_secret_access_key,
            aws_session_token=settings.aws_session_token,
            use_ssl=settings.use_ssl,
            verify=settings.verify,
            config=client_config(),
        )


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
