"""What an operator's commands take after three years of daily releases: one query in the sandbox's S3, and a hundred against
a server that makes listings and objects from a formula and counts requests (`parts/formula_s3`)."""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

from benchmarks.figures import Figure, Result, Table

TITLE = "Three years of releases"
QUERIES, DAYS = 100, 1_100
ONE = ("status", "releases", "history", "retire --dry-run")


def run(quick: bool) -> Result:
    """Measure. `quick` is 10 queries of 120 days, once; else each command three times."""
    from benchmarks.parts.many_queries import query_name, write_project
    from benchmarks.parts.sandbox import program, sandbox

    queries, days, rounds = (10, 120, 1) if quick else (QUERIES, DAYS, 3)
    busy = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        project, file = Path(folder) / "project", Path(folder) / "release.json"
        defs = write_project(project, queries, days)
        with sandbox() as (handle, _):
            made = json.loads(program(handle, "years_made", query_name(0), str(days), str(file)))
            here = {**os.environ, **handle.env, "KUMO_ASSETS_DEFS": str(defs)}
            alone = {name: _middle(_command(name, query_name(0)), here, rounds) for name in ONE}
            environment = handle.env["KUMO_ASSETS_ENV"]
            rows, figures = [], []
            with _formula(environment, days, file) as url:
                there = {**here, "AWS_ENDPOINT_URL": url}
                for name, command, target in (
                    (f"status of {queries} queries x {days:,} releases", ["status", "--json"], 5.0),
                    ("status of one of them", _command("status", query_name(0)), 1.0),
                    ("releases of one of them", _command("releases", query_name(0)), None),
                    ("history of one of them", _command("history", query_name(0)), None),
                ):
                    _counted(url)
                    seconds = [_seconds(command, there)]
                    asked = _counted(url)
                    seconds += [_seconds(command, there) for _ in range(rounds - 1)]
                    figures.append(Figure(name, statistics.median(seconds), "s", target))
                    rows.append([name, *(str(asked.get(kind, 0)) for kind in KINDS)])
    figures += [Figure(f"{name}, one query x {days:,} in the sandbox", took, "s") for name, took in alone.items()]
    notes = [
        f"Whole processes, from start to exit; the median of {rounds}. The machine's load before the run was {busy:.1f}.",
        f"A query has {made['objects']:,} objects: some 27 a release, of which all but the last five are retired.",
        "`retire` reads every document that decides something, and the whole ledger: what deletes is never bounded.",
        "The sandbox's S3 looks through all objects at each listing, however small it is: its seconds are mostly that.",
        "The server answers at once, on the same two cores; S3 takes some 20 ms for a request. `status` of all asks "
        "for 16 queries at a time.",
    ]
    return Result(TITLE, figures, [Table("Requests", ("command", *KINDS), rows)], notes)


KINDS = ("GetObject", "ListObjectsV2", "PutObject", "DescribeTable")


def _command(name: str, query: str) -> list[str]:
    verb, *options = name.split()
    return [verb, query, *options, "--json"]


def _middle(command: list[str], environ: Mapping[str, str], rounds: int) -> float:
    return statistics.median(_seconds(command, environ) for _ in range(rounds))


def _seconds(command: list[str], environ: Mapping[str, str]) -> float:
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "kumo_assets.cli.main", *command], env=dict(environ), capture_output=True, text=True
    )
    took = time.perf_counter() - started
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}\n{done.stdout[-500:]}")
    return took


@contextmanager
def _formula(environment: str, days: int, file: Path) -> Iterator[str]:
    """The formula's server; its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = ["-m", "benchmarks.parts.formula_s3", str(port), environment, str(days), str(file)]
    server = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "listening\n"
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def _counted(url: str) -> dict[str, int]:
    """Requests since the last call, by operation."""
    with build_opener(ProxyHandler({})).open(f"{url}/_requests") as answer:
        return dict(json.load(answer))
