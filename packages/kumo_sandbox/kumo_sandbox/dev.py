"""`kumo-sandbox dev`: the sandbox, Dagster's web page and daemon, and the example shop, as one thing to start and stop.

Each program runs in a process group of its own, so that Ctrl-C reaches this one alone, which then ends the others in
order, the sandbox last. What the sandbox's parts are is `supervisor`; what the shop is, `examples/storefront`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO

import httpx
import yaml
from rich.console import Console
from rich.text import Text

from kumo_sandbox import supervisor
from kumo_sandbox.demo.commands import dagster_home, program
from kumo_sandbox.errors import SandboxError, SandboxUsage
from kumo_sandbox.grocery import grocery_log, stream, write_catalogue
from kumo_sandbox.processes import holder, port_is_free
from kumo_sandbox.settings import free_port, make

SEEDED_UNTIL = date(2017, 11, 30)
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
        while one.address and not stopping.is_set() and not _answers(one.address):
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


def run_dev(home: Path, folder: Path, console: Console, *, port: int = 3000, shop_port: int = 3001) -> None:
    """Run everything until Ctrl-C, SIGTERM or until a program ends by itself.

    `folder` is the project's root. Raises SandboxUsage for another folder, SandboxError for a taken port or a program
    that does not come up.
    """
    if not (folder / "workspace.yaml").is_file():
        raise SandboxUsage(
            "start Dagster in", to=str(folder), found="no workspace.yaml", next="run it from the project's root"
        )
    for wanted, what in ((port, "Dagster's web page"), (shop_port, "the shop")):
        _demand_free(wanted, what)
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    settings = make(home)
    environment = {
        **os.environ,
        **settings.environment(),
        "KUMO_SANDBOX_HOME": str(home),
        # Not the user's own cache folder: another sandbox's last known good pointer may lie there.
        "STOREFRONT_CACHE": str(home / "reader"),
        "DAGSTER_HOME": str(dagster_home(folder, home)),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "PYTHONUNBUFFERED": "1",
    }
    group = Group(console, environment, folder)
    try:
        for notice in supervisor.start(settings, group.say):
            group.say(notice)
        log = grocery_log()
        done = stream(log, SEEDED_UNTIL, settings.environment())
        if done.rows:
            group.say(f"{done.rows:,} events up to {done.through} streamed into Snowflake")
        write_catalogue(log, home / "catalogue.json")
        group.run([*dagster_programs(folder, home, port), *_shop(folder, shop_port)], stopping)
        if not stopping.is_set():
            group.say(f"Dagster is on http://127.0.0.1:{port}, the shop on http://127.0.0.1:{shop_port}")
            group.say("Ctrl-C stops all of it")
        while not stopping.wait(0.5):
            dead = group.dead()
            if dead is not None:
                raise SandboxError(
                    "keep running", to=dead[0], found=f"it ended with status {dead[1]}", next="see its lines above"
                )
    finally:
        # A second Ctrl-C must not cut the clean end short: MiniStack keeps its tables only over a clean stop.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        group.say("stopping")
        group.end()
        supervisor.stop(settings, group.say)
        group.say("everything is stopped")


def dagster_programs(folder: Path, home: Path, port: int) -> list[Program]:
    """One code server, and the web page and the daemon that both ask it: definitions are loaded once, not twice.

    What is loaded is what the project's `workspace.yaml` says; "Reload" in the page reloads it.
    """
    workspace = yaml.safe_load((folder / "workspace.yaml").read_text())
    servers, programs = [], []
    for entry in workspace["load_from"]:
        module = entry["python_module"]
        name, server = module.get("location_name", module["module_name"]), free_port()
        servers.append({"grpc_server": {"host": "127.0.0.1", "port": server, "location_name": name}})
        start = [program("dagster"), "code-server", "start", "--host", "127.0.0.1", "--port", str(server)]
        what = ["--module-name", module["module_name"], "--location-name", name, "--log-level", "warning"]
        programs.append(Program("code", [*start, *what], "blue", f"tcp://127.0.0.1:{server}"))
    file = home / "workspace.yaml"
    file.write_text(yaml.safe_dump({"load_from": servers}))
    web = [program("dagster-webserver"), "--host", "127.0.0.1", "--port", str(port), "--workspace", str(file)]
    programs.append(Program("dagster", web, "cyan", f"http://127.0.0.1:{port}/server_info"))
    programs.append(Program("daemon", [program("dagster-daemon"), "run", "--workspace", str(file)], "magenta"))
    return programs


def _shop(folder: Path, port: int) -> list[Program]:
    shop_folder = folder / "examples" / "storefront"
    if not shop_folder.is_dir():
        return []
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(shop_folder), "shop:app"]
    options = ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning", "--loop", "asyncio"]
    return [Program("shop", [*command, *options], "green", f"http://127.0.0.1:{port}/release")]


def _answers(address: str) -> bool:
    """Whether a server answers: anything but an error of its own over http, a connection over tcp."""
    if address.startswith("tcp://"):
        host, _, port = address.removeprefix("tcp://").partition(":")
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=2):
            return True
        return False
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(address, timeout=2, trust_env=False, verify=False).status_code < 500
    return False


def _demand_free(port: int, what: str) -> None:
    if not port_is_free(port):
        raise SandboxError(
            "start", to=what, found=f"port {port} is taken by {holder(port)}", next="end it, or give another port"
        )


def _signal(process: subprocess.Popen[str], number: signal.Signals) -> None:
    if process.poll() is None:
        process.send_signal(number)
