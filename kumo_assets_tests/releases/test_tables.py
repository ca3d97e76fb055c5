"""A table's care before the swap and its end, against the sandbox's DynamoDB: each option of `table` in a definition."""

from __future__ import annotations

import boto3
import pytest
from kumo_sandbox.testing import SandboxHandle
from kumo_sandbox.testing.releases import Shop, shop

from kumo_assets.config.environment import Environment
from kumo_assets.config.query import Table
from kumo_assets.errors import ReleaseError
from kumo_assets.resources.dynamodb import tables

pytestmark = pytest.mark.sandbox
ABROAD = "eu-west-1"
WANTED = Table(point_in_time_recovery=True, reads_per_second=50_000, replicas=[ABROAD])


@pytest.fixture
def store(sandbox: SandboxHandle) -> Shop:
    """A query in the sandbox, whose proxy tells of warm throughput as AWS does."""
    return shop(environment=Environment.from_variables())


def cared_for(found: Shop) -> str:
    release = found.build()
    name = found.ctx.names.dynamodb_table(release)
    tables.care_for(found.ctx.dynamodb, name, WANTED, found.ctx.names.tags(release))
    return name


def there(region: str, table: str) -> bool:
    return table in boto3.client("dynamodb", region_name=region).list_tables()["TableNames"]


def test_a_table_gets_all_that_its_definition_asks(store: Shop) -> None:
    client = store.ctx.dynamodb
    name = cared_for(store)
    tables.wait_until_ready(client, name, WANTED, deadline_seconds=30, poll_seconds=0.1)
    state = tables.describe(client, name)
    assert state is not None
    assert state.protected
    assert state.warm_reads == 50_000
    assert state.replicas == {ABROAD: "ACTIVE"}
    assert there(ABROAD, name)
    backups = client.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    told = {item["Key"]: item["Value"] for item in client.list_tags_of_resource(ResourceArn=state.arn)["Tags"]}
    (release,) = store.built
    assert told == store.ctx.names.tags(release)
    tables.care_for(client, name, WANTED, {})  # safe to repeat


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Table(reads_per_second=50_000), "50,000 are wanted"),
        (Table(replicas=[ABROAD]), f"replica in {ABROAD} that is absent"),
    ],
)
def test_a_table_is_waited_for_until_it_is_warm_and_everywhere(store: Shop, wanted: Table, words: str) -> None:
    client = store.ctx.dynamodb
    name = store.ctx.names.dynamodb_table(store.build())
    told: list[str] = []

    def progress(line: str) -> None:
        told.append(line)
        if len(told) == 2:
            tables.care_for(client, name, wanted, {})

    tables.wait_until_ready(client, name, wanted, deadline_seconds=30, poll_seconds=0.1, on_progress=progress)
    assert len(told) >= 2
    assert words in told[0]


def test_a_table_that_is_never_ready_is_given_up_at_the_deadline_with_the_reason(store: Shop) -> None:
    name = store.ctx.names.dynamodb_table(store.build())
    with pytest.raises(ReleaseError, match=f"replica in {ABROAD} that is absent"):
        tables.wait_until_ready(store.ctx.dynamodb, name, WANTED, deadline_seconds=0.2, poll_seconds=0.1)


def test_a_table_goes_with_its_replicas(store: Shop) -> None:
    name = cared_for(store)
    tables.delete(store.ctx.dynamodb, name)
    assert tables.describe(store.ctx.dynamodb, name) is None
    assert not there(ABROAD, name), "it would stand there, and be paid for, for ever"
