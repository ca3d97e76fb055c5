"""What artefacts were made from, and which release a run that adopts builds. In memory; no server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from kumo_sandbox.testing.releases import definition

from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.names import CHAIN, QueryNames
from kumo_assets.documents import Artefact, Attempt, Opened, Verdict, utc_now
from kumo_assets.errors import Refused, ReleaseError
from kumo_assets.releases.fingerprints import (
    MadeFrom,
    differences,
    fingerprint_of,
    first_difference,
    of_file,
    without_fingerprint,
)
from kumo_assets.releases.run import RunIdentity, open_release, release_under_check
from kumo_assets.releases.store import ReleaseStore
from kumo_assets.resources.s3_objects import ObjectStore
from kumo_assets_tests.support.memory_aws import Memory

DAY = "2017-11-30"
ROOT, OTHER = "1a2b3c4d" * 4, "5e6f7a8b" * 4
RELEASE = "20171130-1a2b3c4d"


@pytest.fixture
def store() -> ReleaseStore:
    return ReleaseStore(QueryNames("local", "q1", "bucket"), ObjectStore("bucket", Memory().s3()))


@pytest.fixture
def query() -> QueryDefinition:
    return definition("q1")


def run(root: str = ROOT, adopts: str | None = None) -> RunIdentity:
    return RunIdentity(run_id=root, root_run_id=root, partition=DAY, by="ann", adopts=adopts)


def opened(store: ReleaseStore, query: QueryDefinition, asset: str = "predictions", **more: Any) -> Opened:
    who = more.pop("run", run())
    return open_release(store, who, query, asset, gates={}, code_version="1", **more)


def artefact(store: ReleaseStore, release: str, asset: str, made_from: MadeFrom | None) -> Artefact:
    return store.write_artefact(
        Artefact(
            query="q1",
            release_id=release,
            asset=asset,
            attempt=1,
            name=asset,
            rows=1,
            entities=1,
            seconds_outside=0,
            created_at=utc_now(),
            made_from=None if made_from is None else dict(made_from),
            fingerprint=None if made_from is None else fingerprint_of(made_from),
        )
    )


def test_equal_parts_have_one_fingerprint_in_any_order() -> None:
    assert fingerprint_of({"a": 1, "b": ["é"]}) == fingerprint_of({"b": ["é"], "a": 1})
    assert fingerprint_of({"a": 1}) != fingerprint_of({"a": "1"})


@pytest.mark.parametrize(
    ("recorded", "now", "said"),
    [
        ({"top_k": 5}, {"top_k": 5}, []),
        ({"top_k": 5}, {"top_k": 3}, ["top_k was 5 and is 3"]),
        ({"pin": None}, {"pin": "m1"}, ['pin was unset and is "m1"']),
        ({"predictions": "ab"}, {"predictions": "cd"}, ["it was built on another predictions"]),
        ({"SQL": of_file("p.sql", "a")}, {"SQL": of_file("p.sql", "b")}, ["p.sql has changed"]),
        ({"SQL": of_file("rank.sql", "a")}, {"SQL": of_file("p.sql", "a")}, ["p.sql takes the place of rank.sql"]),
        # The best of 12 candidates are the best of 8; of 8 they are not the best of 12.
        ({"candidates": 12}, {"candidates": 8}, []),
        ({"candidates": 8}, {"candidates": 12}, ["candidates was 8 and is 12"]),
        # What an earlier version did not record.
        (None, {"top_k": 3}, []),
        ({"top_k": 3}, {"top_k": 3, "new": True}, []),
    ],
)
def test_what_differs_is_said_part_by_part(recorded: MadeFrom | None, now: MadeFrom, said: list[str]) -> None:
    assert differences(recorded, now) == said


def built_on(asset: str, source: Artefact | None, **parts: Any) -> MadeFrom:
    return parts | ({source.asset: source.fingerprint} if source is not None else {})


def test_the_first_difference_along_the_chain_is_found_in_the_release_that_made_it(
    store: ReleaseStore, query: QueryDefinition
) -> None:
    release = opened(store, query)
    source = None
    for asset in CHAIN[:3]:
        source = artefact(store, RELEASE, asset, built_on(asset, source, of=asset))
    assert first_difference(store, release, lambda asset, source: built_on(asset, source, of=asset)) is None

    def edited(asset: str, source: Artefact | None) -> MadeFrom:
        return built_on(asset, source, of="new" if asset != "predictions" else asset)

    found = first_difference(store, release, edited)
    assert found is not None
    assert (found.asset, found.release_id, found.above) == ("postprocessed", RELEASE, ("predictions",))
    assert first_difference(store, release, edited, ["predictions"]) is None
    adopting = opened(store, query, "s3_export", run=run(OTHER))
    found = first_difference(store, adopting, edited)
    assert found is not None
    assert (found.asset, found.release_id) == ("postprocessed", RELEASE)


def test_what_an_earlier_version_recorded_counts_as_agreeing_and_is_named(
    store: ReleaseStore, query: QueryDefinition
) -> None:
    release = opened(store, query)
    artefact(store, RELEASE, "predictions", None)
    artefact(store, RELEASE, "postprocessed", {"predictions": None, "top_k": 5})
    same: Callable[[str, Artefact | None], MadeFrom] = lambda asset, source: built_on(asset, source, top_k=5)  # noqa: E731
    assert first_difference(store, release, same) is None
    assert without_fingerprint(store, release) == ["predictions"]


def test_a_run_adopts_the_release_that_it_names_and_not_the_newest(store: ReleaseStore, query: QueryDefinition) -> None:
    opened(store, query)
    opened(store, query, run=run(OTHER))
    for release in (RELEASE, "20171130-5e6f7a8b"):
        artefact(store, release, "predictions", {"of": release})
    assert opened(store, query, "postprocessed", run=run("8" * 32)).adopted == {"predictions": "20171130-5e6f7a8b"}
    third = run("9" * 32, adopts=RELEASE)
    assert release_under_check(store, third, "predictions")[0].release_id == RELEASE
    made = opened(store, query, "postprocessed", run=third)
    assert made.adopted == {"predictions": RELEASE}
    assert release_under_check(store, third, "predictions")[0].release_id == RELEASE
    elsewhere = RunIdentity(run_id="7" * 32, root_run_id="7" * 32, partition="2017-11-29", by="ann", adopts=RELEASE)
    with pytest.raises(ReleaseError, match="no release of this partition has predictions"):
        opened(store, query, "postprocessed", run=elsewhere)


def test_a_release_that_is_refused_is_not_opened(store: ReleaseStore, query: QueryDefinition) -> None:
    opened(store, query)
    artefact(store, RELEASE, "predictions", {"of": "old"})

    def refuse(release: Opened) -> None:
        raise Refused("go on", found=f"{release.adopted}")

    with pytest.raises(Refused, match=RELEASE):
        opened(store, query, "postprocessed", run=run(OTHER), judge=refuse)
    assert store.opened("20171130-5e6f7a8b") is None
    with pytest.raises(Refused):
        opened(store, query, judge=refuse)


def test_an_attempt_is_what_it_was_begun_with_first(store: ReleaseStore) -> None:
    assert store.attempt(RELEASE, "postprocessed", 1) is None
    mine, other = (
        Attempt(
            query="q1",
            release_id=RELEASE,
            asset="postprocessed",
            attempt=1,
            made_from={"of": who},
            fingerprint=fingerprint_of({"of": who}),
            run_id=who,
            by=who,
            begun_at=utc_now(),
        )
        for who in ("mine", "other")
    )
    assert store.begin_attempt(mine) == mine
    assert store.begin_attempt(other) == mine
    assert store.attempt(RELEASE, "postprocessed", 1) == mine
    assert store.attempt(RELEASE, "postprocessed", 2) is None


def verdict(block: float, *, passed: bool, **more: Any) -> Verdict:
    return Verdict(
        query="q1",
        release_id=RELEASE,
        partition=DAY,
        gate="volume",
        asset="predictions",
        mode="block",
        passed=passed,
        severity="ok" if passed else "error",
        limits={"block": block},
        message="volume",
        decided_at=utc_now(),
        run_id="run",
        **more,
    )


def test_a_verdict_by_new_limits_keeps_the_old_ones_until_the_seal(store: ReleaseStore) -> None:
    store.write_verdict(verdict(0.1, passed=False))  # as an earlier version wrote it
    store.write_verdict(verdict(0.2, passed=False, settings={"block": 0.2}))
    store.write_verdict(verdict(0.2, passed=False, settings={"block": 0.2}))
    store.write_verdict(verdict(0.9, passed=True, settings={"block": 0.9}))
    found = store.verdict(RELEASE, "volume")
    assert found is not None
    assert (found.limits, found.passed) == ({"block": 0.9}, True)
    assert [(item.limits, item.passed) for item in found.earlier] == [({"block": 0.1}, False), ({"block": 0.2}, False)]
    store.objects.put(f"{store.names.release_prefix(RELEASE)}release.json", b"sealed")
    store.write_verdict(verdict(0.0, passed=False, settings={"block": 0.0}))
    assert store.verdict(RELEASE, "volume") == found
