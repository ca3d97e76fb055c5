"""The S3 client as a Dagster resource: dagster-aws's resource and its settings, the client of `resources.aws`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.handlers import disable_signing
from dagster_aws import s3

from kumo_assets.resources.aws import Sessions

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class S3Resource(s3.S3Resource):
    """dagster-aws's own client has no time-outs but botocore's minute, and reads botocore's service models once more."""

    def get_client(self) -> S3Client:
        return self.client(Sessions())

    def client(self, sessions: Sessions) -> S3Client:
        """A new client, from sessions that somebody who lives longer than this resource keeps."""
        client: S3Client = sessions.client_as_set("s3", self)
        if self.use_unsigned_session:
            client.meta.events.register("choose-signer.s3.*", disable_signing)
        return client
