"""Today's commands move, hold and retire what the old commit left, in both pointer stores; the old reader follows."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from kumo_assets_tests.upgrade import restore
from kumo_assets_tests.upgrade.conftest import ANSWERS, Old, left
from kumo_assets_tests.upgrade.data_files import DATA
from kumo_assets_tests.upgrade.project import EDITED, ENVIRONMENT, IN_ZOOKEEPER, ON_S3

Restored = Callable[[str], Old]


def last_move(old: Old, query: str) -> tuple[Any, ...]:
    newest = old.run("history", query)[0]
    return tuple(newest[name] for name in ("action", "from_release", "to_release", "generation"))


def test_the_release_sealed_last_is_promoted_and_the_old_reader_serves_it(restored: Restored) -> None:
    """Of the two that wait for one day the id would name the other: the seals' own times decide."""
    old = restored(ON_S3)
    before = ANSWERS[ON_S3]["status"]
    [last, first] = left(ON_S3, "candidate", "2017-11-25")
    assert (before["candidate"], last < first) == (last, True)
    done = old.run("promote", ON_S3, "--by", "ann")
    assert (done["moved"], done["release_id"]) == (True, last)
    assert done["generation"] == before["generation"] + 1
    assert last_move(old, ON_S3) == ("promote", before["release_id"], last, done["generation"])
    old.run("promote", ON_S3, first, status=4)
    found = old.old_reader(ON_S3, last, "1", "999")
    assert found["release_id"] == found["fallback"] == last
    assert found["previous"] == [before["release_id"], *before["previous"]]
    assert (len(found["answers"]["1"]), found["answers"]["999"]) == (3, None)


@pytest.mark.parametrize("to", [None, "2017-11-20"], ids=["the newest earlier one", "a named one"])
def test_an_old_release_is_rolled_back_to_an_older_one(restored: Restored, to: str | None) -> None:
    old = restored(ON_S3)
    before = ANSWERS[ON_S3]["status"]
    [target] = left(ON_S3, "previous", to) if to else before["previous"][:1]
    done = old.run("rollback", ON_S3, *(("--to", target) if to else ()), "--reason", "bad", "--by", "ann")
    assert (done["left"], done["release_id"]) == (before["release_id"], target)
    assert done["hold"]["from_release"] == before["release_id"]
    assert b'"bad"' in old.object(ON_S3, f"releases/{before['release_id']}/rejected.json")
    assert last_move(old, ON_S3) == ("rollback", before["release_id"], target, before["generation"] + 1)
    found = old.old_reader(ON_S3, target, "1")
    assert (found["release_id"], found["held"]) == (target, True)


@pytest.mark.parametrize("state", ["retired", "retiring", "rejected", "blocked", "building"])
def test_no_rollback_to_a_release_that_the_old_commit_left(restored: Restored, state: str) -> None:
    old = restored(ON_S3)
    target = left(ON_S3, state)[0]
    before = old.object(ON_S3, "active.json")
    refused = old.run("rollback", ON_S3, "--to", target, "--reason", "bad", status=4)
    assert target in refused["error"]["message"]
    assert old.object(ON_S3, "active.json") == before


@pytest.mark.parametrize("query", [ON_S3, IN_ZOOKEEPER])
def test_a_hold_stops_promotion_until_it_is_lifted(restored: Restored, query: str) -> None:
    """On S3 today's hold; in ZooKeeper the one that the old rollback left."""
    old = restored(query)
    before = ANSWERS[query]["status"]
    if before["hold"] is None:
        assert old.run("hold", query, "--reason", "a holiday", "--by", "ann")["hold"]["reason"] == "a holiday"
    old.run("promote", query, status=4)
    assert old.run("status", query)["release_id"] == before["release_id"]
    lifted = old.run("unhold", query, "--yes", "--by", "ann")
    assert (lifted["next_release"], lifted["hold"]) == (before["candidate"], None)
    assert old.run("promote", query)["release_id"] == before["candidate"]
    assert [entry["action"] for entry in old.run("history", query)][:2] == ["promote", "unhold"]
    found = old.old_reader(query, before["candidate"], "1")
    assert (found["release_id"], found["held"]) == (before["candidate"], False)


def test_a_pointer_in_zookeeper_is_rolled_back_by_its_address_alone(restored: Restored) -> None:
    """Past the release that the old rollback rejected; the plain-text copy on S3 follows."""
    old = restored(IN_ZOOKEEPER)
    before = ANSWERS[IN_ZOOKEEPER]["status"]
    old.run("unhold", IN_ZOOKEEPER, "--yes")
    old.run("promote", IN_ZOOKEEPER)
    assert old.object(IN_ZOOKEEPER, "active-table.txt").decode().strip().endswith(before["candidate"])
    done = old.run("rollback", "--pointer", old.pointer(IN_ZOOKEEPER), "--reason", "bad")
    assert (done["left"], done["release_id"]) == (before["candidate"], before["release_id"])
    assert old.old_reader(IN_ZOOKEEPER, before["release_id"])["release_id"] == before["release_id"]


def test_an_edit_by_hand_is_recorded_once_and_lifted(restored: Restored) -> None:
    old = restored(EDITED)
    before = ANSWERS[EDITED]["status"]
    old.run("promote", EDITED, status=4)
    lifted = old.run("unhold", EDITED, "--yes", "--by", "ann")
    assert lifted["release_id"] == before["release_id"]
    moves = [entry for entry in old.run("history", EDITED) if entry["action"] != "refuse"]
    assert [entry["action"] for entry in moves][:3] == ["unhold", "hand_edit", "force"]
    assert (moves[1]["from_release"], moves[1]["to_release"]) == (moves[2]["to_release"], before["release_id"])
    status = old.run("status", EDITED)
    assert (status["hand_edited"], status["forced"], status["table"]) == (False, None, before["table"])
    found = old.old_reader(EDITED, before["release_id"], "1")
    assert found["answers"]["1"] == ANSWERS[EDITED]["lookup"]["1"]["predictions"]


def test_a_forced_release_is_active_again_when_the_edit_is_taken_back(restored: Restored) -> None:
    old = restored(EDITED)
    written = (DATA / "pointer_before_edit.json").read_bytes()
    key = f"{ENVIRONMENT}/{EDITED}/active.json"
    boto3.client("s3").put_object(Bucket=old.bucket, Key=key, Body=written)
    status = old.run("status", EDITED)
    assert (status["hand_edited"], status["hold"]) == (False, None)
    assert status["release_id"] == json.loads(written)["release_id"]
    assert status["forced"]["reason"] == "the gates were not asked"
    assert old.states(EDITED)[status["release_id"]] == "active"
    # Nor is it ever known good: going back passes it by.
    old.run("rollback", EDITED, "--reason", "bad")
    old.run("rollback", EDITED, "--to", status["release_id"], "--reason", "again", status=4)


def test_retirement_deletes_what_the_old_commit_would_have_deleted_and_nothing_else(restored: Restored) -> None:
    old = restored(ON_S3)
    restore.restore_warehouse(old.env, ON_S3)
    going = set(ANSWERS[ON_S3]["retire"]["going"])
    before = what_is_there(old)
    assert set(old.run("retire", ON_S3, "--by", "ann")["retired"]) == going
    objects, tables, warehouse = what_is_there(old)
    gone = {key for key in before[0] if "/export" in key and key.split("/")[3] in going}
    assert len(gone) == len(going)
    assert before[0].keys() - objects.keys() == gone
    assert before[1] - tables == {f"{ENVIRONMENT}-{ON_S3}-{release}" for release in going}
    marks = {release.replace("-", "_").upper() for release in going}
    dropped = before[2] - warehouse
    assert len(dropped) == 2 * len(going) - 1, "the repaired release had adopted its predictions"
    assert dropped == {name for name in before[2] if any(mark in name for mark in marks)}
    # Of what stays, only the pointer is written anew: without what is gone.
    changed = {key.rpartition("/")[2] for key, digest in objects.items() if before[0].get(key, digest) != digest}
    assert changed == {"active.json"}
    retired = {one for one, state in old.states(ON_S3).items() if state == "retired"}
    assert retired == going | set(left(ON_S3, "retired"))
    active = ANSWERS[ON_S3]["status"]["release_id"]
    assert old.old_reader(ON_S3, active)["release_id"] == active
    # What was kept only for a release that is gone now goes next.
    assert old.run("retire", ON_S3)["retired"] == left(ON_S3, "rejected")


def what_is_there(old: Old) -> tuple[dict[str, str], set[str], set[str]]:
    """S3 objects with their digests, DynamoDB tables, Snowflake tables."""
    return (
        restore.objects(old.bucket, ON_S3),
        restore.table_names(ON_S3),
        restore.warehouse_tables(old.env, ON_S3),
    )
