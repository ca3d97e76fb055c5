"""Make `data/`: run a few days under commit 91d9d5a as a user would, then keep everything that they left.

Run it with the environment of a checkout of that commit (a few minutes; needs Debian's zookeeper):

    git worktree add --detach /tmp/old 91d9d5a && make -C /tmp/old .install.stamp
    /tmp/old/.venv/bin/python kumo_assets_tests/upgrade/make_data.py

What is kept, and how, is in `dump_data`; the project that is run is in `project`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx
from data_files import DATA
from dump_data import dump
from kumo_sandbox.snowflake.client import connect
from kumo_sandbox.testing import start_sandbox
from old_user import User, zookeeper
from project import (
    EDITED,
    ENVIRONMENT,
    IN_ZOOKEEPER,
    KUMO_QUERY,
    KUMO_SETTINGS,
    ON_S3,
    QUERIES,
    raw_log_statements,
    write_project,
)

import kumo_assets

COMMIT = "91d9d5a"
CHAIN = ("predictions", "postprocessed", "s3_export", "dynamodb_table")


def on_s3(user: User) -> None:
    """A pointer on S3, and a release in every state there is."""
    for day in (17, 18, 19, 20):
        user.release(ON_S3, f"2017-11-{day}", "--promote")
    assert len(user.run("retire", ON_S3)["retired"]) == 1
    user.release(ON_S3, "2017-11-21", "--promote")
    user.sandbox.aws_faults({"operation": "DeleteTable", "status": 400, "code": "AccessDeniedException", "times": -1})
    user.run("retire", ON_S3, status=1)  # half retired
    user.sandbox.reset_faults()
    user.release(ON_S3, "2017-11-22", "--promote")
    user.run("rollback", ON_S3, "--reason", "odd lists", "--by", "ann")  # rejects 22, and holds
    user.run("unhold", ON_S3, "--yes", "--by", "ann")
    user.part(ON_S3, "2017-11-22", CHAIN[1:])  # adopts the predictions of 22
    user.release(ON_S3, "2017-11-23", "--promote")
    warning = {"title": "Distribution shift", "message": "column SALES_VALUE differs from the training data"}
    user.sandbox.kumo_faults({"kind": "job_warnings", "query": KUMO_QUERY, "with": {"warnings": [warning]}})
    user.run("materialize", ON_S3, "--partition", "2017-11-24", status=3)
    user.sandbox.reset_faults()
    # Until the release sealed last does not have the greatest id: then its id alone would not say that it is the newest.
    waiting = [user.release(ON_S3, "2017-11-25")]
    while len(waiting) < 2 or waiting[-1] == max(waiting):
        waiting.append(user.release(ON_S3, "2017-11-25", "--fresh"))
    user.killed_at("PutObject", "artefacts/s3_export.json", ON_S3, "2017-11-26")
    user.killed_at("DescribeImport", "", ON_S3, "2017-11-27")
    user.killed_at("PutObject", "release.json", ON_S3, "2017-11-28")


def in_zookeeper(user: User) -> None:
    """A pointer in ZooKeeper, held after a rollback; a release waits; two models were trained."""
    user.run("train", IN_ZOOKEEPER, "--by", "ann", status=3)  # nothing to compare with: the model in use has no metrics
    job = user.run("model", IN_ZOOKEEPER)["history"][0]["training_job_id"]
    user.run("model", IN_ZOOKEEPER, "--use", job, "--reason", "it has metrics", "--by", "ann")
    user.release(IN_ZOOKEEPER, "2017-11-19", "--promote")
    user.release(IN_ZOOKEEPER, "2017-11-20", "--promote")
    user.run("train", IN_ZOOKEEPER, "--again", "--by", "ann")
    user.run("rollback", IN_ZOOKEEPER, "--reason", "prices were wrong", "--by", "bob")
    user.release(IN_ZOOKEEPER, "2017-11-21")


def edited_by_hand(user: User, s3: Any) -> bytes:
    """A pointer on S3 that names a forced release, then edited as docs/operations.md says. The bytes before the edit."""
    first = user.release(EDITED, "2017-11-19", "--promote")
    user.release(EDITED, "2017-11-20", "--promote")
    user.part(EDITED, "2017-11-21", CHAIN, checks=False)
    unchecked = user.run("releases", EDITED)[0]["release_id"]
    user.run("promote", EDITED, unchecked, "--force", "--reason", "the gates were not asked", "--by", "eve")
    place = {"Bucket": user.environment["KUMO_ASSETS_BUCKET"], "Key": f"{ENVIRONMENT}/{EDITED}/active.json"}
    before: bytes = s3.get_object(**place)["Body"].read()
    table = json.loads(before)["table"]
    edited = before.replace(f'"table": "{table}"'.encode(), f'"table": "{ENVIRONMENT}-{EDITED}-{first}"'.encode(), 1)
    assert edited != before
    s3.put_object(**place, Body=edited)
    return before


def checked_commit() -> Path:
    """The root of the checkout whose code runs, which must be a clean one of `COMMIT`."""
    root = Path(kumo_assets.__file__).parents[1]
    git = ["git", "-C", str(root)]
    found = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    if not found.startswith(COMMIT) or changed:
        sys.exit(f"{root} is at {found[:7]}{' and changed' if changed else ''}; use a clean checkout of {COMMIT}")
    return root


def main() -> None:
    root = checked_commit()
    DATA.mkdir(exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="kumo-upgrade-"))
    sandbox = start_sandbox(home / "sandbox")
    try:
        with zookeeper(home / "zookeeper") as hosts:
            write_project(home / "project", old=True)
            (home / "dagster").mkdir()
            (home / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
            settings = {
                **sandbox.env,
                "KUMO_ASSETS_ENV": ENVIRONMENT,
                "KUMO_ASSETS_ZOOKEEPER": hosts,
                "DAGSTER_HOME": str(home / "dagster"),
                "PYTHONPATH": str(home / "project"),
                "NO_COLOR": "1",
            }
            os.environ.update(settings)
            with connect(sandbox.env) as connection:
                for statement in raw_log_statements():
                    connection.cursor().execute(statement)
            told = httpx.put(
                f"{sandbox.url['kumo']}/_sandbox/queries/{KUMO_QUERY}", json=KUMO_SETTINGS, trust_env=False
            )
            told.raise_for_status()
            user = User(sandbox, {**os.environ}, home / "project")
            import boto3

            in_zookeeper(user)
            before = edited_by_hand(user, boto3.client("s3"))
            on_s3(user)
            dump(user.run, QUERIES, before, hosts, root)
    finally:
        sandbox.discard()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
