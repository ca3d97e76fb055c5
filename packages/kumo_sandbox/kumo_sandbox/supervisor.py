"""Starting, stopping and looking after the sandbox as a whole: order, health, all or nothing, and words for each trouble.

Each part is its own process in its own session (`processes`), so that a Ctrl-C at the terminal ends them through
`stop`, cleanly: MiniStack keeps DynamoDB's tables only over a clean stop.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from kumo_sandbox.errors import SandboxError
from kumo_sandbox.ministack import ministack_command
from kumo_sandbox.processes import PartProcess, holder, port_is_free
from kumo_sandbox.settings import BUCKET, Settings, write_whole

# Started in this order: each needs those before it. Stopped in the reverse.
PROCESSES = ("ministack", "aws", "snowflake", "kumo")
HEALTH = {"ministack": "/_ministack/health"}
START_SECONDS = 180.0
# A busy part may answer late on a busy machine: only one that stays deaf this long is ended and started again.
DEAF_SECONDS = 10.0
PORT_SECONDS = 3.0
# MiniStack writes every table as JSON when it ends; a kill in the middle would lose them.
STOP_SECONDS = {"ministack": 180.0}
# Everything the sandbox and its demo write into a home; `reset` removes these and nothing else.
CONTENTS = (
    "state", "logs", "pids", "env", "settings.json", "start.lock", "demo.lock", "catalogue.json", "reader", "projects",
    "dagster", "workspace.yaml",
)  # fmt: skip

Say = Callable[[str], None]


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


def start(settings: Settings, say: Say = lambda words: None) -> list[str]:
    """Start every part that is not running, and wait until all answer. Safe to repeat, also at the same time.

    Returns what a person should know of how the parts were found. Raises SandboxError that tells a taken port, a part
    that died and one that does not answer apart; what this call had started is then ended again.
    """
    with _disk(settings.home):
        for folder in (settings.logs, settings.state / "ministack", settings.state / "s3", settings.home / "pids"):
            folder.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(settings.home):
        notices = _clear_the_way(settings, say)
        missing = [part for part in PROCESSES if not PartProcess(settings.home, part).alive]
        _demand_ports(missing, settings)
        try:
            with _disk(settings.home):
                for part in missing:
                    say(f"starting {part}")
                    PartProcess(settings.home, part).spawn(
                        command_of(part, settings), {**os.environ, **settings.part_environment(part)}
                    )
            for part in PROCESSES:
                _wait(part, settings)
            _make_bucket(settings)
            write_environment(settings)
        except BaseException:
            for part in reversed(missing):
                PartProcess(settings.home, part).end(STOP_SECONDS.get(part, 30.0))
            raise
    return notices


def stop(settings: Settings, say: Say = lambda words: None) -> None:
    """Stop every part cleanly, the last started first. Only processes this sandbox started are ended.

    Raises SandboxError, after all have ended, when one did not end cleanly and so lost something.
    """
    lost = []
    for part in reversed(PROCESSES):
        process = PartProcess(settings.home, part)
        if process.pid is None:
            continue
        say(f"stopping {part}")
        size = process.log_size()
        patience = STOP_SECONDS.get(part, 30.0)
        if not process.end(patience):
            lost.append(f"{part} did not end within {patience:.0f} s and was killed")
        # MiniStack logs that a table's file could not be written, and ends as if all were well.
        lost += [found.strip() for found in re.findall("failed to save.*", process.said_since(size))]
    if lost:
        raise SandboxError(
            "stop the sandbox cleanly in",
            to=str(settings.home),
            found="; ".join(lost),
            next="what was written since the last clean stop may be gone; free some disk, and start again",
        )


def reset(settings: Settings, say: Say = lambda words: None) -> None:
    """Stop, and wipe the sandbox's state, logs and credentials; other files of the folder stay."""
    try:
        stop(settings, say)
    except SandboxError as error:
        say(str(error))  # what it lost was to be wiped
    for name in CONTENTS:
        path = settings.home / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    if settings.home.is_dir() and not any(settings.home.iterdir()):
        settings.home.rmdir()


def status(settings: Settings) -> list[PartStatus]:
    return [status_of(part, settings) for part in PROCESSES]


def status_of(part: str, settings: Settings) -> PartStatus:
    process = PartProcess(settings.home, part)
    pid, port = process.pid, settings.ports[part]
    if pid is None:
        return PartStatus(part, "stopped", None, port)
    if not process.alive:
        return PartStatus(part, "dead", pid, port)
    return PartStatus(part, "running" if _healthy(part, settings) else "deaf", pid, port)


def advice(parts: list[PartStatus], settings: Settings) -> str:
    """One sentence on the whole: running, stopped, or half started, and what to type."""
    by_state: dict[str, list[str]] = {}
    for found in parts:
        by_state.setdefault(found.state, []).append(found.part)
    if set(by_state) == {"running"}:
        return "All of it runs."
    if set(by_state) == {"stopped"}:
        return "Stopped; state is kept. Start it: kumo-sandbox start"
    words = []
    for state, meaning in (("dead", "died"), ("deaf", "does not answer"), ("stopped", "was not started")):
        words += [f"{part} {meaning} (see {settings.logs / part}.log)" for part in by_state.get(state, [])]
    return f"Half started: {'; '.join(words)}. `kumo-sandbox start` starts what is missing."


def write_environment(settings: Settings) -> Path:
    """`<home>/env`: KEY=VALUE lines, for shells and tools. It holds secrets of this sandbox only."""
    path = settings.home / "env"
    with _disk(settings.home):
        write_whole(path, "".join(f"{name}={value}\n" for name, value in settings.environment().items()))
    return path


def _clear_the_way(settings: Settings, say: Say) -> list[str]:
    """End what an earlier start left half-done; what is worth a person's knowing of parts that died."""
    notices = []
    for part in PROCESSES:
        process = PartProcess(settings.home, part)
        deadline = time.monotonic() + DEAF_SECONDS
        while (found := status_of(part, settings)).state == "deaf" and time.monotonic() < deadline:
            time.sleep(0.2)
        if found.state == "deaf":
            say(f"{part} (pid {found.pid}) does not answer; starting it again")
            notices.append(f"{part} (pid {found.pid}) lived but did not answer, and was started again.")
            process.end(STOP_SECONDS.get(part, 30.0))
        if found.state == "dead":
            words = f"{part} (pid {found.pid}) had died, and was started again; its last words: {process.last_words()}"
            if part == "ministack":
                words += ". DynamoDB's tables of since the last clean stop are gone with it; S3 is whole"
            notices.append(words)
    return notices


def _demand_ports(parts: list[str], settings: Settings) -> None:
    """Before anything is started, so that a taken port leaves no half of a sandbox behind.

    A process that was killed a moment ago may hold its port until its last thread is gone.
    """
    deadline = time.monotonic() + PORT_SECONDS
    while taken := [(part, settings.ports[part]) for part in parts if not port_is_free(settings.ports[part])]:
        if time.monotonic() < deadline:
            time.sleep(0.1)
            continue
        raise SandboxError(
            "start the sandbox's part",
            to=", ".join(part for part, _ in taken),
            found="; ".join(f"port {port} is taken by {holder(port)}" for _, port in taken),
            next="end that program (another sandbox: kumo-sandbox stop --home FOLDER), or choose other ports: "
            f"kumo-sandbox reset, then kumo-sandbox start --ports auto or KUMO_SANDBOX_PORT_{taken[0][0].upper()}=...",
        )


def _wait(part: str, settings: Settings) -> None:
    process = PartProcess(settings.home, part)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        found = status_of(part, settings)
        if found.state == "running":
            return
        if found.state in ("dead", "stopped"):
            raise SandboxError(
                "start the sandbox's part",
                to=part,
                found=f"it died: {process.last_words()}",
                next=f"read {process.log}; if its state is damaged, kumo-sandbox reset",
            )
        time.sleep(0.05)
    raise SandboxError(
        "start the sandbox's part",
        to=part,
        found=f"it lives but does not answer on port {settings.ports[part]} after {START_SECONDS:.0f} s",
        next=f"read {process.log}",
    )


def _healthy(part: str, settings: Settings) -> bool:
    try:
        # No TLS here, and httpx would read the machine's certificates for each call: 50 ms.
        answer = httpx.get(
            settings.url[part] + HEALTH.get(part, "/_sandbox/health"), timeout=2.0, trust_env=False, verify=False
        )
    except httpx.HTTPError:
        return False
    return answer.status_code < 400


@contextmanager
def _one_at_a_time(home: Path) -> Iterator[None]:
    """Two starts of one home would each take the other's young processes for deaf ones."""
    with (home / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _disk(home: Path) -> Iterator[None]:
    """A full disk or a folder without leave to write, in words."""
    try:
        yield
    except OSError as error:
        raise SandboxError(
            "write the sandbox's files under",
            to=str(home),
            found=f"{error.strerror or error}{f' ({error.filename})' if error.filename else ''}",
            next="free some disk, or choose another folder with KUMO_SANDBOX_HOME",
        ) from error


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
