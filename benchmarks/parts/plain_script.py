"""The peer of the pipeline benchmark: one day's predictions to DynamoDB as a competent person would script it.

    python -m benchmarks.parts.plain_script DAY NAME

The same outside calls, made directly with httpx, snowflake-connector and boto3: refresh, launch, poll, post-process,
unload, import, poll, tag, protect, write the pointer. No Dagster, no gates, no release objects, no adoption. Its pauses
are those the benchmark's query is configured with. Prints JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.machine import peak_mb, reset_peak, resident_mb
from benchmarks.parts.calls import Calls

SQL = Path(__file__).parents[2] / "kumo_assets" / "assets" / "sql"
FIRST, MOST = 0.2, 0.5
QUERY = "bench"


def poll(read: Callable[[], str]) -> str:
    """Read until the status is an end."""
    pause = FIRST
    while (status := read()) in ("NOT_STARTED", "QUEUED", "RUNNING", "IN_PROGRESS", "CREATING", "UPDATING"):
        time.sleep(pause)
        pause = min(1.5 * pause, MOST)
    return status


def predict(kumo: Any, day: str, table: str) -> None:
    """Kumo: a fresh snapshot, the newest model, one job, its end."""
    snapshot = kumo.post("/graphsnapshots", params={"graph_id": "grocery", "refresh_source": "true"}).json()["id"]

    def stages() -> str:
        found = [stage["status"] for stage in kumo.get(f"/graphsnapshots/{snapshot}").json()["stages"].values()]
        return "DONE" if found and set(found) == {"DONE"} else "RUNNING"

    poll(stages)
    trained = kumo.get("/training_jobs", params={"pquery_id": QUERY, "job_status": "DONE", "limit": 100}).json()
    model = max(trained, key=lambda job: job["created_at"])["job_id"]
    anchor = datetime.combine(date.fromisoformat(day) + timedelta(days=1), datetime.min.time(), UTC)
    job, problems = kumo.post(
        "/prediction_jobs",
        json={
            "job_tags": {"script": table},
            "model_training_job_id": model,
            "predict_options": {"num_classes_to_return": 5, "num_workers": 1},
            "outputs": [
                {
                    "artifact_type": "PREDICTIONS",
                    "connector_id": "sandbox_snowflake",
                    "table_name": table,
                    "storage_type": "SNOWFLAKE",
                    "extra_fields": ["JOB_TIMESTAMP", "ANCHOR_TIMESTAMP"],
                    "write_mode": "OVERWRITE",
                }
            ],
            "graph_snapshot_id": snapshot,
            "prediction_time": anchor.isoformat().replace("+00:00", "Z"),
        },
    ).json()
    if job is None:
        raise SystemExit(f"Kumo refused: {problems}")
    status = poll(lambda: kumo.get(f"/prediction_jobs/{job}").json()["job_status_report"]["status"])
    if status != "DONE":
        raise SystemExit(f"Kumo job {job} ended {status}")


def export(cursor: Any, predictions: str, table: str, uri: str) -> int:
    """Snowflake: rank and keep 5, then one unload; rows unloaded."""
    rank = (SQL / "rank.sql").read_text().replace("{{ predictions }}", predictions).replace("{{ top_k }}", "5")
    cursor.execute(f"CREATE TABLE {table} AS\n{rank}")
    packed = (SQL / "pack_list.sql").read_text().replace("{{ postprocessed }}", table)
    cursor.execute(
        f"COPY INTO '{uri}' FROM ({packed}) STORAGE_INTEGRATION = \"{os.environ['KUMO_ASSETS_STORAGE_INTEGRATION']}\" "
        "FILE_FORMAT = (TYPE = CSV COMPRESSION = GZIP FIELD_OPTIONALLY_ENCLOSED_BY = '\"' NULL_IF = ()) HEADER = TRUE "
        "MAX_FILE_SIZE = 268435456 DETAILED_OUTPUT = TRUE"
    )
    names = [column[0] for column in cursor.description]
    return sum(int(row[names.index("ROW_COUNT")]) for row in cursor.fetchall())


def load(dynamodb: Any, bucket: str, prefix: str, table: str) -> int:
    """DynamoDB: one import into a new table, its end, tags and protection; items imported."""
    arn = dynamodb.import_table(
        S3BucketSource={"S3Bucket": bucket, "S3KeyPrefix": prefix},
        InputFormat="CSV",
        InputCompressionType="GZIP",
        InputFormatOptions={"Csv": {"Delimiter": ","}},
        TableCreationParameters={
            "TableName": table,
            "AttributeDefinitions": [{"AttributeName": "e", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "e", "KeyType": "HASH"}],
            "BillingMode": "PAY_PER_REQUEST",
        },
    )["ImportTableDescription"]["ImportArn"]
    found: dict[str, Any] = {}

    def status() -> str:
        found.update(dynamodb.describe_import(ImportArn=arn)["ImportTableDescription"])
        return str(found["ImportStatus"])

    poll(status)
    if found["ImportStatus"] != "COMPLETED" or found.get("ErrorCount"):
        raise SystemExit(f"the import ended {found['ImportStatus']} with {found.get('ErrorCount')} errors")
    described = dynamodb.describe_table(TableName=table)["Table"]
    dynamodb.tag_resource(ResourceArn=described["TableArn"], Tags=[{"Key": "script", "Value": table}])
    dynamodb.update_table(TableName=table, DeletionProtectionEnabled=True)
    poll(lambda: str(dynamodb.describe_table(TableName=table)["Table"]["TableStatus"]))
    return int(found["ImportedItemCount"])


def main() -> None:
    day, name = sys.argv[1:3]
    import boto3
    import httpx
    import snowflake.connector

    env = os.environ
    calls = Calls().install()
    kumo = httpx.Client(
        base_url=env["KUMO_API_URL"] + "/v1", headers={"X-API-Key": env["KUMO_API_KEY"]}, timeout=30, trust_env=False
    )
    idle = resident_mb()
    reset_peak()
    started, cpu = time.perf_counter(), time.process_time()
    s3, dynamodb = boto3.client("s3"), boto3.client("dynamodb")
    table = f"{name.upper()}_{day.replace('-', '')}"
    predict(kumo, day, f"{table}_P")
    with snowflake.connector.connect(
        account=env["SNOWFLAKE_ACCOUNT"],
        user=env["SNOWFLAKE_USER"],
        password=env["SNOWFLAKE_PASSWORD"],
        host=env["SNOWFLAKE_HOST"],
        port=int(env["SNOWFLAKE_PORT"]),
        protocol=env["SNOWFLAKE_PROTOCOL"],
        database=env["SNOWFLAKE_DATABASE"],
        schema=env["SNOWFLAKE_SCHEMA"],
    ) as connection:
        cursor = connection.cursor()
        prefix = f"script/{table}/"
        rows = export(cursor, f'"{table}_P"', f'"{table}_T"', f"s3://{env['KUMO_ASSETS_BUCKET']}/{prefix}")
    items = load(dynamodb, env["KUMO_ASSETS_BUCKET"], prefix, table)
    s3.put_object(
        Bucket=env["KUMO_ASSETS_BUCKET"], Key=f"script/{name}.json", Body=json.dumps({"table": table}).encode()
    )
    print(
        json.dumps(
            {
                "seconds": time.perf_counter() - started,
                "cpu": time.process_time() - cpu,
                "rows": rows,
                "items": items,
                "idle_mb": idle,
                "peak_mb": peak_mb(),
                "calls": calls.counts,
                "outside": calls.seconds,
            }
        )
    )


if __name__ == "__main__":
    main()
