"""Starting, stopping and looking after the sandbox's processes: pid files, logs, health, and words for each trouble.

Each part is its own process in its own session, so that a Ctrl-C at the terminal ends them through `stop`, cleanly:
MiniStack keeps DynamoDB's tables only over a clean stop.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from kumo_sandbox.errors import SandboxError
from kumo_sandbox.ministack import ministack_command
from kumo_sandbox.settings import BUCKET, Settings

# Started in this order: each needs those before it. Stopped in the reverse.
PROCESSES = ("ministack", "aws", "snowflake", "kumo")
HEALTH = {
    "ministack": "/_ministack/health",
    "aws": "/_sandbox/health",
    "snowflake": "/_sandbox/health",
    "kumo": "/_sandbox/health",
}
START_SECONDS = 60.0
STOP_SECONDS = 30.0


@dataclass(frozen=True)
class PartStatus:
    """One process: `running` (answers), `dead` (was started, is gone), `deaf` (alive, does not answer), `stopped`."""

    part: str
    state: str
    pid: int | None
    port: int


def command_of(part: str, settings: Settings) -> list[str]:
    python = [sys.executable, "-m"]
    return {
        "ministack": lambda: ministack_command(settings.home),
        "aws": lambda: [*python, "kumo_sandbox.aws.proxy"],
        "snowflake": lambda: [*python, "kumo_sandbox.snowflake.server"],
        "kumo": lambda: [
            *python, "uvicorn", "--factory", "kumo_sandbox.kumo.app:create_app", "--host", "127.0.0.1",
            "--port", str(settings.ports["kumo"]), "--log-level", "warning",
        ],
    }[part]()  # fmt: skip


def start(settings: Settings, say: Callable[[str], None] = lambda words: None) -> None:
    """Start every part that is not running, and wait until all answer. Safe to repeat.

    Raises SandboxError that tells a taken port, a part that died, and one that does not answer apart.
    """
    for folder in (settings.logs, settings.state / "ministack", settings.state / "s3", settings.home / "pids"):
        folder.mkdir(parents=True, exist_ok=True)
    for part in PROCESSES:
        found = status_of(part, settings)
        if found.state == "running":
            continue
        if found.state == "deaf":
            # A half-start: the process of an earlier start lives and does not answer. End it and begin again.
            say(f"{part} (pid {found.pid}) does not answer; starting it again")
            _end(part, settings)
        _port_is_free(part, settings)
        say(f"starting {part}")
        _spawn(part, settings)
    for part in PROCESSES:
        _wait(part, settings)
    _make_bucket(settings)
    write_environment(settings)


def stop(settings: Settings, say: Callable[[str], None] = lambda words: None) -> None:
    """Stop every part cleanly, the last started first. Only processes this sandbox started are ended."""
    for part in reversed(PROCESSES):
        if _pid(part, settings) is not None:
            say(f"stopping {part}")
            _end(part, settings)


def reset(settings: Settings, say: Callable[[str], None] = lambda words: None) -> None:
    """Stop, and wipe everything under the home: state, logs, credentials."""
    stop(settings, say)
    shutil.rmtree(settings.home, ignore_errors=True)


def status(settings: Settings) -> list[PartStatus]:
    return [status_of(part, settings) for part in PROCESSES]


def status_of(part: str, settings: Settings) -> PartStatus:
    pid = _pid(part, settings)
    port = settings.ports[part]
    if pid is None:
        return PartStatus(part, "stopped", None, port)
    if not _alive(pid):
        return PartStatus(part, "dead", pid, port)
    return PartStatus(part, "running" if _healthy(part, settings) else "deaf", pid, port)


def write_environment(settings: Settings) -> Path:
    """`<home>/env`: KEY=VALUE lines, for shells and tools. It holds secrets of this sandbox only."""
    path = settings.home / "env"
    path.write_text("".join(f"{name}={value}\n" for name, value in settings.environment().items()))
    path.chmod(0o600)
    return path


def _spawn(part: str, settings: Settings) -> None:
    environment = {**os.environ, **settings.part_environment(part)}
    with (settings.logs / f"{part}.log").open("ab") as log:
        process = subprocess.Popen(
            command_of(part, settings),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=settings.home,
            start_new_session=True,
        )
    (settings.home / "pids" / f"{part}.pid").write_text(f"{process.pid} {_started(process.pid)}")


def _wait(part: str, settings: Settings) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        found = status_of(part, settings)
        if found.state == "running":
            return
        if found.state == "dead":
            raise SandboxError(
                "start the sandbox's part",
                to=part,
                found=f"it died: {_last_words(part, settings)}",
                next=f"read {settings.logs / (part + '.log')}; if its state is damaged, kumo-sandbox reset",
            )
        time.sleep(0.05)
    raise SandboxError(
        "start the sandbox's part",
        to=part,
        found=f"it lives but does not answer on port {settings.ports[part]} after {START_SECONDS:.0f} s",
        next=f"read {settings.logs / (part + '.log')}",
    )


def _port_is_free(part: str, settings: Settings) -> None:
    port = settings.ports[part]
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise SandboxError(
                "start the sandbox's part",
                to=part,
                found=f"port {port} is taken by another program",
                next=f"end that program, or choose ports: kumo-sandbox reset, then KUMO_SANDBOX_PORT_{part.upper()}=... "
                "or kumo-sandbox start --ports auto",
            ) from None


def _end(part: str, settings: Settings) -> None:
    pid = _pid(part, settings)
    path = settings.home / "pids" / f"{part}.pid"
    if pid is not None and _alive(pid):
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while _alive(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        if _alive(pid):
            os.kill(pid, signal.SIGKILL)
            while _alive(pid):
                time.sleep(0.02)
    path.unlink(missing_ok=True)


def _pid(part: str, settings: Settings) -> int | None:
    """The pid we started for this part; None when there is none, or the number now belongs to another process."""
    path = settings.home / "pids" / f"{part}.pid"
    try:
        number, started = path.read_text().split()
    except (OSError, ValueError):
        return None
    pid = int(number)
    now = _started(pid)
    return pid if now in (started, "") else None


def _started(pid: int) -> str:
    """The process's start time in ticks since boot: with the pid it names a process for good. "" when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _alive(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):  # started by an earlier command: init reaps it
        os.waitpid(pid, os.WNOHANG)
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z"


def _healthy(part: str, settings: Settings) -> bool:
    try:
        answer = httpx.get(settings.url[part] + HEALTH[part], timeout=2.0, trust_env=False)
    except httpx.HTTPError:
        return False
    return answer.status_code < 400


def _last_words(part: str, settings: Settings) -> str:
    try:
        lines = (settings.logs / f"{part}.log").read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1][:300] if lines else "it left no words"


def _make_bucket(settings: Settings) -> None:
    import boto3

    environment = settings.environment()
    client = boto3.session.Session(
        aws_access_key_id=settings.access_key,
        aws_secret_access_key=settings.secret_key,
        region_name=environment["AWS_REGION"],
    ).client("s3", endpoint_url=settings.url["aws"])
    names = [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]
    if BUCKET not in names:
        client.create_bucket(Bucket=BUCKET)
