"""What is kept of the environment that the old commit left: every stored object, table and answer, into `data/`.

Runs under the old commit's environment, called by `make_data.py`. Reading the files back is in `data_files`.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
from data_files import DATA, Stored, write_objects
from kumo_sandbox.snowflake.client import connect
from project import ENVIRONMENT, GATE_DAYS, KUMO_QUERY, KUMO_SETTINGS, SCHEMA

Run = Callable[..., Any]
# What DescribeImport repeats of ImportTable's parameters.
IMPORT_REQUEST = (
    *("ClientToken", "S3BucketSource", "InputFormat", "InputFormatOptions", "InputCompressionType"),
    "TableCreationParameters",
)


def dump(run: Run, queries: Sequence[str], before_edit: bytes, zookeeper: str, root: Path) -> None:
    """Write every file of `data/` but README.md. `run` is `kumo-assets ... --json`."""
    _answers(run, queries)
    for query in queries:
        write_objects(DATA / f"s3_{query}.yaml", _objects(query))
    (DATA / "pointer_before_edit.json").write_bytes(before_edit)
    write_objects(DATA / "zookeeper.yaml", _znodes(zookeeper))
    _write_json("dynamodb.json", _tables())
    (DATA / "snowflake.sql").write_text("".join(f"{statement};\n" for statement in _statements()))
    _write_json("kumo_query.json", {"id": KUMO_QUERY, "settings": KUMO_SETTINGS})
    _write_json("dagster_runs.json", _unfinished_runs())
    _reader(root / "packages" / "kumo_serving" / "kumo_serving")


def _answers(run: Run, queries: Sequence[str]) -> None:
    """What the old command line said of the state that is kept."""
    answers: dict[str, Any] = {}
    for query in queries:
        answers[query] = {
            "status": run("status", query),
            "releases": run("releases", query),
            "history": run("history", query, "--limit", "1000"),
            "retire": run("retire", query, "--dry-run"),
            "gates": {day: run("gates", query, "--partition", day) for day in GATE_DAYS[query]},
            "model": run("model", query),
            "lookup": {str(entity): run("lookup", query, str(entity)) for entity in (1, 2, 999)},
        }
    _write_json("answers.json", answers)


def _objects(query: str) -> list[Stored]:
    """Every object of a query, in the order of their times, which the sandbox's S3 lists to the millisecond."""
    s3, bucket = boto3.client("s3"), os.environ["KUMO_ASSETS_BUCKET"]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{ENVIRONMENT}/{query}/")
    found = []
    for item in [item for page in pages for item in page.get("Contents", [])]:
        body = s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read()
        found.append(Stored(item["Key"], item["LastModified"].isoformat(), body))
    return sorted(found, key=lambda one: one.modified)


def _znodes(hosts: str) -> list[Stored]:
    from kazoo.client import KazooClient

    client = KazooClient(hosts)
    client.start()
    try:
        found = []
        for query in client.get_children(f"/kumo_assets/{ENVIRONMENT}"):
            path = f"/kumo_assets/{ENVIRONMENT}/{query}/active"
            data, stat = client.get(path)
            found.append(Stored(path, datetime.fromtimestamp(stat.mtime / 1000, UTC).isoformat(), data))
        return found
    finally:
        client.stop()
        client.close()


def _tables() -> list[dict[str, Any]]:
    """Every table with its items (key -> p). One that its release had not tagged yet was left in the middle of the
    import's step: of that one the request that began the import is kept too, for a re-run must adopt it."""
    client: Any = boto3.client("dynamodb")
    imports = {}
    for summary in client.list_imports(PageSize=25)["ImportSummaryList"]:
        told = client.describe_import(ImportArn=summary["ImportArn"])["ImportTableDescription"]
        request = {name: told[name] for name in IMPORT_REQUEST if name in told}
        imports[told["TableCreationParameters"]["TableName"]] = request
    found = []
    for name in [name for page in client.get_paginator("list_tables").paginate() for name in page["TableNames"]]:
        table = client.describe_table(TableName=name)["Table"]
        tags = client.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"]
        items = client.scan(TableName=name)["Items"]
        found.append(
            {
                "TableName": name,
                "KeySchema": table["KeySchema"],
                "AttributeDefinitions": table["AttributeDefinitions"],
                "DeletionProtectionEnabled": table.get("DeletionProtectionEnabled", False),
                "Tags": tags,
                "Import": imports[name] if not tags else None,
                "Items": {item["e"]["S"]: item["p"]["S"] for item in sorted(items, key=lambda item: item["e"]["S"])},
            }
        )
    return found


def _statements() -> list[str]:
    """SQL that makes every table of the old runs again: raw logs, predictions, post-processed tables."""
    wanted = f"(TABLE_SCHEMA = '{SCHEMA}' OR TABLE_NAME LIKE 'KUMO_{ENVIRONMENT.upper()}_%')"
    with connect(os.environ) as connection:
        cursor = connection.cursor()
        columns: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for schema, table, column, kind in cursor.execute(
            'SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE FROM "KUMO".INFORMATION_SCHEMA.COLUMNS '
            f"WHERE {wanted} ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION"
        ).fetchall():
            columns.setdefault((schema, table), []).append((column, kind))
        statements = [f'CREATE SCHEMA IF NOT EXISTS "KUMO"."{SCHEMA}"']
        for (schema, table), described in columns.items():
            where = f'"KUMO"."{schema}"."{table}"'
            names = ", ".join(f'"{name}" {kind}' for name, kind in described)
            statements.append(f"CREATE TABLE {where} ({names})")
            order = ", ".join(str(number) for number, _ in enumerate(described, 1))
            rows = cursor.execute(f"SELECT * FROM {where} ORDER BY {order}").fetchall()
            values = ",\n".join(f"({', '.join(map(_literal, row))})" for row in rows)
            statements.append(f"INSERT INTO {where} VALUES\n{values}")
    return statements


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool | int | float):
        return repr(value)
    if hasattr(value, "isoformat"):
        return f"'{value.isoformat(sep=' ')}'::TIMESTAMP_NTZ"
    return "'" + str(value).replace("'", "''") + "'"


def _unfinished_runs() -> list[dict[str, Any]]:
    """The runs whose process was killed, as Dagster's own storage still has them."""
    with dg.DagsterInstance.get() as instance:
        return [
            {"run_id": run.run_id, "job_name": run.job_name, "status": run.status.value, "tags": dict(run.tags)}
            for run in instance.get_runs()
            if not run.is_finished
        ]


def _reader(package: Path) -> None:
    """The old reader's source in one archive that Python imports from."""
    with zipfile.ZipFile(DATA / "kumo_serving.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(package.glob("*.py")):
            entry = zipfile.ZipInfo(f"kumo_serving/{path.name}", (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())


def _write_json(name: str, document: Any) -> None:
    (DATA / name).write_text(json.dumps(document, indent=1, ensure_ascii=False, default=str) + "\n")
