"""`python -m benchmarks` (`make bench`): run benchmarks by name, keep what they say, write docs/benchmarks.md.

A missed target is exit status 1. Measuring is in `suite/`.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks import figures, report, suite
from benchmarks.machine import machine

DOCS = Path(__file__).parents[1] / "docs"
app = typer.Typer(help=__doc__, add_completion=False, pretty_exceptions_enable=False)
console = Console(width=None if sys.stdout.isatty() else 150)
Quick = Annotated[bool, typer.Option("--quick", help="A short form: smaller tables, fewer rounds.")]


def names() -> list[str]:
    """Every benchmark there is, by its module's name."""
    return sorted(found.name for found in iter_modules(suite.__path__))


@app.callback(invoke_without_command=True)
def everything(context: typer.Context) -> None:
    """Without a command: run every benchmark, then write docs/benchmarks.md."""
    if context.invoked_subcommand is None:
        run(names())


@app.command("list")
def listed() -> None:
    """The benchmarks, and when each was last run here."""
    for name in names():
        kept = figures.read(name)
        when = f"{kept.at}, {len(kept.missed)} targets missed" if kept else "never run here"
        console.print(f"{name:12} {load(name).TITLE} ({when})", highlight=False)


@app.command()
def run(
    benchmark: Annotated[list[str], typer.Argument(help="Names, as `list` shows them.")], quick: Quick = False
) -> None:
    """Run some benchmarks, one after the other, and write docs/benchmarks.md from all kept results."""
    unknown = sorted(set(benchmark) - set(names()))
    if unknown:
        raise typer.BadParameter(f"no benchmark {', '.join(unknown)}; there are {', '.join(names())}")
    missed = 0
    for name in benchmark:
        module = load(name)
        console.print(f"[dim]{name}: {module.TITLE} ...")
        started = time.perf_counter()
        result: figures.Result = module.run(quick)
        result.quick = quick
        result.seconds = time.perf_counter() - started
        result.at = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
        result.machine = machine()
        report.show(result, console)
        console.print(f"[dim]kept in {figures.write(name, result)}")
        missed += len(result.missed)
    docs()
    if missed:
        console.print(f"[bold red]{missed} targets missed")
        raise typer.Exit(1)


@app.command()
def docs() -> None:
    """Write docs/benchmarks.md from the results kept on this machine; what was never run here stands as it is."""
    kept = {name: result for name in names() if (result := figures.read(name)) is not None}
    path = DOCS / "benchmarks.md"
    path.write_text(report.markdown({name: load(name).TITLE for name in names()}, kept, path.read_text()))
    console.print(f"[dim]wrote {path}")


def load(name: str) -> Any:
    return import_module(f"benchmarks.suite.{name}")


if __name__ == "__main__":
    app()
