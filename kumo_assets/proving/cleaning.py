"""Deleting everything that a proof made, and nothing else: tables by their exact names, objects and znodes by its folder.

The lease goes last, so that what an interruption leaves is found by the next run. Whose proof may be cleaned up is decided
in `lease`.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kumo_serving.errors import KumoAssetsError

from kumo_assets.config.names import CHAIN
from kumo_assets.errors import ReleaseError
from kumo_assets.proving.lease import Lease
from kumo_assets.proving.names import ProofNames
from kumo_assets.releases.bell import key_of
from kumo_assets.resources.dynamodb import tables
from kumo_assets.resources.s3_objects import ObjectStore
from kumo_assets.resources.waiting import Narrator

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# Attempts that a proof makes of one artefact: as many tables and prefixes.
MOST_ATTEMPTS = 4
SECONDS = 10.0
# kazoo logs each request at DEBUG, and one of them is the password: this logger has no such level.
_log = logging.getLogger("kumo_assets.zookeeper")
ROOT_ZNODE = "/kumo_assets"
# A table that is being imported into cannot be deleted; an import of a few rows takes minutes on AWS.
GONE_SECONDS, PAUSE_SECONDS = 900.0, 2.0


@dataclass(frozen=True)
class Cleaner:
    """What is needed to delete a proof."""

    objects: ObjectStore
    make_dynamodb: Callable[[], DynamoDBClient]
    narrator: Narrator

    def clean(self, names: ProofNames, lease: Lease) -> list[str]:
        """Delete the proof; what could not be deleted, with the reason. Then its lease stays, for the next run."""
        left: list[str] = []
        for what, delete in (
            ("the tables in DynamoDB", self._dynamodb),
            ("the tables in Snowflake", self._snowflake),
            ("the pointer in ZooKeeper", self._zookeeper),
            ("the objects on S3", self._objects),
        ):
            try:
                with self.narrator.waiting_for(f"{what} to be deleted"):
                    delete(names, lease)
            except KumoAssetsError as error:
                left.append(f"{what} of proof {names.proof}: {error.found or error}")
            except Exception as error:  # noqa: BLE001 - one system that is away must not keep the others from being cleaned
                left.append(f"{what} of proof {names.proof}: {type(error).__name__}: {error}")
        if not left:
            self.objects.delete_many([names.lease_key])
        return left

    def _dynamodb(self, names: ProofNames, lease: Lease) -> None:
        client, release = self.make_dynamodb(), names.release(lease.partition)
        started = time.monotonic()
        while True:
            listed = tables.list_tables(client, names.dynamodb_table(release))
            ours = [table for table in listed if names.release_of_table(table) == release]
            if not ours:
                return
            for table in ours:
                tables.delete(client, table)
            if time.monotonic() - started > GONE_SECONDS:
                raise ReleaseError(
                    "delete", to=", ".join(ours), found=f"{', '.join(ours)} are still there", next="run it again"
                )
            time.sleep(min(0.1 + (time.monotonic() - started) / 10, PAUSE_SECONDS))

    def _snowflake(self, names: ProofNames, lease: Lease) -> None:
        if lease.warehouse is None:
            return
        from kumo_assets.resources.snowflake import connect_outside_dagster
        from kumo_assets.resources.sql import table

        release = names.release(lease.partition)
        with connect_outside_dagster() as warehouse:
            view = names.view(release)
            warehouse.rows(f"DROP VIEW IF EXISTS {table(*lease.warehouse, view)}", doing=f"drop {view}")
            for asset in CHAIN[:2]:
                for attempt in range(1, MOST_ATTEMPTS + 1):
                    name = names.warehouse_table(release, asset, attempt)
                    warehouse.rows(f"DROP TABLE IF EXISTS {table(*lease.warehouse, name)}", doing=f"drop {name}")

    def _zookeeper(self, names: ProofNames, lease: Lease) -> None:
        if lease.zookeeper:
            delete_znodes(names, lease.zookeeper, lease.znodes)

    def _objects(self, names: ProofNames, lease: Lease) -> None:
        keys = [item.key for item in self.objects.list(names.root)]
        # The bell is that of every proof of the environment, and nobody listens to it.
        self.objects.delete_many([key for key in keys if key != names.lease_key] + [key_of(names)])


def folders_of(names: ProofNames) -> tuple[str, ...]:
    """The znodes above a proof's own folder, outermost first."""
    return ROOT_ZNODE, f"{ROOT_ZNODE}/{names.environment}"


def missing_folders(names: ProofNames, hosts: str) -> tuple[str, ...]:
    """Those of `folders_of` that do not exist. A proof that makes them takes them away: a first promotion is to make them
    with the rights of its own user."""
    with connected(hosts) as client:
        return tuple(path for path in folders_of(names) if client.exists(path) is None)


def delete_znodes(names: ProofNames, hosts: str, made: tuple[str, ...]) -> None:
    """Delete a proof's folder in ZooKeeper, and of the folders above it those that it made and that are empty."""
    from kazoo.exceptions import NoNodeError, NotEmptyError

    with connected(hosts) as client:
        client.delete(names.znode.rpartition("/")[0], recursive=True)
        for path in reversed(folders_of(names)):
            if path in made:
                try:
                    client.delete(path)
                except (NoNodeError, NotEmptyError):
                    return


@contextmanager
def connected(hosts: str, *, anonymous: bool = False) -> Iterator[Any]:
    """A ZooKeeper client with the rights of KUMO_ASSETS_ZOOKEEPER_AUTH; `anonymous` with those of nobody. Raises what
    kazoo raises."""
    from kazoo.client import KazooClient

    auth = "" if anonymous else os.environ.get("KUMO_ASSETS_ZOOKEEPER_AUTH", "")
    client = KazooClient(hosts=hosts, timeout=SECONDS, auth_data=[("digest", auth)] if auth else None, logger=_log)
    try:
        client.start(timeout=SECONDS)
        yield client
    finally:
        client.stop()
        client.close()
