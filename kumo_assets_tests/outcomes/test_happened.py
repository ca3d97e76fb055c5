"""What happened, as a query says it: every definition that cannot be used is refused when definitions load; and who was live."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kumo_assets.assets.definition_check import demand_usable
from kumo_assets.config.index import DefinitionsIndex
from kumo_assets.documents import LedgerEntry
from kumo_assets.errors import ConfigError
from kumo_assets.outcomes.live import Stay, hours_live, live_before, stays
from kumo_assets_tests.support.definitions import QUERY, RAW

EVENTS = "  outcomes: {events: {log: transactions, entity: USER_ID, class: ITEM_ID}}\n"
SINCE = datetime(2017, 11, 1, tzinfo=UTC)


def usable(folder: Path, outcomes: str, sql: str | None = None, raw: str = RAW) -> None:
    for name, text in (("q1", QUERY + outcomes), ("raw_logs", raw)):
        (folder / name).mkdir()
        (folder / name / "defs.yaml").write_text(text)
    if sql is not None:
        (folder / "q1" / "outcomes.sql").write_text(sql)
    index = DefinitionsIndex(folder)
    demand_usable(index, index.query("q1"))


@pytest.mark.parametrize(
    ("outcomes", "sql"),
    [
        ("", None),
        (EVENTS, None),
        ("  outcomes: {}\n", "SELECT A AS ENTITY, B AS CLASS FROM {{ transactions }} WHERE AT < {{ end }}"),
    ],
    ids=["none", "events", "a file"],
)
def test_what_happened_is_said_once(tmp_path: Path, outcomes: str, sql: str | None) -> None:
    usable(tmp_path, outcomes, sql)


@pytest.mark.parametrize(
    ("outcomes", "sql", "raw", "words"),
    [
        ("  outcomes: {}\n", None, RAW, "neither outcomes.events nor outcomes.sql"),
        (EVENTS, "SELECT 1", RAW, "outcomes.events, and outcomes.sql beside it"),
        (EVENTS, None, RAW.replace(", event_time: AT", ""), "transactions has no event_time"),
        ("  outcomes: {}\n", "SELECT * FROM {{ clicks }}", RAW, "unknown placeholder {{ clicks }}"),
        ("  outcomes: {}\n", "SELECT 1; SELECT 2", RAW, "a second statement"),
    ],
)
def test_what_cannot_be_used_is_refused_when_definitions_load(
    tmp_path: Path, outcomes: str, sql: str | None, raw: str, words: str
) -> None:
    with pytest.raises(ConfigError) as error:
        usable(tmp_path, outcomes, sql, raw)
    assert words in str(error.value)


def entry(action: Any, to: str, hour: int, *, left: str = "", generation: int = 1, **more: Any) -> LedgerEntry:
    at = (SINCE + timedelta(hours=hour)).isoformat()
    return LedgerEntry(
        query="q1", at=at, action=action, by="a test", from_release=left, to_release=to, generation=generation, **more
    )


def test_a_hand_counts_and_a_refusal_or_an_accepted_hole_does_not() -> None:
    found = stays(
        [
            entry("promote", "r1", 1),
            entry("refuse", "r2", 2, left="r1", generation=0),
            entry("hold", "r1", 3, left="r1"),
            entry("hand_edit", "r2", 4, left="r1", generation=0),
            entry("hand_edit", "", 5, generation=0, accepts=(3, 3)),
            entry("hand_edit", "", 6, left="r2", generation=0),
            entry("promote", "r3", 7),
        ],
        SINCE,
    )
    assert [(stay.release, (stay.start - SINCE) // timedelta(hours=1)) for stay in found] == [
        ("r1", 1), ("r2", 4), ("", 6), ("r3", 7)
    ]  # fmt: skip
    assert hours_live(found, "r2", SINCE + timedelta(hours=9)) == 2
    assert hours_live(found, "r3", SINCE + timedelta(hours=9)) == 2
    assert live_before(found, "r3") == "", "a table of no release"
    assert live_before(found, "r2") == "r1"


def test_who_was_live_before_the_first_entry_is_known_by_it() -> None:
    found = stays([entry("promote", "r9", 5, left="r8")], SINCE)
    assert live_before(found, "r9") == "r8"
    assert stays([], SINCE, "r9") == [Stay("r9", SINCE, None)]
    assert stays([], SINCE) == []
