"""Make `data/`: run a few days under commit 91d9d5a as a user would, then keep everything that they left.

Run it with the environment of a checkout of that commit (a few minutes; needs Debian's zookeeper):

    git worktree add --detach /tmp/old 91d9d5a && make -C /tmp/old .install.stamp
    /tmp/old/.venv/bin/python kumo_assets_tests/upgrade/make_data.py

What is kept, and how, is in `dump_data`; the project that is run is in `old_project`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from data_files import DATA
from dump_data import dump
from kumo_sandbox.settings import free_port
from kumo_sandbox.snowflake.client import connect
from kumo_sandbox.testing import SandboxHandle, start_sandbox
from old_project import (
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

# Some assets of a day, with or without their checks, as a person materialises them in Dagster's UI.
_PART = """
import json, sys
import dagster as dg
from upgrade_project.definitions import defs

query, day, assets, checks = json.loads(sys.argv[1])
found = defs()
selection = dg.AssetSelection.assets(*[[query, asset] for asset in assets])
if not checks:
    graph = found.resolve_asset_graph()
    apart = [key for key in graph.asset_check_keys if not graph.assets_def_for_key(key).keys]
    selection = selection - dg.AssetSelection.checks(*apart)
job = dg.define_asset_job("part", selection=selection)
with dg.DagsterInstance.get() as instance:
    merged = dg.Definitions.merge(found, dg.Definitions(jobs=[job]))
    done = merged.resolve_job_def("part").execute_in_process(instance=instance, partition_key=day, raise_on_error=False)
    sys.exit(not done.success)
"""


@dataclass(frozen=True)
class User:
    """A person at a terminal, in the project's folder."""

    sandbox: SandboxHandle
    environment: dict[str, str]
    folder: Path

    def run(self, *arguments: str, status: int = 0) -> Any:
        """`kumo-assets ARGUMENTS --json`, which must end with `status`; its document."""
        print("kumo-assets", *arguments, flush=True)
        done = subprocess.run(self._command(*arguments), capture_output=True, text=True, **self._where)
        assert done.returncode == status, (done.returncode, done.stdout, done.stderr[-3000:])
        return json.loads(done.stdout)

    def release(self, query: str, day: str, *options: str) -> str:
        return str(self.run("materialize", query, "--partition", day, *options)["release_id"])

    def part(self, query: str, day: str, assets: tuple[str, ...], *, checks: bool = True) -> None:
        print("materialise", query, day, assets, "with" if checks else "without", "checks", flush=True)
        arguments = json.dumps([query, day, assets, checks])
        subprocess.run([sys.executable, "-c", _PART, arguments], check=True, capture_output=True, **self._where)

    def killed_at(self, operation: str, match: str, query: str, day: str) -> None:
        """SIGKILL of `materialize` at a request to AWS, which never arrives there."""
        print("kill -9 of materialize", query, day, "at", operation, match, flush=True)
        self.sandbox.aws_faults({"operation": operation, "match": match, "delay": 5.0, "cut": "before"})
        process = subprocess.Popen(
            self._command("materialize", query, "--partition", day),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._where,
        )
        url = self.sandbox.url["aws"] + "/_sandbox/faults"
        while not any(fault["seen"] for fault in httpx.get(url, trust_env=False).json()):
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
        process.wait()
        time.sleep(6)
        self.sandbox.reset_faults()

    def _command(self, *arguments: str) -> list[str]:
        return [str(Path(sys.executable).parent / "kumo-assets"), *arguments, "--json"]

    @property
    def _where(self) -> dict[str, Any]:
        return {"env": self.environment, "cwd": self.folder, "stdin": subprocess.DEVNULL}


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


@contextmanager
def zookeeper(home: Path) -> Iterator[str]:
    """`host:port` of a ZooKeeper of our own."""
    home.mkdir()
    port = free_port()
    (home / "zoo.cfg").write_text(
        f"dataDir={home}/data\nclientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n"
    )
    command = ["java", "-cp", "/etc/zookeeper/conf:/usr/share/java/*"]
    command += ["org.apache.zookeeper.server.ZooKeeperServerMain", str(home / "zoo.cfg")]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=home, stdout=log, stderr=log)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


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
            write_project(home / "project")
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
