"""`prove`: every assumption about the outside systems, tried on the accounts that the environment points at.

What is tried is in `kumo_assets.proving`; here are the options, the progress, the report and the exit status.
"""

from __future__ import annotations

import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kumo_assets.cli.output import Json, definitions, note, show, table
from kumo_assets.config.environment import Environment
from kumo_assets.config.load import QueryDefinition
from kumo_assets.errors import ConfigError

if TYPE_CHECKING:
    from kumo_assets.proving.report import Row
    from kumo_assets.proving.suite import Run

# Wide enough for the outcome and the name of every row.
_LINE = "[{number:>2}/{planned}] {outcome:<9}  {name:<24} {seen}"
MOST_SHOWN = 100
# Of a process that SIGINT ended, as shells report it.
INTERRUPTED = 130


def prove(
    only: Annotated[
        list[str] | None,
        typer.Option(help="One area, given again for another: snowflake, s3, dynamodb, pointer, kumo.", metavar="AREA"),
    ] = None,
    with_kumo_job: Annotated[
        bool, typer.Option("--with-kumo-job", help="Ask Kumo for one small batch prediction job, too.")
    ] = False,
    with_replicas: Annotated[
        bool,
        typer.Option("--with-replicas", help="Make the replicas that queries ask for; AWS keeps them for 24 hours."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Try what is assumed of Snowflake, S3, DynamoDB, pointer stores and Kumo, on your accounts, for cents, in minutes.

    Works in scratch names of its own and deletes them, also when it is interrupted. Exit status 1 when a row differs, or
    something could not be deleted.
    """
    from kumo_assets.proving.assumptions import AREAS
    from kumo_assets.proving.cost import estimate, in_words
    from kumo_assets.proving.proof import Options
    from kumo_assets.proving.suite import Run

    unknown = sorted(set(only or ()) - set(AREAS))
    if unknown:
        raise ConfigError("prove", to=", ".join(unknown), found="no such area", next=f"use some of: {', '.join(AREAS)}")
    areas = tuple(area for area in AREAS if not only or area in only)
    environment = Environment.from_variables()
    environment.names("prove")  # the names are malformed before anything is made
    dollars = estimate(areas)
    note(in_words(dollars))
    queries = _queries()
    run = Run(environment, queries, areas, Options(with_kumo_job, with_replicas))
    note(f"proof {run.proof.names.proof} in {run.proof.objects.uri(run.proof.names.root)}")
    with _progress(run), _terminated_is_interrupted():
        interrupted = False
        try:
            run.go()
        except KeyboardInterrupt:
            interrupted = True
        finally:
            for line in (*run.left, *run.alone):
                run.note(line)
            if run.left:
                run.note("Not deleted: your next kumo-assets prove on this machine finishes it, or anybody's in a day")
    rows = run.report.in_order()
    differing = [row for row in rows if row.outcome == "differs"]
    show(as_json, _document(run, rows, dollars, interrupted), lambda: _print(rows))
    if interrupted:
        note("Interrupted: the rows that are missing were not tried")
        raise typer.Exit(INTERRUPTED)
    if differing or run.left:
        raise typer.Exit(1)


def _queries() -> list[QueryDefinition]:
    """The definitions that can be read: one that is broken is left out, with a line, and keeps no account from being
    proved. ConfigError outside of any project."""
    index = definitions()
    found: list[QueryDefinition] = []
    for name in index.names():
        try:
            found.append(index.query(name))
        except ConfigError as error:
            note(f"query {name} is left out: {error}")
    return found


def _document(run: Run, rows: Sequence[Row], dollars: dict[str, float], interrupted: bool) -> dict[str, Any]:
    return {
        "ok": not interrupted and not run.left and all(row.outcome != "differs" for row in rows),
        "interrupted": interrupted,
        "environment": run.environment.name,
        "proof": run.proof.names.proof,
        "estimated_dollars": dollars,
        "rows": [
            {
                "name": row.assumption.name,
                "area": row.assumption.area,
                "assumption": row.assumption.says,
                "outcome": row.outcome,
                "seen": row.seen,
                "means": row.assumption.means if row.outcome == "differs" else "",
            }
            for row in rows
        ],
        "left": run.left,
        "left_alone": run.alone,
    }


def _print(rows: Sequence[Row]) -> None:
    table(
        ["row", "", "seen"],
        [[row.assumption.name, row.outcome, row.seen[:MOST_SHOWN]] for row in rows],
    )
    for row in rows:
        if row.outcome == "differs":
            print(
                f"\n{row.assumption.name}: {row.assumption.says}\n  seen: {row.seen}\n  means: {row.assumption.means}"
            )
    counted = Counter(row.outcome for row in rows)
    print(f"\n{counted['holds']} hold, {counted['differs']} differ, {counted['not tried']} not tried")


@contextmanager
def _progress(run: Run) -> Iterator[None]:
    """Each row as it is decided, a line on stderr; on a terminal a bar below them."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("starting", total=run.planned)

        def say(line: str) -> None:
            bar.update(task, description=line[:60])
            console.print(line)

        def decided(row: Row) -> None:
            number = len(run.report.rows)
            seen = row.seen if row.outcome != "differs" else f"{row.seen} ({row.assumption.means})"
            bar.update(task, completed=number)
            console.print(
                _LINE.format(
                    number=number, planned=run.planned, outcome=row.outcome, name=row.assumption.name, seen=seen
                ).rstrip()
            )

        run.tell(say, decided)
        yield


@contextmanager
def _terminated_is_interrupted() -> Iterator[None]:
    """A pipeline that is stopped sends SIGTERM: it ends as Ctrl-C does, so that the proof is cleaned up."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread: whoever runs it there decides
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
