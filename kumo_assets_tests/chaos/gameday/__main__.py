"""`python -m kumo_assets_tests.chaos.gameday`: the whole drill, in some three minutes; exit status 1 when a read failed or a
scene ended otherwise than it should."""

from __future__ import annotations

import logging
import sys

from rich.console import Console

from kumo_assets_tests.chaos.gameday.chain_scenes import chain_scenes
from kumo_assets_tests.chaos.gameday.night_scenes import night_scenes
from kumo_assets_tests.chaos.gameday.pointer_scenes import backfill_races, zookeeper_dies
from kumo_assets_tests.chaos.gameday.stage import stage
from kumo_assets_tests.chaos.gameday.timeline import Timeline


def main() -> int:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    # The driver tells of each attempt to reach a dead server; what that means for readers is in the timeline.
    logging.getLogger("kazoo").setLevel(logging.CRITICAL)
    timeline = Timeline(console)
    with timeline.scene("servers"), stage() as made:
        timeline.add("sandbox and ZooKeeper started", "Snowflake, AWS, Kumo and ZooKeeper on this machine")
        chain_scenes(made, timeline)
        zookeeper_dies(made, timeline)
        backfill_races(made, timeline)
        night_scenes(made, timeline)
    console.print(timeline.table())
    for words in timeline.failed[:10]:
        console.print(f"failed read: {words}", markup=False)
    if not timeline.good:
        console.print("[red]The drill did not end as it should.[/]")
    console.print(f"failed reads: {len(timeline.failed)} of {timeline.reads:,}")
    return 0 if timeline.good else 1


if __name__ == "__main__":
    sys.exit(main())
