"""The DynamoDB client as a Dagster resource: the session settings of dagster-aws, the client of `resources.aws`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dagster_aws.utils import ResourceWithBoto3Configuration
from pydantic import PrivateAttr

from kumo_assets.resources.aws import client_config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoDBResource(ResourceWithBoto3Configuration):
    """DynamoDB by boto3. Unset fields mean what every AWS SDK takes from the environment."""

    _client: Any = PrivateAttr(default=None)

    def client(self) -> DynamoDBClient:
        """The client, made once a run, with explicit time-outs and standard retries."""
        if self._client is None:
            self._client = self._make()
        return self._client

    def _make(self) -> DynamoDBClient:
        import boto3

        # boto3's default session unless a profile is named: each session reads, and keeps, botocore's service models anew.
        session: Any = boto3 if self.profile_name is None else boto3.session.Session(profile_name=self.profile_name)
        client: DynamoDBClient = session.client(
            "dynamodb",
            region_name=self.region_name,
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.aws_access_key_id,
            aws_secret_access_key=self.aws_secret_access_key,
            aws_session_token=self.aws_session_token,
            use_ssl=self.use_ssl,
            verify=self.verify,
            config=client_config(),
        )
        return client

    def region(self) -> str:
        """The region the tables are made in."""
        return str(self.client().meta.region_name)
