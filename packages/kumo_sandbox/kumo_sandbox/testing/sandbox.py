"""A sandbox for tests: its own home, free ports, the environment that points at it, and its faults."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from kumo_sandbox import supervisor
from kumo_sandbox.processes import PartProcess
from kumo_sandbox.settings import Settings, make


@dataclass(frozen=True)
class SandboxHandle:
    """A running sandbox."""

    settings: Settings

    @property
    def env(self) -> dict[str, str]:
        """What a process needs in its environment to use it."""
        return self.settings.environment()

    @property
    def url(self) -> dict[str, str]:
        return self.settings.url

    def aws_faults(self, *specs: dict[str, Any]) -> None:
        """Put faults before AWS; see `kumo_sandbox.aws.faults.Fault` for the fields."""
        httpx.post(
            self.url["aws"] + "/_sandbox/faults", json=list(specs), trust_env=False, verify=False
        ).raise_for_status()

    def kumo_faults(self, *specs: dict[str, Any]) -> None:
        """Put faults into the Kumo emulator."""
        httpx.post(
            self.url["kumo"] + "/_sandbox/faults", json=list(specs), trust_env=False, verify=False
        ).raise_for_status()

    def reset_faults(self) -> None:
        for part in ("aws", "kumo"):
            httpx.delete(self.url[part] + "/_sandbox/faults", trust_env=False, verify=False).raise_for_status()

    def calls(self, *, forget: bool = False) -> dict[str, int]:
        """AWS operations asked for, by `service.Operation`."""
        method = "DELETE" if forget else "GET"
        counted: dict[str, int] = httpx.request(
            method, self.url["aws"] + "/_sandbox/calls", trust_env=False, verify=False
        ).json()
        return counted

    def kill(self, part: str) -> None:
        """SIGKILL one part, as a machine that dies would."""
        found = supervisor.status_of(part, self.settings)
        if found.pid is not None:
            os.kill(found.pid, signal.SIGKILL)

    def start(self) -> None:
        supervisor.start(self.settings)

    def stop(self) -> None:
        supervisor.stop(self.settings)

    def discard(self) -> None:
        """End every part at once, for a sandbox whose folder nobody needs again. A clean stop takes its time: MiniStack
        writes each table of the session as it ends, 40 s of them after a long one."""
        for part in reversed(supervisor.PROCESSES):
            process = PartProcess(self.settings.home, part)
            if process.pid is not None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # each has a session, and so a group, of its own
            process.end(seconds=10.0)


def start_sandbox(home: Path) -> SandboxHandle:
    """Start a sandbox on free ports under `home`."""
    settings = make(home, automatic_ports=True)
    supervisor.start(settings)
    return SandboxHandle(settings)
