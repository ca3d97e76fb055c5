"""`kumo-sandbox dev`: the sandbox, Dagster's web page and daemon, the example shop, and an Airflow when it is asked for, as
one thing to start and stop.

One Ctrl-C ends the programs in order, the sandbox last. How they are run is `programs`; what the sandbox's parts are,
`supervisor`; what the shop is, `examples/storefront`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import yaml
from rich.console import Console

from kumo_sandbox import airflow, supervisor
from kumo_sandbox.demo.commands import Commands, dagster_home, program
from kumo_sandbox.errors import SandboxError, SandboxUsage
from kumo_sandbox.grocery import grocery_log, stream, write_catalogue
from kumo_sandbox.processes import holder, port_is_free
from kumo_sandbox.programs import Group, Program
from kumo_sandbox.settings import free_port, make

SEEDED_UNTIL = date(2017, 11, 30)


def run_dev(
    home: Path,
    folder: Path,
    console: Console,
    *,
    port: int = 3000,
    shop_port: int = 3001,
    airflow_port: int | None = None,
) -> None:
    """Run everything until Ctrl-C, SIGTERM or until a program ends by itself.

    `folder` is the project's root; `airflow_port` asks for an Airflow as well. Raises SandboxUsage for another folder,
    SandboxError for a taken port, a Dagster home that cannot be used, or a program that does not come up.
    """
    if not (folder / "workspace.yaml").is_file():
        raise SandboxUsage(
            "start Dagster in", to=str(folder), found="no workspace.yaml", next="run it from the project's root"
        )
    if airflow_port is not None:
        airflow.programs(folder)  # says what is missing before anything starts
    for wanted, what in ((port, "Dagster's web page"), (shop_port, "the shop"), (airflow_port, "Airflow's web page")):
        if wanted is not None:
            _demand_free(wanted, what)
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
    if airflow_port is not None:
        environment |= airflow.environment(
            home / "airflow",
            port=airflow_port,
            dags=folder / "packages" / "kumo_airflow" / "dags",
            dagster_url=f"http://127.0.0.1:{port}",
            queries=home / "queries.json",
        )
    make_dagster_storage(environment, folder)
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
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
        if airflow_port is not None and not stopping.is_set():
            group.run(_airflow(folder, home, environment, airflow_port), stopping)
            group.say(f"Airflow is on http://127.0.0.1:{airflow_port}: start a DAG there, or let its clock start it; ")
            group.say('a day of your choice: trigger it with {"partition": "2017-11-28"}')
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


def make_dagster_storage(environment: Mapping[str, str], folder: Path) -> None:
    """Make the SQLite files of `DAGSTER_HOME`, unless they are there, before several programs share them.

    Programs that begin on an empty home at the same moment each make the tables, and one of them ends with "table
    already exists": `SqliteRunStorage.from_local` of dagster 1.13 looks and then makes, with no lock between.
    Raises SandboxError with Dagster's last words.
    """
    asked = [program("dagster"), "instance", "info"]
    done = subprocess.run(asked, cwd=folder, env=dict(environment), capture_output=True, text=True, check=False)
    if done.returncode:
        words = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise SandboxError(
            "make Dagster's storage in",
            to=environment["DAGSTER_HOME"],
            found=words,
            next="see dagster.yaml in that folder, and whether it can be written to",
        )


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


def _airflow(folder: Path, home: Path, environment: dict[str, str], port: int) -> list[Program]:
    """Airflow's programs, its database made and its DAGs' queries asked for."""
    asked = Commands(environment, folder).assets("queries")
    (home / "queries.json").write_text(json.dumps(asked.document))
    airflow.set_up(folder, environment)
    pages = {"api-server": f"http://127.0.0.1:{port}/api/v2/version"}
    return [Program(name, command, "yellow", pages.get(name, "")) for name, command in airflow.programs(folder).items()]


def _shop(folder: Path, port: int) -> list[Program]:
    shop_folder = folder / "examples" / "storefront"
    if not shop_folder.is_dir():
        return []
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(shop_folder), "shop:app"]
    options = ["--host", "127.0.0.1", "--port", str(port), "--log-level", "warning", "--loop", "asyncio"]
    return [Program("shop", [*command, *options], "green", f"http://127.0.0.1:{port}/release")]


def _demand_free(port: int, what: str) -> None:
    if not port_is_free(port):
        raise SandboxError(
            "start", to=what, found=f"port {port} is taken by {holder(port)}", next="end it, or give another port"
        )
