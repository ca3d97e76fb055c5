"""Which process executes a run, and whether it still lives: written into the run's tags, read by whoever looks later.

Only processes that a person starts from a terminal are tagged. Workers that Dagster launches are its own to watch. What
is done about a run whose process is gone is in `kumo_assets.automation.dead_runs`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

# `<pid>@<host>`, for a person too.
PROCESS_TAG = "kumo_assets/process"
# `<boot>/<pid namespace>/<start>`: a process number is used again, after a reboot and in every container.
STARTED_TAG = "kumo_assets/process_started"
# When the process last said that it lives, by its own clock (UTC).
HEARD_TAG = "kumo_assets/heard_at"

BEAT_SECONDS = 60.0
# AWS refuses requests of a machine whose clock is more than 15 minutes off ("Signature Version 4: troubleshooting"), so
# two machines that can build are at most 30 minutes apart; the rest is for a process that was slow to say that it lives.
SILENT_AFTER = timedelta(minutes=45)

# A process number on any system we run on is a C int.
MOST_DIGITS = 9

State = Literal["alive", "dead", "unknown"]
_PROC = Path("/proc")


def process_tags(now: datetime | None = None) -> dict[str, str]:
    """The tags of a run that this process executes."""
    tags = {PROCESS_TAG: f"{os.getpid()}@{socket.gethostname()}", HEARD_TAG: heard(now)}
    start, place = _start_of(os.getpid()), _place()
    return tags | ({STARTED_TAG: f"{place}/{start}"} if start and place else {})


def heard(now: datetime | None = None) -> str:
    """The value of HEARD_TAG for a process that lives now."""
    return (now or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds")


def state_of(tags: Mapping[str, str], created: datetime, now: datetime | None = None) -> State:
    """Whether the process that these tags of a run name still lives. `created` is when the run was.

    On the machine that started it, and in the same container, the process table says so at once. Elsewhere a process is
    dead once it has been silent for SILENT_AFTER. "unknown" for a run without our tags, and for one of version 0.1, which
    said nothing, on another machine.
    """
    pid, _, host = tags.get(PROCESS_TAG, "").partition("@")
    if not (pid.isascii() and pid.isdigit() and len(pid) <= MOST_DIGITS) or not host:
        return "unknown"
    place, _, start = tags.get(STARTED_TAG, "").rpartition("/")
    here = host == socket.gethostname()
    if here and place and place == _place():
        return "alive" if _start_of(int(pid)) == start else "dead"
    if here and not place:
        return "alive" if _lives(int(pid), created) else "dead"
    try:
        silent = (now or datetime.now(UTC)) - datetime.fromisoformat(tags[HEARD_TAG])
    except (KeyError, ValueError, TypeError):
        return "unknown"
    return "dead" if silent > SILENT_AFTER else "alive"


def _lives(pid: int, created: datetime) -> bool:
    """True for a process that could have made a run at `created`: the number may belong to a younger one by now."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    if not _PROC.is_dir():
        return True
    start = _start_of(pid)
    if not start:
        return False
    began = datetime.fromtimestamp(_booted() + int(start) / os.sysconf("SC_CLK_TCK"), UTC)
    return began <= created + timedelta(seconds=5)


def _start_of(pid: int) -> str:
    """When a process began, in clock ticks since the boot; "" when there is none, or it is a zombie (proc(5))."""
    try:
        # The second field, the command's name in parentheses, may hold anything.
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in ("Z", "X") else fields[19]


def _place() -> str:
    """The boot of this machine and the namespace of this process's number; "" where the kernel does not say."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _booted() -> float:
    """When this machine was started, seconds since 1970."""
    lines = (_PROC / "stat").read_text().splitlines()
    return next((float(line.split()[1]) for line in lines if line.startswith("btime ")), 0.0)
