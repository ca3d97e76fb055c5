"""Many promoters at once, in threads of several processes, on each pointer store (rule 4): one winner a generation, no lost
update, a linear history. `make soak`: 1,024 attempts from 16 processes; here 96 from 4."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

from kumo_sandbox.testing.releases import Shop

SOAK = bool(os.environ.get("KUMO_SOAK"))
PROCESSES, THREADS, RELEASES = (16, 2, 32) if SOAK else (4, 4, 6)
SECONDS = 3000 if SOAK else 240
# So many racers are more than one machine's MiniStack answers in time; whoever is not answered moves nothing, and says so.
MOST_SLOW = 50 if SOAK else 0


def test_of_many_concurrent_promoters_exactly_one_wins_each_generation(either: Shop, tmp_path: Path) -> None:
    releases = [either.build(str(date(2017, 11, 1) + timedelta(days=day))) for day in range(RELEASES)]
    store = type(either.ctx.pointers).__name__.lower()
    hosts = getattr(either.ctx.pointers, "hosts", "")
    gate = tmp_path / "go"
    command = [sys.executable, str(Path(__file__).with_name("race_worker.py"))]
    options = ["zookeeper" if "zookeeper" in store else "s3", hosts, either.query, str(THREADS), str(gate), *releases]
    racers = [
        subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    try:
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n", racer.communicate()[1]
        gate.touch()
        answers = [json.loads(racer.communicate(timeout=SECONDS)[0].splitlines()[-1]) for racer in racers]
    finally:
        for racer in racers:
            racer.kill()
            racer.wait()
    assert [words for answer in answers for words in answer["wrong"]] == []
    slow = [words for answer in answers for words in answer["slow"]]
    assert len(slow) <= MOST_SLOW, slow
    won = sorted((generation, release) for answer in answers for generation, release in answer["won"])
    lost = sum(count for answer in answers for count in answer["lost"].values())
    assert len(won) + lost + len(slow) == PROCESSES * THREADS * RELEASES
    assert [generation for generation, _ in won] == list(range(1, len(won) + 1)), "two winners of one generation"
    assert len(won) > 1, "nobody raced"
    moves = either.ctx.ledger.moves()
    assert [(entry.generation, entry.to_release) for entry in moves] == won, "a lost update"
    assert [entry.from_release for entry in moves] == ["", *[release for _, release in won[:-1]]], "a fork"
    assert [release for _, release in won] == sorted(release for _, release in won), "backwards"
    assert either.active() == releases[-1]
    assert any(answer["lost"].get("LostRace") for answer in answers), "no two of them ever met at the pointer"
