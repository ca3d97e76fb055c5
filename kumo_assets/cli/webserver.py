"""Whether a Dagster page on this machine is open to the network: it has no login, and can promote, roll back and retire.

`doctor` shows what is found here as a warning. How to put a login in front is in docs/operations.md.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from pathlib import Path

PROC = Path("/proc")
# Programs that serve the page, by their own name or as an argument of Python's.
SERVERS = ("dagster-webserver", "dagster_webserver")
DEVELOPERS = ("dagster", "dg")


def open_pages(commands: Iterable[Sequence[str]]) -> list[str]:
    """The commands among these that serve the page on other addresses than loopback, and not read-only."""
    return [" ".join(command) for command in commands if _serves(command) and _is_open(command)]


def running(proc: Path = PROC) -> list[list[str]]:
    """The command line of every process that this user may see; none where there is no /proc."""
    found = []
    for entry in proc.glob("[0-9]*/cmdline"):
        try:
            found.append([part for part in entry.read_bytes().decode("utf-8", "replace").split("\0") if part])
        except OSError:
            continue  # it has ended, or is somebody else's
    return found


def warning(pages: Sequence[str]) -> str:
    """What to do about them; "" when there are none."""
    if not pages:
        return ""
    return (
        f"warning: without a login, anybody who reaches it can roll back and retire: {'; '.join(pages)}. Serve it on "
        "127.0.0.1 behind a proxy that asks for a login (deploy/dagster/nginx.conf), or with --read-only"
    )


def _serves(command: Sequence[str]) -> bool:
    names = [Path(part).name for part in command[:4]]
    developing = any(name in DEVELOPERS and "dev" in names[place + 1 : place + 2] for place, name in enumerate(names))
    return developing or any(name.removesuffix(".py") in SERVERS for name in names)


def _is_open(command: Sequence[str]) -> bool:
    if "--read-only" in command:
        return False
    host = "127.0.0.1"  # Dagster's default
    for place, part in enumerate(command):
        name, _, value = part.partition("=")
        if name in ("-h", "--host"):
            host = value or (command[place + 1] if place + 1 < len(command) else host)
        elif part.startswith("-h") and len(part) > 2 and not part.startswith("--"):
            host = part[2:]
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"
