"""Programs that run together: started in order, waited for, their lines relayed, ended with all they started.

Each runs in a process group of its own, so that Ctrl-C reaches only the one that looks after them. Which programs there
are is `dev`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx
from rich.console import Console
from rich.text import Text

from kumo_sandbox.errors import SandboxError

# Definitions take some 10 s of CPU to load; a busy machine has taken two minutes.
READY_SECONDS = 300.0
END_SECONDS = 20.0


@dataclass(frozen=True)
class Program:
    """One program to run: its name in the log, command, colour, and the address that answers when it is ready."""

    name: str
    command: list[str]
    colour: str
    address: str = ""


class Group:
    """Programs that run together: started in order, ended in the reverse, their lines prefixed."""

    def __init__(self, console: Console, environment: Mapping[str, str], folder: Path) -> None:
        self._console = console
        self._environment = dict(environment)
        self._folder = folder
        self._running: list[tuple[Program, subprocess.Popen[str]]] = []

    def start(self, one: Program) -> None:
        process = subprocess.Popen(
            one.command,
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self._running.append((one, process))
        assert process.stdout is not None
        threading.Thread(target=self._relay, args=(one, process.stdout), daemon=True).start()

    def run(self, programs: Sequence[Program], stopping: threading.Event | None = None) -> None:
        """Start them all and wait until each answers that has an address; the next waits for the code server.

        Raises SandboxError for one that ends, or does not answer.
        """
        stopping = stopping or threading.Event()
        for one in programs:
            self.start(one)
            if one.address.startswith("tcp://"):
                self._wait(one, stopping)
        for one in programs:
            self._wait(one, stopping)

    def _wait(self, one: Program, stopping: threading.Event) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while one.address and not stopping.is_set() and not answers(one.address):
            dead = self.dead()
            if dead is not None or time.monotonic() > deadline:
                raise SandboxError(
                    "start",
                    to=one.name,
                    found=f"{dead[0]} ended with status {dead[1]}"
                    if dead
                    else f"no answer from {one.address} in {READY_SECONDS:.0f} s",
                    next="see its lines above",
                )
            stopping.wait(0.2)

    def dead(self) -> tuple[str, int] | None:
        """A program that ended by itself, and its exit status."""
        for one, process in self._running:
            status = process.poll()
            if status is not None:
                return one.name, status
        return None

    def end(self) -> None:
        """End every program and whatever it started; by signal, then by force."""
        for _, process in reversed(self._running):
            _signal(process, signal.SIGTERM)
        deadline = time.monotonic() + END_SECONDS
        for one, process in reversed(self._running):
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.say(f"{one.name} did not end by itself and was killed")
            # Its group too: Dagster's code servers are its children and outlive a parent that was killed.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._running.clear()

    def say(self, words: str) -> None:
        self._console.print(Text(f"dev        {words}", style="bold"), soft_wrap=True)

    def _relay(self, one: Program, lines: IO[str]) -> None:
        for line in lines:
            text = Text(f"{one.name:<10} ", style=one.colour)
            text.append_text(Text.from_ansi(line.rstrip()))
            self._console.print(text, soft_wrap=True)


def answers(address: str) -> bool:
    """Whether a server answers: anything but an error of its own over http, a connection over tcp."""
    if address.startswith("tcp://"):
        host, _, port = address.removeprefix("tcp://").partition(":")
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=2):
            return True
        return False
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(address, timeout=2, trust_env=False, verify=False).status_code < 500
    return False


def _signal(process: subprocess.Popen[str], number: signal.Signals) -> None:
    if process.poll() is None:
        process.send_signal(number)
