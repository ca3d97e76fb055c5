"""What the ledger does with each answer of S3: an entry is written when it is there, and not when S3 says so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kumo_assets.config.names import QueryNames
from kumo_assets.documents import LedgerEntry
from kumo_assets.errors import ObjectStoreError
from kumo_assets.releases.ledger import Ledger
from kumo_assets.releases.store import ReleaseStore
from kumo_assets.resources import s3_objects
from kumo_assets_tests.resources.kumo.scripted import ScriptedServer
from kumo_assets_tests.support.opened import OPENED
from kumo_assets_tests.support.scripted_s3 import DONE, GONE, IN_PROGRESS, TOO_LATE, content, in_turn, objects_of

NAMES = QueryNames(environment="local", query="next_best_product", bucket="a-bucket")
ENTRY = LedgerEntry(query=NAMES.query, at="2017-12-01T10:00:00.000Z", action="promote", by="ann", generation=1)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    monkeypatch.setattr(s3_objects, "FIRST_PAUSE_SECONDS", 0.001)
    with ScriptedServer() as made:
        yield made


def test_a_conflict_is_retried(server: ScriptedServer) -> None:
    server.script = in_turn(IN_PROGRESS, IN_PROGRESS, DONE)
    Ledger(NAMES, objects_of(server)).append(ENTRY, "1a2b3c4d")
    assert {asked.path for asked in server.asked} == {
        "/a-bucket/local/next_best_product/ledger/20171201T100000.000000Z-1a2b3c4d.json"
    }
    assert len(server.asked) == 3


def test_a_conflict_that_lasts_is_no_entry(server: ScriptedServer) -> None:
    server.script = in_turn(IN_PROGRESS)
    with pytest.raises(ObjectStoreError, match=r"append to the ledger.*ConditionalRequestConflict.*the next command"):
        Ledger(NAMES, objects_of(server)).append(ENTRY, "1a2b3c4d")


def test_only_what_the_pointer_carries_is_said_to_be_recorded_later(server: ScriptedServer) -> None:
    """A refusal is in no pointer."""
    server.script = in_turn(IN_PROGRESS)
    with pytest.raises(ObjectStoreError, match=r"ConditionalRequestConflict.*no move is lost by it; this entry is\.$"):
        Ledger(NAMES, objects_of(server)).append(ENTRY)


def test_an_entry_that_exists_was_written_by_whoever_found_it_unrecorded(server: ScriptedServer) -> None:
    server.script = lambda asked: content(ENTRY.to_json()) if asked.method == "GET" else TOO_LATE
    Ledger(NAMES, objects_of(server)).append(ENTRY, "1a2b3c4d")


def test_an_entry_that_is_said_to_exist_and_does_not_is_not_written(server: ScriptedServer) -> None:
    server.script = lambda asked: GONE if asked.method == "GET" else TOO_LATE
    with pytest.raises(ObjectStoreError, match=r"append to the ledger.*there is none"):
        Ledger(NAMES, objects_of(server)).append(ENTRY, "1a2b3c4d")


def test_no_release_is_opened_because_s3_says_that_it_is(server: ScriptedServer) -> None:
    server.script = lambda asked: GONE if asked.method == "GET" else TOO_LATE
    with pytest.raises(ObjectStoreError, match="there is none"):
        ReleaseStore(NAMES, objects_of(server)).open(OPENED)
