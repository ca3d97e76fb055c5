"""Put `data/` back into a sandbox and a ZooKeeper, as if the old commit had run there: with AWS's, ZooKeeper's and
Snowflake's own clients, and nothing of this project's.

What is there already and unchanged stays, so that a test pays only for what the one before it changed. S3 dates an object
by when it is put, in whole seconds, and a release's seal is dated by that. So objects are put in their old order, and a
partition's second seal at least a second after its first.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any

import boto3
import httpx
from kazoo.client import KazooClient
from kumo_sandbox.snowflake.client import connect

from kumo_assets_tests.upgrade.data_files import DATA, Stored, read_objects
from kumo_assets_tests.upgrade.project import ENVIRONMENT, SCHEMA


def restore(env: Mapping[str, str], query: str, zookeeper: str) -> None:
    """The query's S3 objects, pointer and DynamoDB tables as the old commit left them, and nothing else under its name."""
    _restore_tables(query)
    _restore_objects(env["KUMO_ASSETS_BUCKET"], query)
    _restore_znodes(query, zookeeper)


def restore_imports(query: str) -> None:
    """Import again, by the same requests, the tables in whose import the old commit was killed.

    For hours afterwards AWS, and the sandbox as well, answer the same request with the same import: once a sandbox.
    """
    client: Any = boto3.client("dynamodb")
    for table in _tables(query):
        if table["Import"] is not None:
            client.delete_table(TableName=table["TableName"])
            client.import_table(**table["Import"])


def restore_warehouse(env: Mapping[str, str], query: str) -> None:
    """The query's Snowflake tables, and the raw logs that all queries read."""
    with connect(env) as connection:
        cursor = connection.cursor()
        cursor.execute(f'CREATE SCHEMA IF NOT EXISTS "KUMO"."{SCHEMA}"')
        there = warehouse_tables(env, query)
        for statement in (DATA / "snowflake.sql").read_text().split(";\n"):
            name = statement.partition("(")[0].partition('"KUMO".')[2].partition(" ")[0].replace('"', "")
            schema, _, table = name.partition(".")
            if (schema == SCHEMA or table.startswith(_warehouse_prefix(query))) and name not in there:
                cursor.execute(statement)


def restore_kumo(url: str) -> None:
    """Kumo knows the query, and none of its jobs."""
    found = json.loads((DATA / "kumo_query.json").read_text())
    httpx.put(f"{url}/_sandbox/queries/{found['id']}", json=found["settings"], trust_env=False).raise_for_status()


def old_objects(query: str) -> list[Stored]:
    """The query's S3 objects as the old commit left them, oldest first."""
    return read_objects(DATA / f"s3_{query}.yaml")


def objects(bucket: str, query: str) -> dict[str, str]:
    """The MD5 of each of the query's S3 objects as they are now, by key."""
    pages = (
        boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{ENVIRONMENT}/{query}/")
    )
    return {item["Key"]: item["ETag"].strip('"') for page in pages for item in page.get("Contents", [])}


def table_names(query: str) -> set[str]:
    """The query's DynamoDB tables as they are now."""
    pages = boto3.client("dynamodb").get_paginator("list_tables").paginate()
    return {name for page in pages for name in page["TableNames"] if name.startswith(f"{ENVIRONMENT}-{query}-")}


def warehouse_tables(env: Mapping[str, str], query: str) -> set[str]:
    """The query's Snowflake tables and the raw logs as they are now, each with its schema."""
    with connect(env) as connection:
        found = connection.cursor().execute('SELECT TABLE_SCHEMA, TABLE_NAME FROM "KUMO".INFORMATION_SCHEMA.TABLES')
        return {
            f"{schema}.{name}"
            for schema, name in found.fetchall()
            if schema == SCHEMA or name.startswith(_warehouse_prefix(query))
        }


def _warehouse_prefix(query: str) -> str:
    return f"KUMO_{ENVIRONMENT}_{query}_".upper()


def _restore_objects(bucket: str, query: str) -> None:
    s3 = boto3.client("s3")
    there = objects(bucket, query)
    waiting = old_objects(query)
    for key in there.keys() - {one.key for one in waiting}:
        s3.delete_object(Bucket=bucket, Key=key)
    waiting = [one for one in waiting if there.get(one.key) != hashlib.md5(one.body, usedforsecurity=False).hexdigest()]
    while waiting:
        sealed: set[str] = set()
        later = []
        for one in waiting:
            if one.key.endswith("/release.json"):
                partition = one.key.split("/")[-2][:8]
                if partition in sealed:
                    later.append(one)
                    continue
                sealed.add(partition)
            s3.put_object(Bucket=bucket, Key=one.key, Body=one.body, ContentType="application/json")
        if later:
            time.sleep(1.01)
        waiting = later


def _tables(query: str) -> list[dict[str, Any]]:
    tables: list[dict[str, Any]] = json.loads((DATA / "dynamodb.json").read_text())
    return [table for table in tables if table["TableName"].startswith(f"{ENVIRONMENT}-{query}-")]


def _restore_tables(query: str) -> None:
    client: Any = boto3.client("dynamodb")
    there, wanted = table_names(query), _tables(query)
    for name in there - {table["TableName"] for table in wanted}:
        client.update_table(TableName=name, DeletionProtectionEnabled=False)
        client.delete_table(TableName=name)
    for table in wanted:
        if table["TableName"] in there:
            continue
        client.create_table(
            **{name: table[name] for name in ("TableName", "KeySchema", "AttributeDefinitions", "Tags")},
            BillingMode="PAY_PER_REQUEST",
            DeletionProtectionEnabled=table["DeletionProtectionEnabled"],
        )
        puts = [{"PutRequest": {"Item": {"e": {"S": e}, "p": {"S": p}}}} for e, p in table["Items"].items()]
        left = client.batch_write_item(RequestItems={table["TableName"]: puts})["UnprocessedItems"]
        assert not left


def _restore_znodes(query: str, hosts: str) -> None:
    kept = [one for one in read_objects(DATA / "zookeeper.yaml") if one.key.split("/")[-2] == query]
    if not kept:
        return
    client = KazooClient(hosts)
    client.start(timeout=30)
    try:
        client.delete(f"/kumo_assets/{ENVIRONMENT}/{query}", recursive=True)
        for one in kept:
            client.create(one.key, one.body, makepath=True)
    finally:
        client.stop()
        client.close()
