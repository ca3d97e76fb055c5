"""The sandbox as a whole: what survives a stop and a kill, what is said of each trouble, what reset takes away."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import psutil
import pytest
from kumo_sandbox import supervisor
from kumo_sandbox.errors import SandboxError
from kumo_sandbox.processes import PartProcess
from kumo_sandbox.settings import BUCKET, make
from kumo_sandbox.snowflake.client import connect
from kumo_sandbox.testing import SandboxHandle

pytestmark = pytest.mark.sandbox


def states(handle: SandboxHandle) -> dict[str, str]:
    return {found.part: found.state for found in supervisor.status(handle.settings)}


def pids(handle: SandboxHandle) -> dict[str, int | None]:
    return {found.part: found.pid for found in supervisor.status(handle.settings)}


def sql(handle: SandboxHandle, text: str) -> list[tuple[object, ...]]:
    connection = connect(handle.env)
    try:
        found: list[tuple[object, ...]] = connection.cursor().execute(text).fetchall()
        return found
    finally:
        connection.close()


def start_import(name: str) -> str:
    answer = (
        boto3.Session()
        .client("dynamodb")
        .import_table(
            ClientToken=name,
            S3BucketSource={"S3Bucket": BUCKET, "S3KeyPrefix": f"{name}/"},
            InputFormat="CSV",
            TableCreationParameters={
                "TableName": f"{name}-imported",
                "AttributeDefinitions": [{"AttributeName": "e", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "e", "KeyType": "HASH"}],
                "BillingMode": "PAY_PER_REQUEST",
            },
        )["ImportTableDescription"]
    )
    return str(answer["ImportArn"])


# ---- state


def test_state_survives_stop_and_start(own: SandboxHandle) -> None:
    name = f"kept-{uuid.uuid4().hex[:8]}"
    boto3.Session().client("s3").put_object(Bucket=BUCKET, Key=name, Body=b"words")
    tag = boto3.Session().client("s3").head_object(Bucket=BUCKET, Key=name)["ETag"]
    dynamodb = boto3.Session().client("dynamodb")
    dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "e", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "e", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        DeletionProtectionEnabled=True,
        Tags=[{"Key": "kumo_assets:query", "Value": "q"}],
    )
    dynamodb.put_item(TableName=name, Item={"e": {"S": "1"}, "p": {"S": "[]"}})
    sql(own, f'CREATE TABLE KUMO.RAW."{name}" AS SELECT 42 AS A')
    boto3.Session().client("s3").put_object(Bucket=BUCKET, Key=f"{name}/0.csv", Body=b'"e","p"\n"1","a"\n')
    arn = start_import(name)
    own.stop()
    assert set(states(own).values()) == {"stopped"}
    own.start()
    assert boto3.Session().client("s3").get_object(Bucket=BUCKET, Key=name)["Body"].read() == b"words"
    assert boto3.Session().client("s3").head_object(Bucket=BUCKET, Key=name)["ETag"] == tag
    table = dynamodb.describe_table(TableName=name)["Table"]
    assert (table["TableStatus"], table["DeletionProtectionEnabled"]) == ("ACTIVE", True)
    assert dynamodb.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"] == [
        {"Key": "kumo_assets:query", "Value": "q"}
    ]
    assert dynamodb.get_item(TableName=name, Key={"e": {"S": "1"}})["Item"]["p"] == {"S": "[]"}
    assert sql(own, f'SELECT A FROM KUMO.RAW."{name}"') == [(42,)]
    # And a client token: the same import is answered, not a second one started.
    assert start_import(name) == arn


def test_rows_and_objects_survive_a_kill_and_the_loss_of_the_rest_is_said(own: SandboxHandle) -> None:
    name = f"killed_{uuid.uuid4().hex[:8]}"
    sql(own, f"CREATE TABLE KUMO.RAW.{name} AS SELECT 7 AS A")
    boto3.Session().client("s3").put_object(Bucket=BUCKET, Key=name, Body=b"x")
    before = pids(own)
    for part in ("snowflake", "ministack"):
        own.kill(part)
        psutil.wait_procs([psutil.Process(before[part])] if psutil.pid_exists(before[part] or 0) else [], timeout=10)
    assert {part for part, state in states(own).items() if state == "dead"} == {"snowflake", "ministack"}
    words = supervisor.advice(supervisor.status(own.settings), own.settings)
    assert words.startswith("Half started: ministack died")
    notices = supervisor.start(own.settings)
    assert "DynamoDB's tables of since the last clean stop are gone" in notices[0]
    assert "snowflake" in notices[1]
    assert sql(own, f"SELECT A FROM KUMO.RAW.{name}") == [(7,)]
    assert boto3.Session().client("s3").get_object(Bucket=BUCKET, Key=name)["Body"].read() == b"x"
    # What lived goes on living.
    assert pids(own)["kumo"] == before["kumo"]
    assert pids(own)["aws"] == before["aws"]


# ---- who may reach it


def test_every_part_listens_on_the_loopback_interface_alone(own: SandboxHandle) -> None:
    for part, pid in pids(own).items():
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        listening = [
            connection.laddr
            for process in family
            for connection in process.net_connections(kind="inet")
            if connection.status == psutil.CONN_LISTEN or connection.type == socket.SOCK_DGRAM
        ]
        assert {address.ip for address in listening} == {"127.0.0.1"}, part
        assert {address.port for address in listening} == {own.settings.ports[part]}, part


def test_secrets_are_for_their_owner_and_no_log(own: SandboxHandle) -> None:
    settings = own.settings
    for name in ("settings.json", "env"):
        assert (settings.home / name).stat().st_mode & 0o077 == 0
    logs = "".join(file.read_text(errors="replace") for file in settings.logs.iterdir())
    for secret in (settings.secret_key, settings.snowflake_password, settings.kumo_key):
        assert secret not in logs
        assert secret not in repr(settings)


# ---- trouble, told apart


def test_start_again_changes_nothing(own: SandboxHandle) -> None:
    before = pids(own)
    assert supervisor.start(own.settings) == []
    assert pids(own) == before


def test_two_starts_at_once_make_one_sandbox(own: SandboxHandle) -> None:
    own.stop()
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(supervisor.start, [own.settings] * 2)) == [[], []]
    assert set(states(own).values()) == {"running"}
    servers = [
        process
        for process in psutil.process_iter(["cmdline", "cwd"])
        if process.info["cwd"] == str(own.settings.home) and "snowflake" in " ".join(process.info["cmdline"] or [])
    ]
    assert len(servers) == 1


def test_taken_port_names_its_holder_and_nothing_is_started(own: SandboxHandle) -> None:
    own.stop()
    port = own.settings.ports["snowflake"]
    script = "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); print('on', flush=True); input()"
    command = [sys.executable, "-c", script, str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(SandboxError, match=f"port {port} is taken by pid {other.pid}") as refused:
            supervisor.start(own.settings)
        other.kill()
    assert "--ports auto" in str(refused.value)
    assert set(states(own).values()) == {"stopped"}


def test_part_that_dies_at_start_is_told_with_its_last_words_and_the_rest_is_ended(
    own: SandboxHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.stop()
    state = own.settings.state / "snowflake" / "KUMO.db"
    whole = state.read_bytes()
    state.write_bytes(b"not a database")
    try:
        with pytest.raises(SandboxError, match="snowflake: it died: ") as died:
            supervisor.start(own.settings)
        assert "kumo-sandbox reset" in str(died.value)
        assert set(states(own).values()) == {"stopped"}
    finally:
        state.write_bytes(whole)


def test_part_that_lives_and_does_not_answer_is_started_again(
    own: SandboxHandle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "DEAF_SECONDS", 0.5)
    monkeypatch.setattr(supervisor, "STOP_SECONDS", dict.fromkeys(supervisor.PROCESSES, 1.0))
    before = pids(own)
    os.kill(before["kumo"] or 0, signal.SIGSTOP)
    found = supervisor.status(own.settings)
    assert "kumo does not answer" in supervisor.advice(found, own.settings)
    (notice,) = supervisor.start(own.settings)
    assert notice == f"kumo (pid {before['kumo']}) lived but did not answer, and was started again."
    assert pids(own)["kumo"] != before["kumo"]
    assert pids(own)["aws"] == before["aws"]


def test_pid_that_belongs_to_another_program_now_is_never_signalled(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as stranger:
        (tmp_path / "pids").mkdir()
        (tmp_path / "pids" / "kumo.pid").write_text(f"{stranger.pid} 12345")
        settings = make(tmp_path, automatic_ports=True)
        supervisor.stop(settings)
        assert stranger.poll() is None
        assert PartProcess(tmp_path, "kumo").pid is None
        stranger.kill()


def test_damaged_settings_are_named(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"ports": {')
    with pytest.raises(SandboxError, match=r"settings\.json: JSONDecodeError"):
        make(tmp_path)


def test_tables_that_cannot_be_kept_at_the_stop_are_said(own: SandboxHandle) -> None:
    dynamodb = boto3.Session().client("dynamodb")
    dynamodb.list_tables()
    file = own.settings.state / "ministack" / "dynamodb.json"
    file.unlink(missing_ok=True)
    file.mkdir()  # what MiniStack writes cannot be put in its place
    try:
        with pytest.raises(SandboxError, match="failed to save dynamodb"):
            own.stop()
        assert set(states(own).values()) == {"stopped"}
    finally:
        file.rmdir()
        own.start()


def test_folder_without_room_is_said_in_words(tmp_path: Path) -> None:
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "x", tmp_path]).returncode:
        pytest.skip("needs leave to mount a small disk")
    try:
        (tmp_path / "filler").write_bytes(b"x" * 60_000)
        with pytest.raises(SandboxError, match="No space left on device"):
            supervisor.start(make(tmp_path / "home", automatic_ports=True))
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_discarded_sandbox_leaves_no_process(own: SandboxHandle) -> None:
    home = str(own.settings.home)
    own.discard()
    assert set(states(own).values()) == {"stopped"}
    assert [process for process in psutil.process_iter(["cwd"]) if process.info["cwd"] == home] == []


# ---- reset


def test_reset_wipes_the_sandbox_and_nothing_else(tmp_path: Path) -> None:
    home = tmp_path / "home"
    settings = make(home, automatic_ports=True)
    (home / "state" / "s3").mkdir(parents=True)
    (home / "thesis.txt").write_text("mine")
    supervisor.reset(settings)
    assert [path.name for path in home.iterdir()] == ["thesis.txt"]
    (home / "thesis.txt").unlink()
    again = make(home, automatic_ports=True)
    assert again.secret_key != settings.secret_key
    supervisor.reset(again)
    assert not home.exists()
