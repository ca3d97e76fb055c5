"""The servers the tests of releases run against. What they are made of is in `kumo_sandbox.testing.releases`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from kumo_sandbox.testing import ministack_server
from kumo_sandbox.testing.releases import BUCKET, Shop, client, shop

from kumo_assets_tests.support.in_dagster import dagster  # noqa: F401 - a fixture
from kumo_assets_tests.support.memory_shop import MemoryShop, memory_shop
from kumo_assets_tests.support.zookeeper import restartable_zookeeper


@pytest.fixture(autouse=True)
def aws_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test reads this machine's own AWS configuration."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "KUMO_")) and name != "KUMO_SOAK":
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("KUMO_SERVING_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a MiniStack of this test run's own."""
    with ministack_server(tmp_path_factory.mktemp("ministack")) as server:
        yield server.url


@pytest.fixture
def aws(ministack: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """MiniStack as the AWS of this process's standard variables, with the bucket made."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", ministack)
    client("s3").create_bucket(Bucket=BUCKET)
    return ministack


@pytest.fixture(scope="session")
def zookeeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`host:port` of a ZooKeeper of this test run's own."""
    with restartable_zookeeper(tmp_path_factory.mktemp("zookeeper")) as server:
        yield server.hosts


@pytest.fixture(params=["s3", pytest.param("zookeeper", marks=pytest.mark.zookeeper)])
def either(request: pytest.FixtureRequest, aws: str) -> Iterator[Shop]:
    """A fresh query, once with its pointer on S3 and once in ZooKeeper."""
    hosts = request.getfixturevalue("zookeeper") if request.param == "zookeeper" else ""
    made = shop(request.param, hosts)
    yield made
    made.ctx.close()


@pytest.fixture
def memory() -> MemoryShop:
    """A fresh query with its pointer on S3, everything in memory."""
    return memory_shop()


@pytest.fixture
def store(aws: str) -> Shop:
    """A fresh query with its pointer on S3."""
    return shop()
