"""Scenes of the real chain, from raw logs to the pointer on S3: a bad model is blocked, and, forced live all the same, is
rolled back by one command."""

from __future__ import annotations

import subprocess
import time
from datetime import date

from kumo_sandbox.demo.commands import program
from kumo_sandbox.demo.faults import BREAKS, clear, inject
from kumo_sandbox.demo.online import active_pointer, pointer_address
from kumo_sandbox.grocery import grocery_log, stream, write_catalogue
from kumo_sandbox.testing.watch import Seen

from kumo_assets_tests.chaos.gameday.stage import Stage
from kumo_assets_tests.chaos.gameday.timeline import NotAsItShould, Timeline

QUERY = "next_best_product"
GOOD, BAD = date(2017, 11, 28), date(2017, 11, 29)
REST = ("postprocessed", "s3_export", "dynamodb_table")
MINUTE = 60.0
REFRESH = 5.0  # an S3 pointer is polled each second


def chain_scenes(stage: Stage, timeline: Timeline) -> None:
    with timeline.scene("0 a good day"):
        good = _good_day(stage, timeline)
        address = pointer_address(stage.sandbox.env, QUERY)
        with timeline.scene("a bad model"), timeline.readers(QUERY, address):
            _bad_model(stage, timeline, good)
        with timeline.scene("b forced, rolled back"):
            bad = _bad_release(stage, timeline)
            with timeline.readers(QUERY, address) as seen:
                at = _forced_and_rolled_back(stage, timeline, good, bad)
            _what_readers_saw(timeline, seen, good, bad, at)


def _good_day(stage: Stage, timeline: Timeline) -> str:
    log = grocery_log()
    write_catalogue(log, stage.sandbox.settings.home / "catalogue.json")
    rows = stream(log, BAD, stage.sandbox.env).rows
    timeline.add("raw grocery logs streamed into Snowflake", f"{rows:,} events up to {BAD}")
    built = stage.type("materialize", QUERY, "--partition", str(GOOD), "--promote")
    timeline.demand(built.status == 0, f"kumo-assets materialize {QUERY} --partition {GOOD} --promote", built.words)
    return _active(stage)[0]


def _bad_model(stage: Stage, timeline: Timeline, good: str) -> None:
    before = _active(stage)
    url = stage.sandbox.url["kumo"]
    fault = inject(url, "scores", QUERY, BAD)
    timeline.add(f"Kumo's predictions of {BAD} are spoiled", BREAKS["scores"].story)
    try:
        built = stage.type("materialize", QUERY, "--partition", str(BAD))
    finally:
        clear(url, fault)
    timeline.demand(built.status == 3, f"kumo-assets materialize {QUERY} --partition {BAD}", built.words)
    after = _active(stage)
    timeline.demand(
        before == after == (good, before[1]), "the pointer is read", f"unmoved: {after[0]}, generation {after[1]}"
    )


def _bad_release(stage: Stage, timeline: Timeline) -> str:
    """Somebody builds the rest of the chain on the blocked predictions, in Dagster; the release adopts their verdict."""
    select = " or ".join(f'key:"{QUERY}/{asset}"' for asset in REST)
    commands = stage.commands()
    done = subprocess.run(
        [
            *(program("dagster"), "asset", "materialize", "-m", "kumo_assets.definitions"),
            *("--select", select, "--partition", str(BAD)),
        ],
        cwd=commands.folder,
        env=dict(commands.environment),
        capture_output=True,
        text=True,
        timeout=180,
    )
    page = stage.type("status", QUERY).outcome.document
    waiting = str(page["candidate"] or "")
    timeline.demand(
        done.returncode == 0 and bool(waiting),
        "somebody builds the rest of the chain on the blocked predictions, in Dagster",
        f"{waiting} is sealed, and waits: {page['candidate_words']}" if waiting else done.stderr[-300:],
    )
    refused = stage.type("promote", QUERY, waiting)
    timeline.demand(refused.status == 3, f"kumo-assets promote {QUERY} {waiting}", refused.words)
    return waiting


def _forced_and_rolled_back(stage: Stage, timeline: Timeline, good: str, bad: str) -> float:
    """The moment at which the rollback was typed, as `time.time()`."""
    forced = stage.type("promote", QUERY, bad, "--force", "--reason", "game day: it looks fine to me")
    timeline.demand(
        forced.status == 0 and _active(stage)[0] == bad,
        f'kumo-assets promote {QUERY} {bad} --force --reason "..."',
        forced.words,
    )
    time.sleep(REFRESH)
    typed = time.time()
    back = stage.type("rollback", QUERY, "--reason", "game day: scores are elsewhere")
    timeline.demand(
        back.status == 0 and back.seconds < MINUTE and _active(stage)[0] == good,
        f'kumo-assets rollback {QUERY} --reason "..."',
        back.words,
    )
    time.sleep(REFRESH)
    again = stage.type("promote", QUERY, bad, "--force", "--reason", "game day: again")
    timeline.demand(again.status == 4 and _active(stage)[0] == good, "the same promotion is tried again", again.words)
    return typed


def _what_readers_saw(timeline: Timeline, seen: Seen, good: str, bad: str, typed: float) -> None:
    """Every reader served the bad release, and the good one again well within a minute."""
    last = [sights[-1] for sights in seen.sights if sights]
    went = [any(release == bad for release, _ in sights) for sights in seen.sights]
    slowest = max((at - typed for _, at in last), default=MINUTE)
    right = (
        len(last) == len(seen.sights) and all(went) and all(release == good for release, _ in last) and slowest < MINUTE
    )
    timeline.demand(
        right,
        "the readers are compared with the rollback",
        f"{sum(went)} of {len(went)} had followed to the bad release; the last was back {slowest:.1f} s after the command was typed",
    )


def _active(stage: Stage) -> tuple[str, int]:
    """Release and generation of the pointer, read past the commands."""
    found = active_pointer(stage.sandbox.env, QUERY)
    if found is None:
        raise NotAsItShould("there is no pointer")
    return found.release_id, found.generation
