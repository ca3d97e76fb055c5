"""How long definitions take to load beyond importing the libraries, as shipped and for 100 queries of 730 partitions; one
tick of the promotion sensor over those; and what an operator's commands take as whole processes."""

from __future__ import annotations

import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, Result, Table

TITLE = "Definitions, the sensor's tick, and an operator's commands"
QUERIES, PARTITIONS = 100, 730
NOTES = [
    "Load: from an imported set of third-party modules to a resolved repository (assets, checks, jobs, schedules, sensor), "
    "in a fresh process; median of the rounds.",
    f"Tick: {QUERIES} queries with one promoted release each, in the sandbox's S3; the first tick also parses every YAML.",
    "Commands: whole processes, from start to exit, against the sandbox; median of five. The floor is what a Python that "
    "makes an S3 client takes.",
]


def run(quick: bool) -> Result:
    """Measure; `quick` takes one round instead of five."""
    from benchmarks.parts.many_queries import PACKAGE, write_project
    from benchmarks.parts.sandbox import program, sandbox

    rounds = 1 if quick else 5
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        write_project(project, QUERIES, PARTITIONS)
        shipped = _load("kumo_assets", project, rounds)
        many = _load(PACKAGE, project, rounds)
        with sandbox() as (handle, _):
            tick = json.loads(program(handle, "sensor_tick", PACKAGE, paths=(folder,)))
            commands = json.loads(program(handle, "commands", str(rounds)))
    figures = [
        Figure("load as shipped, beyond the libraries", _middle(shipped, "load"), "s", 0.5),
        Figure(f"load of {QUERIES} queries x {PARTITIONS} partitions", _middle(many, "load"), "s", 3.0),
        Figure(f"a tick of the sensor over {QUERIES} queries", tick["steady"], "s", 1.0),
        Figure("the first tick of a process", tick["first"], "s"),
        *(Figure(f"kumo-assets {name}, the whole process", commands[name], "s", 1.0) for name in commands["names"]),
        Figure("the floor: python, an S3 client", commands["floor"], "s"),
    ]
    rows = [
        [name, *(str(found[0][key]) for key in ("assets", "checks", "jobs")), f"{_middle(found, 'libraries'):.2f}"]
        for name, found in (("as shipped", shipped), (f"{QUERIES} queries", many))
    ]
    table = Table("What is loaded", ("project", "assets", "checks", "jobs", "libraries, seconds"), rows)
    return Result(TITLE, figures, [table], NOTES)


def _load(package: str, project: Path, rounds: int) -> list[dict[str, Any]]:
    from benchmarks.parts.sandbox import program

    libraries = project / f"{package}.libraries.json"
    libraries.write_text(program(None, "load_definitions", package, paths=(str(project),)))
    return [
        json.loads(program(None, "load_definitions", package, str(libraries), paths=(str(project),)))
        for _ in range(rounds)
    ]


def _middle(found: list[dict[str, Any]], key: str) -> float:
    return statistics.median(float(one[key]) for one in found)
