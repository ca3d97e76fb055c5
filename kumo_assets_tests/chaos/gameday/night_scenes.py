"""Scenes of a night's smaller accidents: a `materialize` that is killed, a code server that is away while a build is queued,
and a ledger that somebody damaged."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import boto3
import dagster as dg
import httpx
import yaml
from kumo_sandbox.demo.commands import program
from kumo_sandbox.demo.online import pointer_address
from kumo_sandbox.dev import make_dagster_storage
from kumo_sandbox.programs import Group, Program
from kumo_sandbox.settings import free_port
from rich.console import Console

from kumo_assets_tests.chaos.gameday.chain_scenes import QUERY
from kumo_assets_tests.chaos.gameday.stage import ROOT, Stage
from kumo_assets_tests.chaos.gameday.timeline import Timeline, wait_until

KILLED, QUEUED = "2017-11-27", "2017-11-26"
AWAY_SECONDS = 15.0
BUILT_SECONDS = 240.0


def night_scenes(stage: Stage, timeline: Timeline) -> None:
    with timeline.scene("e a killed materialize"):
        _killed_materialize(stage, timeline)
    with timeline.scene("f the code server is away"):
        _code_server_away(stage, timeline)
    with timeline.scene("g a damaged ledger"), timeline.readers(QUERY, pointer_address(stage.sandbox.env, QUERY)):
        _damaged_ledger(stage, timeline)


def _killed_materialize(stage: Stage, timeline: Timeline) -> None:
    stage.sandbox.kumo_faults({"kind": "long_run", "query": QUERY, "with": {"seconds": 5}})
    commands = stage.commands()
    command = [program("kumo-assets"), "materialize", QUERY, "--partition", KILLED]
    process = subprocess.Popen(
        command,
        cwd=commands.folder,
        env=dict(commands.environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    begun = wait_until(lambda: bool(_jobs(stage, KILLED)) or process.poll() is not None, BUILT_SECONDS)
    process.kill()
    process.wait()
    timeline.demand(begun and len(_jobs(stage, KILLED)) == 1, "SIGKILL to it while Kumo computes", "one job is running")
    again = stage.type("materialize", QUERY, "--partition", KILLED)
    document = again.outcome.document
    timeline.demand(
        again.status == 0 and bool(document.get("resumed")) and len(_jobs(stage, KILLED)) == 1,
        f"kumo-assets materialize {QUERY} --partition {KILLED}, typed again",
        f"{again.words}; Kumo's jobs for that day: {len(_jobs(stage, KILLED))}",
    )
    with dg.DagsterInstance.from_config(str(commands.environment["DAGSTER_HOME"])) as instance:
        left = [run.run_id for run in instance.get_runs() if not run.is_finished]
    timeline.demand(not left, "Dagster's runs are looked through", f"runs that never end: {len(left)}")


def _code_server_away(stage: Stage, timeline: Timeline) -> None:
    home = stage.home / "deployed"
    environment = _deployment(home, stage.commands().environment)
    port = free_port()
    (home / "workspace.yaml").write_text(
        yaml.safe_dump({"load_from": [{"grpc_server": {"host": "127.0.0.1", "port": port, "location_name": "kumo"}}]})
    )
    workspace = ["--workspace", str(home / "workspace.yaml")]
    server = Program(
        "code",
        [
            program("dagster"),
            "code-server",
            "start",
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
            "-m",
            "kumo_assets.definitions",
        ],
        "blue",
        f"tcp://127.0.0.1:{port}",
    )
    with contextlib.ExitStack() as stack, (home / "log").open("w") as log:
        console = Console(file=log, width=200)
        first, daemon, second = (Group(console, environment, ROOT) for _ in range(3))
        for group in (first, daemon, second):
            stack.callback(group.end)
        first.run([server])
        tags = json.dumps({"dagster/partition": QUEUED})
        launched = subprocess.run(
            [program("dagster"), "job", "launch", *workspace, "-j", f"{QUERY}_daily", "--tags", tags],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=180,
        )
        timeline.demand(launched.returncode == 0, f"a build of {QUEUED} is queued", _queue(home))
        first.end()
        timeline.add("the code server is stopped, and the daemon started", "nothing can be launched")
        daemon.start(Program("daemon", [program("dagster-daemon"), "run", *workspace], "green"))
        time.sleep(AWAY_SECONDS)
        timeline.demand("FAILURE" not in _queue(home), f"after {AWAY_SECONDS:.0f} s without it", _queue(home))
        second.run([server])
        timeline.add("the code server is started again", _queue(home))
        wait_until(lambda: _queue(home) in ("SUCCESS", "FAILURE", "CANCELED"), BUILT_SECONDS)
        listed = stage.type("releases", QUERY).outcome.document
        built = [item["state"] for item in listed if item["partition"] == QUEUED]
        timeline.demand(
            _queue(home) == "SUCCESS" and built == ["candidate"],
            "the queued build is waited for",
            f"its run is {_queue(home)}; releases of {QUEUED}: {', '.join(built) or 'none'}",
        )


def _damaged_ledger(stage: Stage, timeline: Timeline) -> None:
    s3, bucket = boto3.client("s3"), os.environ["KUMO_ASSETS_BUCKET"]
    prefix = f"{os.environ['KUMO_ASSETS_ENV']}/{QUERY}/ledger/"
    key = max(item["Key"] for item in s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"])
    whole = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    s3.put_object(Bucket=bucket, Key=key, Body=b"{not JSON")
    s3.put_object(Bucket=bucket, Key=f"{prefix}notes.txt", Body=b"who did this?")
    timeline.add("the newest entry of the ledger is damaged, and a note is put beside it", key.removeprefix(prefix))
    page = stage.type("status", QUERY)
    problems = " ".join(page.outcome.document["problems"])
    timeline.demand(
        key.rpartition("/")[2] in problems and "notes.txt" in problems, f"kumo-assets status {QUERY}", problems
    )
    planned = stage.type("retire", QUERY, "--dry-run")
    timeline.demand(
        planned.status == 0 and not planned.outcome.document["going"],
        f"kumo-assets retire {QUERY} --dry-run",
        f"exit {planned.status}: {len(planned.outcome.document['going'])} releases would go",
    )
    for arguments in (("hold", QUERY, "--reason", "game day: who did this?", "--by", "ann"), ("history", QUERY)):
        done = stage.type(*arguments)
        timeline.demand(done.status == 0, f"kumo-assets {arguments[0]} {QUERY}", f"exit {done.status}")
    s3.put_object(Bucket=bucket, Key=key, Body=whole)
    s3.delete_object(Bucket=bucket, Key=f"{prefix}notes.txt")
    after = " ".join(stage.type("status", QUERY).outcome.document["problems"])
    timeline.demand("ledger" not in after, "the entry is restored, the note taken away", after or "no problem is left")


def _jobs(stage: Stage, day: str) -> list[str]:
    """Kumo's prediction jobs for a day of the drill's query."""
    book = httpx.get(stage.sandbox.url["kumo"] + "/_sandbox/jobs", trust_env=False).json()
    jobs = book["jobs"] if isinstance(book, dict) else book
    wanted = {"kumo_assets.query": QUERY, "kumo_assets.partition": day}
    return [job["job_id"] for job in jobs if wanted.items() <= job.get("tags", {}).items()]


def _deployment(home: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a Dagster instance with the shipped dagster.yaml, its storage in `home` and retries every second."""
    home.mkdir()
    document = yaml.safe_load((ROOT / "dagster.yaml").read_text().replace(".dagster/", f"{home}/.dagster/"))
    document["run_queue"]["user_code_failure_retry_delay"] = 1
    (home / "dagster.yaml").write_text(yaml.safe_dump(document))
    made = {**environment, "DAGSTER_HOME": str(home)}
    make_dagster_storage(made, home)
    return made


def _queue(home: Path) -> str:
    """The state of the deployment's one run."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        return ", ".join(run.status.value for run in instance.get_runs()) or "no run"
