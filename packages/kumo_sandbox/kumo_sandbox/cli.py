"""`kumo-sandbox`: start, stop, status, env, reset, demo, dev. Thin: what each does is in `supervisor` and `demo`.

Logs and progress go to stderr, with --json one document goes to stdout. Exit status: 0 done, 1 failed, 2 wrong usage.
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from kumo_serving.errors import KumoAssetsError
from rich.console import Console
from rich.table import Table

from kumo_sandbox import supervisor
from kumo_sandbox.demo.cli import register
from kumo_sandbox.demo.commands import dagster_home
from kumo_sandbox.errors import SandboxUsage
from kumo_sandbox.settings import Settings, default_home, load, make

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
err = Console(stderr=True, highlight=False)

Home = Annotated[
    Path,
    typer.Option(
        "--home", help="Where the sandbox lives; default $KUMO_SANDBOX_HOME or ./.sandbox", default_factory=default_home
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


@app.command()
def start(
    home: Home,
    as_json: Json = False,
    ports: Annotated[str, typer.Option(help="`fixed`, or `auto` for free ones (first start only).")] = "fixed",
) -> None:
    """Start Snowflake, AWS and Kumo, and wait until they answer. Safe to repeat."""
    if ports not in ("fixed", "auto"):
        raise SandboxUsage("choose ports", to=repr(ports), found="unknown", next="use fixed or auto")
    settings = make(home, automatic_ports=ports == "auto")
    with err.status("starting the sandbox") as spinner:
        notices = supervisor.start(settings, spinner.update)
    for notice in notices:
        err.print(notice, soft_wrap=True, markup=False)
    _show(settings, as_json)
    if not as_json:
        err.print('Point a shell at it:  eval "$(kumo-sandbox env)"')


@app.command()
def stop(home: Home, as_json: Json = False) -> None:
    """Stop every part cleanly; state stays."""
    settings = load(home)
    if settings is not None:
        with err.status("stopping the sandbox") as spinner:
            supervisor.stop(settings, spinner.update)
    if as_json:
        print(json.dumps({"stopped": True}))
    else:
        err.print(f"Stopped; state is kept in {home}" if settings else f"There is no sandbox in {home}", soft_wrap=True)


@app.command()
def status(home: Home, as_json: Json = False) -> None:
    """What runs, where."""
    _show(_known(home), as_json)


@app.command()
def env(home: Home, as_json: Json = False) -> None:
    """The environment variables that point at this sandbox, as `export` lines."""
    environment = _known(home).environment()
    # Runs started by hand go to the instance that the demo and `kumo-sandbox dev` use.
    environment["DAGSTER_HOME"] = str(dagster_home(Path.cwd(), home))
    if as_json:
        print(json.dumps(environment, indent=2))
    else:
        for name, value in environment.items():
            print(f"export {name}={shlex.quote(value)}")


@app.command()
def reset(home: Home, as_json: Json = False) -> None:
    """Stop, and wipe all state and credentials of this home."""
    settings = load(home)
    if settings is not None:
        supervisor.reset(settings, lambda words: err.print(words))
    if as_json:
        print(json.dumps({"reset": True}))
    else:
        err.print(f"Wiped {home}" if settings else f"There is no sandbox in {home}", soft_wrap=True)


register(app)


def _known(home: Path) -> Settings:
    settings = load(home)
    if settings is None:
        raise SandboxUsage(
            "find the sandbox", to=str(home), found="it was never started here", next="kumo-sandbox start"
        )
    return settings


def _show(settings: Settings, as_json: bool) -> None:
    parts = supervisor.status(settings)
    if as_json:
        document: dict[str, Any] = {
            part.part: {
                "state": part.state,
                "pid": part.pid,
                "url": settings.url[part.part],
                "host": "127.0.0.1",
                "port": part.port,
            }
            for part in parts
        }
        print(
            json.dumps(
                document | {"home": str(settings.home), "running": all(part.state == "running" for part in parts)},
                indent=2,
            )
        )
        return
    table = Table("part", "state", "where", box=None)
    for part in parts:
        table.add_row(part.part, part.state, settings.url[part.part])
    err.print(table)
    err.print(supervisor.advice(parts, settings), soft_wrap=True)


def main() -> None:
    """The entry point: known errors are a sentence and an exit status, not a traceback."""
    try:
        app(standalone_mode=False)
    except KumoAssetsError as error:
        if "--json" in sys.argv:
            print(
                json.dumps(
                    {"error": {"message": str(error), "kind": type(error).__name__}, "exit_status": error.exit_status}
                )
            )
        err.print(f"[red]{type(error).__name__}[/red]: {error}", soft_wrap=True, markup=True)
        sys.exit(error.exit_status)
    except typer.Exit as done:
        sys.exit(done.exit_code)
    except typer.Abort:
        sys.exit(1)
    except Exception as error:  # click's usage errors carry their own status; anything else is a defect to show whole
        if hasattr(error, "exit_code") and hasattr(error, "format_message"):
            err.print(f"[red]usage[/red]: {error.format_message()}")
            sys.exit(2)
        raise


if __name__ == "__main__":
    main()
