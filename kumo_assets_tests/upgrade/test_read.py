"""Today's commands say of the old commit's state what the old commit's commands said of it."""

from __future__ import annotations

from typing import Any

import pytest

from kumo_assets_tests.upgrade import restore
from kumo_assets_tests.upgrade.conftest import ANSWERS, Old
from kumo_assets_tests.upgrade.project import EDITED, IN_ZOOKEEPER, ON_S3, QUERIES

# What depends on when it is asked, where the stores are, and how something is worded today.
VARIES = {
    "active_age_hours",
    "stale_after_hours",
    "candidate_waits_hours",
    "pointer",
    "candidate_words",
    "problems",
    "hold",
}


@pytest.fixture(scope="module")
def old(place: Old) -> Old:
    """All three queries, restored once: nothing here changes them."""
    for query in QUERIES:
        restore.restore(place.env, query, place.zookeeper)
    return place


def without(document: dict[str, Any], *fields: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in fields}


@pytest.mark.parametrize("query", QUERIES)
def test_every_release_has_the_state_it_had(old: Old, query: str) -> None:
    releases = old.run("releases", query)
    told = [without(one, "sealed_at", "words") for one in releases]
    assert told == [without(one, "sealed_at", "words") for one in ANSWERS[query]["releases"]]
    assert [one["sealed_at"] is None for one in releases] == [
        one["sealed_at"] is None for one in ANSWERS[query]["releases"]
    ]


def test_the_data_has_a_release_in_every_state() -> None:
    assert {one["state"] for one in ANSWERS[ON_S3]["releases"]} == {
        *("building", "blocked", "candidate", "active", "previous", "rejected", "retiring", "retired")
    }


@pytest.mark.parametrize("query", QUERIES)
def test_status_reads_the_pointer(old: Old, query: str) -> None:
    told, before = old.run("status", query), ANSWERS[query]["status"]
    # New fields are added; none of the old is gone or says something else.
    assert without({name: told[name] for name in before}, *VARIES) == without(before, *VARIES)
    assert len(told["problems"]) == len(before["problems"])
    assert told["pointer"].split("://")[0] == before["pointer"].split("://")[0]
    assert told["active_age_hours"] >= before["active_age_hours"]


def test_the_hold_of_an_old_rollback_holds(old: Old) -> None:
    assert old.run("status", IN_ZOOKEEPER)["hold"] == ANSWERS[IN_ZOOKEEPER]["status"]["hold"]


def test_an_edit_by_hand_is_reported_and_holds(old: Old) -> None:
    status = old.run("status", EDITED)
    assert status["hand_edited"]
    assert status["hold"]["by"] == "a hand edit"
    assert "edited by hand" in status["problems"][0]


@pytest.mark.parametrize("query", QUERIES)
def test_history_is_what_it_was(old: Old, query: str) -> None:
    assert old.run("history", query, "--limit", "1000") == ANSWERS[query]["history"]


@pytest.mark.parametrize("query", QUERIES)
def test_retirement_would_take_what_it_would_have_taken(old: Old, query: str) -> None:
    told, before = old.run("retire", query, "--dry-run"), ANSWERS[query]["retire"]
    assert {name: set(told[name]) for name in ("going", "kept", "orphans", "leftovers")} == {
        name: set(before[name]) for name in ("going", "kept", "orphans", "leftovers")
    }


@pytest.mark.parametrize(
    ("query", "day"), [(query, day) for query in QUERIES for day in ANSWERS[query]["gates"]], ids=lambda part: part
)
def test_every_verdict_is_explained_as_it_was_decided(old: Old, query: str, day: str) -> None:
    told, before = old.run("gates", query, "--partition", day), ANSWERS[query]["gates"][day]
    assert told["release_id"] == before["release_id"]
    # Of a verdict that is stored everything stored is the same, message and all; of one that is missing, that it is.
    wording = {"look_at", "segment"}
    for now, then in zip(told["verdicts"], before["verdicts"], strict=True):
        also = {"message"} if then["severity"] == "missing" else set()
        assert without(now, *wording, *also) == without(then, *wording, *also)


@pytest.mark.parametrize("query", QUERIES)
def test_the_model_in_use_and_past_decisions_are_what_they_were(old: Old, query: str) -> None:
    assert old.run("model", query) == ANSWERS[query]["model"]


@pytest.mark.parametrize("query", QUERIES)
def test_a_lookup_answers_what_it_answered(old: Old, query: str) -> None:
    varies = ("pointer", "pointer_age_seconds")
    for entity in ("1", "999"):
        before = ANSWERS[query]["lookup"][entity]
        assert without(old.run("lookup", query, entity), *varies) == without(before, *varies)
