"""The DynamoDB client as a Dagster resource: the session settings of dagster-aws, the client of `resources.aws`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagster_aws.utils import ResourceWithBoto3Configuration
from pydantic import PrivateAttr

from kumo_assets.resources.aws import Sessions

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoDBResource(ResourceWithBoto3Configuration):
    """DynamoDB. Unset fields mean what every AWS SDK takes from the environment."""

    _client: DynamoDBClient | None = PrivateAttr(default=None)

    def client(self) -> DynamoDBClient:
        """The client, made once a run, with explicit time-outs and standard retries."""
        if self._client is None:
            self._client = Sessions().client_as_set("dynamodb", self)
        return self._client

    def region(self) -> str:
        """The region the tables are made in."""
        return str(self.client().meta.region_name)
