"""One process of the sandbox: pid file, start, end, last words; and who holds a port. What runs when is `supervisor`.

A pid is believed only with its start time beside it, so that a number the system has given to another program is never
mistaken for ours, and never signalled.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path


class PartProcess:
    """The process of one part under a home: `<home>/pids/<part>.pid` and `<home>/logs/<part>.log`."""

    def __init__(self, home: Path, part: str) -> None:
        self._file = home / "pids" / f"{part}.pid"
        self._home = home
        self.log = home / "logs" / f"{part}.log"

    @property
    def pid(self) -> int | None:
        """The pid we started; None when there is none, or the number now belongs to another process."""
        try:
            number, started = self._file.read_text().split()
            pid = int(number)
        except (OSError, ValueError):
            return None
        return pid if _started(pid) in (started, "") else None

    @property
    def alive(self) -> bool:
        pid = self.pid
        return pid is not None and _alive(pid)

    def spawn(self, command: list[str], environment: Mapping[str, str]) -> None:
        """Start it in a session of its own, its words going to its log. Raises OSError; then nothing was left running."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd=self._home,
                start_new_session=True,
            )
        try:
            self._file.write_text(f"{process.pid} {_started(process.pid)}")
        except OSError:
            # A process nobody has a pid of could never be stopped again.
            process.kill()
            process.wait()
            self._file.unlink(missing_ok=True)
            raise

    def end(self, seconds: float) -> bool:
        """SIGTERM, and SIGKILL after `seconds`. False when it had to be killed."""
        pid = self.pid
        clean = True
        if pid is not None and _alive(pid):
            os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + seconds
            while _alive(pid) and time.monotonic() < deadline:
                time.sleep(0.02)
            if _alive(pid):
                clean = False
                os.kill(pid, signal.SIGKILL)
                while _alive(pid):
                    time.sleep(0.02)
        self._file.unlink(missing_ok=True)
        return clean

    def log_size(self) -> int:
        return self.log.stat().st_size if self.log.is_file() else 0

    def said_since(self, size: int) -> str:
        """What it wrote to its log after the log was `size` bytes long."""
        if not self.log.is_file():
            return ""
        with self.log.open("rb") as log:
            log.seek(size)
            return log.read().decode(errors="replace")

    def last_words(self, since: int = 0) -> str:
        """The last line it wrote, shortened."""
        lines = self.said_since(since).strip().splitlines()
        return lines[-1][:300] if lines else "it left no words"


def port_is_free(port: int) -> bool:
    """Whether a server could listen there on the loopback interface now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def holder(port: int) -> str:
    """Who listens on a port, as far as this user may see (Linux: /proc); "another program" otherwise."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if int(fields[1].rpartition(":")[2], 16) == port and fields[3] == "0A":  # 0A: listening
                    inodes.add(f"socket:[{fields[9]}]")
    for folder in Path("/proc").glob("[0-9]*") if inodes else ():
        with contextlib.suppress(OSError):
            if any(os.readlink(handle) in inodes for handle in (folder / "fd").iterdir()):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                return f"pid {folder.name} (`{command[:120]}`, running in {os.readlink(folder / 'cwd')})"
    return "another program"


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
