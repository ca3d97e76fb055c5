"""One server program of a test's own: started on a free loopback port, waited for, ended by its pid.

A whole sandbox is `sandbox.SandboxHandle`; programs that a person watches run together are `kumo_sandbox.programs`.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from kumo_sandbox.errors import SandboxError
from kumo_sandbox.ministack import ministack_command
from kumo_sandbox.processes import PartProcess
from kumo_sandbox.programs import answers
from kumo_sandbox.settings import free_port

T = TypeVar("T")
# How much of its log an error shows.
LOG_CHARACTERS = 2000


def wait_for(what: Callable[[], T], seconds: float = 30.0) -> T:
    """The value of `what()` once it is true. Raises AssertionError when that takes longer than `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.01)
    return value


def listens(port: int) -> bool:
    """Whether a server on the loopback interface accepts connections there now."""
    return answers(f"tcp://127.0.0.1:{port}")


class Server:
    """A server on `port`, run by `command` in the folder `home`; a context manager that may be entered again.

    Its environment is this process's own with `environment` over it. Its output is kept in `log`, and the log's last lines
    are in the error when it does not start. `ready(port)` says whether it serves.
    """

    def __init__(
        self,
        name: str,
        home: Path,
        command: list[str],
        port: int,
        environment: Mapping[str, str] | None = None,
        ready: Callable[[int], bool] = listens,
    ) -> None:
        self.name, self.home, self.command, self.port = name, home, command, port
        self._environment, self._ready = dict(environment or {}), ready
        self._process = PartProcess(home, name)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self._process.log

    @property
    def pid(self) -> int | None:
        """The process's id; None when it was not started or has been stopped."""
        return self._process.pid

    def start(self, seconds: float = 60.0) -> None:
        """Start it and wait until it serves. Raises SandboxError when it ends or stays silent; nothing is left running."""
        for folder in ("logs", "pids"):
            (self.home / folder).mkdir(parents=True, exist_ok=True)
        size = self._process.log_size()
        self._process.spawn(self.command, {**os.environ, **self._environment})
        try:
            deadline = time.monotonic() + seconds
            while not self._ready(self.port):
                if not self._process.alive:
                    raise self._failed("it ended", size)
                if time.monotonic() > deadline:
                    raise self._failed(f"no answer on port {self.port} in {seconds:.0f} s", size)
                time.sleep(0.02)
        except BaseException:
            self.stop(seconds=1.0)
            raise

    def stop(self, seconds: float = 15.0) -> None:
        """SIGTERM, and SIGKILL when it has not ended after `seconds`. Does nothing when it does not run."""
        self._process.end(seconds)

    def kill(self) -> None:
        """SIGKILL, as when its machine dies. Does nothing when it does not run."""
        if self._process.alive and self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)
        self._process.end(seconds=1.0)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _failed(self, found: str, size: int) -> SandboxError:
        said = self._process.said_since(size).strip()[-LOG_CHARACTERS:] or "nothing"
        return SandboxError("start", to=self.name, found=f"{found}; its log says:\n{said}", next=f"read {self.log}")


def ministack_server(home: Path) -> Server:
    """A MiniStack (S3, DynamoDB) with a state of its own under `home`, on a free port of loopback only."""
    port = free_port()
    environment = {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0",
        "STATE_DIR": str(home),
        "LOG_LEVEL": "WARNING",
    }
    return Server("ministack", home, ministack_command(home), port, environment)
