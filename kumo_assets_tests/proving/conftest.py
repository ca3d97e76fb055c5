"""A sandbox with raw logs, a bucket that keeps versions, an environment's name of the module's own, and what is left there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import boto3
import pytest
from kumo_sandbox.snowflake.client import connect
from kumo_sandbox.testing import SandboxHandle

from kumo_assets_tests.chain.conftest import logs  # noqa: F401

BUCKET = "kumo-proof-test"


@dataclass(frozen=True)
class Ground:
    """Where proofs are run: this process's environment points at it."""

    sandbox: SandboxHandle
    environment: str

    def left(self) -> list[str]:
        """Everything that proofs have left behind in S3, DynamoDB and Snowflake."""
        s3, dynamodb = (boto3.session.Session().client(name) for name in ("s3", "dynamodb"))
        found = [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET, Prefix=self.environment).get("Contents", [])]
        found += [name for name in dynamodb.list_tables()["TableNames"] if name.startswith(f"{self.environment}-")]
        with connect(self.sandbox.env) as connection:
            cursor = connection.cursor()
            cursor.execute(f"SHOW TABLES LIKE 'KUMO_{self.environment.upper()}_%'")
            found += [str(row[1]) for row in cursor.fetchall()]
        return found


@pytest.fixture(scope="module")
def ground(logs: SandboxHandle) -> Iterator[Ground]:  # noqa: F811
    environment = "v" + secrets.token_hex(5)
    with pytest.MonkeyPatch.context() as patch:
        variables = {
            **logs.env,
            "KUMO_ASSETS_ENV": environment,
            "KUMO_ASSETS_BUCKET": BUCKET,
            "KUMO_ASSETS_S3_ENCRYPTION": "AES256",
        }
        for name, value in variables.items():
            patch.setenv(name, value)
        s3 = boto3.session.Session().client("s3")
        if BUCKET not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]:
            s3.create_bucket(Bucket=BUCKET)
            s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        assert os.environ["KUMO_ASSETS_ENV"] == environment
        yield Ground(logs, environment)
