"""boto3 clients with explicit time-outs and retries, configured as every AWS SDK is: by the standard variables.

One place, so that an endpoint, a region or a time-out is never decided twice. What is done with the clients lives in
`dynamodb/` and in `kumo_assets.releases`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client


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
    return boto3.client("s3", config=client_config())


def dynamodb_client(region: str | None = None) -> DynamoDBClient:
    """A DynamoDB client, by default in the region of the environment."""
    return boto3.client("dynamodb", region_name=region, config=client_config())
