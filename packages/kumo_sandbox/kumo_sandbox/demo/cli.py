"""The commands `demo` and `dev` of `kumo-sandbox`: options in, exit status out. What they do is in `run` and `dev`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from kumo_sandbox.settings import default_home

BreakKind = Literal["scores", "users", "dupes", "warnings"]
Home = Annotated[
    Path,
    typer.Option(
        "--home", help="Where the sandbox lives; default $KUMO_SANDBOX_HOME or ./.sandbox", default_factory=default_home
    ),
]


def demo(
    home: Home,
    events: Annotated[
        Path | None, typer.Option(help="A log of your own, .parquet or .csv, in place of the groceries.")
    ] = None,
    entity_column: Annotated[str, typer.Option(help="With --events: who.")] = "entity_id",
    item_column: Annotated[str, typer.Option(help="With --events: what.")] = "item_id",
    time_column: Annotated[str, typer.Option(help="With --events: when (UTC when it has no zone).")] = "timestamp",
    item_name_column: Annotated[str | None, typer.Option(help="With --events: what a person calls it.")] = None,
    row_filter: Annotated[
        str | None,
        typer.Option(
            "--filter", help='With --events: SQL condition on its columns, e.g. "user IS NOT NULL AND quantity > 0".'
        ),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=28, help="How many daily partitions to run.")] = 3,
    break_kind: Annotated[
        BreakKind | None, typer.Option("--break", help="Break one day's predictions, and see which gate stops them.")
    ] = None,
    entity: Annotated[str | None, typer.Option(help="Whom to look up; by default a busy one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Days of real logs, end to end: raw logs, releases, promotion, a lookup, and how good it was."""
    from kumo_sandbox.demo.outcome import DemoOptions
    from kumo_sandbox.demo.run import run_demo
    from kumo_sandbox.grocery import Columns

    done = run_demo(
        DemoOptions(
            home=home.resolve(),
            days=days,
            break_kind=break_kind,
            events=events,
            columns=Columns(entity_column, item_column, time_column, item_name_column),
            row_filter=row_filter,
            entity=entity,
        ),
        Console(stderr=as_json, highlight=False),
    )
    if as_json:
        print(json.dumps(done.document(), indent=2))
    if done.exit_status:
        sys.exit(done.exit_status)


def dev(
    home: Home,
    port: Annotated[int, typer.Option(help="Dagster's web page.")] = 3000,
    shop_port: Annotated[int, typer.Option(help="The example shop.")] = 3001,
    airflow: Annotated[bool, typer.Option("--airflow", help="An Airflow too, with the example DAGs.")] = False,
    airflow_port: Annotated[int, typer.Option(help="Airflow's web page.")] = 8080,
) -> None:
    """Sandbox, Dagster's web page and daemon, and the example shop; Ctrl-C stops all of it."""
    from kumo_sandbox.dev import run_dev

    run_dev(
        home.resolve(),
        Path.cwd(),
        Console(stderr=True, highlight=False),
        port=port,
        shop_port=shop_port,
        airflow_port=airflow_port if airflow else None,
    )


def register(app: typer.Typer) -> None:
    """Add both commands to `kumo-sandbox`."""
    app.command()(demo)
    app.command()(dev)
