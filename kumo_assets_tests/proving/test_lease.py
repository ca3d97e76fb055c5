"""Whose proof may be cleaned up: one's own, one of the same person here whose process has ended, and any older than a day."""

from __future__ import annotations

import os
import socket
from datetime import timedelta

import pytest

from kumo_assets.proving.cleaning import Cleaner
from kumo_assets.proving.lease import Lease, begin, left_behind
from kumo_assets.proving.names import ProofNames, names_of
from kumo_assets.resources.processes import PROCESS_TAG, STARTED_TAG, process_tags
from kumo_assets.resources.s3_objects import ObjectStore
from kumo_assets.resources.waiting import Narrator
from kumo_assets_tests.support.memory_aws import Memory

BUCKET, DAY = "a-bucket", "2026-11-30"


def names(proof: str) -> ProofNames:
    return names_of("staging", BUCKET, proof)


OURS, OTHER = names("0" * 8), names("abcdef12")


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def objects(memory: Memory) -> ObjectStore:
    return ObjectStore(BUCKET, memory.s3())


def elsewhere() -> dict[str, str]:
    return {**process_tags(), PROCESS_TAG: "1@another-machine", STARTED_TAG: "another/boot/1"}


def gone() -> dict[str, str]:
    """A process of this machine that has ended: its number is another's now, or nobody's."""
    place = process_tags()[STARTED_TAG].rpartition("/")[0]
    return {**process_tags(), PROCESS_TAG: f"{os.getpid()}@{socket.gethostname()}", STARTED_TAG: f"{place}/1"}


@pytest.mark.parametrize(
    ("process", "by", "hours", "word"),
    [
        (process_tags(), None, 0, "lives"),
        (process_tags(), None, 48, "lives"),
        (gone(), None, 0, ""),
        (gone(), "somebody@else", 0, "less than 24 hours"),
        (gone(), "somebody@else", 25, ""),
        (elsewhere(), None, 0, "less than 24 hours"),
        (elsewhere(), None, 23, "less than 24 hours"),
        (elsewhere(), None, 25, ""),
    ],
    ids=[
        "runs",
        "runs-for-days",
        "ended-here",
        "ended-here-of-another",
        "ended-of-another-old",
        "elsewhere",
        "elsewhere-23h",
        "elsewhere-25h",
    ],
)
def test_whose_proof_may_be_cleaned_up(
    memory: Memory, objects: ObjectStore, process: dict[str, str], by: str | None, hours: float, word: str
) -> None:
    more = {"process": process} | ({"by": by} if by else {})
    begin(OTHER, DAY, objects, **more)
    memory.clock.now += timedelta(hours=hours)
    ((found, lease, why_not),) = left_behind(OURS, objects)
    assert found == OTHER
    assert lease is not None
    assert word in why_not if word else why_not == ""


def test_own_folder_and_what_is_no_proof_are_passed_over(objects: ObjectStore) -> None:
    begin(OURS, DAY, objects)
    objects.put("staging/proof/releases/20261130-abcdef12/opened.json", b"{}")
    assert list(left_behind(OURS, objects)) == []


@pytest.mark.parametrize("data", [None, b"{", b'{"query": "proof"}'], ids=["missing", "no-json", "no-lease"])
def test_proof_without_a_lease_is_left_alone(objects: ObjectStore, data: bytes | None) -> None:
    objects.put(f"{OTHER.root}something.json", b"{}")
    if data is not None:
        objects.put(OTHER.lease_key, data)
    ((_, lease, why_not),) = left_behind(OURS, objects)
    assert lease is None
    assert why_not


def cleaner(memory: Memory, objects: ObjectStore) -> Cleaner:
    return Cleaner(objects, memory.dynamodb, Narrator(lambda line: None))


def make_table(memory: Memory, name: str) -> None:
    memory.dynamodb().create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "e", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "e", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        DeletionProtectionEnabled=True,
        Tags=[],
    )


def test_cleaning_takes_what_one_proof_made_and_nothing_else(memory: Memory, objects: ObjectStore) -> None:
    mine, of_another = begin(OTHER, DAY, objects), names("12345678")
    begin(of_another, DAY, objects)
    release = OTHER.release(DAY)
    kept = [
        f"{OTHER.dynamodb_table(release)}-restored",
        of_another.dynamodb_table(of_another.release(DAY)),
        f"staging-proofs-{release}",
    ]
    for name in (OTHER.dynamodb_table(release), OTHER.dynamodb_table(release, 3), *kept):
        make_table(memory, name)
    objects.put(f"{OTHER.root}releases/x/export/data.csv.gz", b"rows")
    objects.put("staging/query/active.json", b"{}")
    assert cleaner(memory, objects).clean(OTHER, mine) == []
    assert sorted(memory.tables) == sorted(kept)
    assert {item.key for item in objects.list("staging/")} == {of_another.lease_key, "staging/query/active.json"}


def test_lease_stays_while_something_could_not_be_deleted(memory: Memory, objects: ObjectStore) -> None:
    lease = begin(OTHER, DAY, objects)
    objects.put(f"{OTHER.root}object.json", b"{}")

    def away() -> None:
        raise ConnectionError("DynamoDB is away")

    broken = Cleaner(objects, away, Narrator(lambda line: None))  # type: ignore[arg-type]
    (left,) = broken.clean(OTHER, lease)
    assert "DynamoDB is away" in left
    assert [item.key for item in objects.list(OTHER.root)] == [OTHER.lease_key]
    stored = objects.get(OTHER.lease_key)
    assert stored is not None
    assert Lease.from_json(stored.data, "") == lease
