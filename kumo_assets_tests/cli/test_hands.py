"""The command line around holds of several people, a ledger with a hole, and `doctor`'s trial of S3. S3 is in memory, behind
the client that every command makes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kumo_sandbox.testing.releases import BUCKET

from kumo_assets.cli import doctor
from kumo_assets.errors import ConfigError, ObjectStoreError
from kumo_assets.releases.operations.hold import hold, preview_unhold, unhold
from kumo_assets.releases.operations.promote import promote
from kumo_assets.releases.operations.retire import plan
from kumo_assets.resources.aws import Sessions
from kumo_assets_tests.chain.conftest import QUERY, SHIPPED
from kumo_assets_tests.cli.conftest import kumo_assets
from kumo_assets_tests.releases.conftest import aws_variables  # noqa: F401
from kumo_assets_tests.support.memory_aws import MemoryS3, answer
from kumo_assets_tests.support.memory_shop import MemoryShop, memory_shop


@pytest.fixture
def shop(aws_variables: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryShop:  # noqa: F811
    """A query with one day promoted, its definition in a folder, and the account behind every client."""
    made = memory_shop()
    for name in (made.query, "other_query"):
        (tmp_path / "defs" / name).mkdir(parents=True)
        (tmp_path / "defs" / name / "defs.yaml").write_text((SHIPPED / QUERY / "defs.yaml").read_text())
    monkeypatch.setenv("KUMO_ASSETS_DEFS", str(tmp_path / "defs"))
    monkeypatch.setenv("KUMO_ASSETS_ENV", "local")
    monkeypatch.setenv("KUMO_ASSETS_BUCKET", BUCKET)
    monkeypatch.setattr(Sessions, "s3", lambda self: made.memory.s3())
    monkeypatch.setattr(Sessions, "dynamodb", lambda self, region=None: made.memory.dynamodb())
    made.build("2017-11-28")
    promote(made.ctx, None, by="sensor")
    return made


def toggle(found: MemoryShop, times: int) -> None:
    for _ in range(times):
        hold(found.ctx, by="ann", reason="looking")
        unhold(found.ctx, preview_unhold(found.ctx), by="ann")


def test_unhold_shows_all_holds_and_ends_ones_own(shop: MemoryShop) -> None:
    held = kumo_assets("hold", shop.query, "--reason", "looking", "--by", "ann", "--json").document
    assert (held["hold"]["by"], len(held["holds"])) == ("ann", 1)
    held = kumo_assets("hold", shop.query, "--reason", "me too", "--by", "bob", "--json").document
    assert (held["hold"]["by"], [one["by"] for one in held["holds"]]) == ("bob", ["ann", "bob"])
    page = kumo_assets("status", shop.query).out
    assert page.index("HELD by ann") < page.index("HELD by bob")
    refused = kumo_assets("unhold", shop.query, "--yes", "--by", "carl")
    assert refused.status == 4
    assert "looking (ann" in refused.err
    assert "me too (bob" in refused.err
    lifted = kumo_assets("unhold", shop.query, "--yes", "--by", "bob", "--json")
    assert "The hold: me too (bob" in lifted.err
    assert "Not lifted: looking (ann" in lifted.err
    assert (lifted.document["hold"]["by"], lifted.document["next_release"]) == ("ann", None)
    lifted = kumo_assets("unhold", shop.query, "--yes", "--by", "bob", "--of", "ann", "--json")
    assert (lifted.document["hold"], lifted.document["holds"]) == (None, [])


@pytest.mark.parametrize("command", ["rollback", "hold", "promote"])
def test_a_reason_that_is_too_long_is_wrong_usage(shop: MemoryShop, command: str) -> None:
    more = (shop.built[0], "--force") if command == "promote" else ()
    done = kumo_assets(command, shop.query, *more, "--reason", "x" * 33_000)
    assert done.status == 2
    assert "--reason has 33,000 bytes" in done.err


def test_a_host_of_a_very_long_name_stops_nobody(shop: MemoryShop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "h" * 253)
    held = kumo_assets("hold", shop.query, "--reason", "looking", "--json").document["hold"]
    assert held["by"].endswith("hhh...")
    assert kumo_assets("unhold", shop.query, "--yes").status == 0


def test_doctor_accepts_a_hole_and_retirement_works_again(shop: MemoryShop) -> None:
    toggle(shop, 2)
    second = sorted(key for key in shop.memory.objects if "/ledger/" in key)[1]
    del shop.memory.objects[second]
    assert "no entry of generation 2" in kumo_assets("status", shop.query).out
    assert "no entry of generation 2" in kumo_assets("history", shop.query).err
    with pytest.raises(ConfigError, match=f"{shop.query}: the ledger has no entry of generation 2"):
        doctor._ledgers(doctor._readable(doctor.definitions()))
    assert kumo_assets("doctor", "--accept-hole", "2").status == 2
    assert kumo_assets("doctor", "--accept-hole", "4", "--reason", "a wrong policy").status == 2
    assert kumo_assets("doctor", "other_query", "--accept-hole", "2", "--reason", "a wrong policy").status == 4
    done = kumo_assets("doctor", "--accept-hole", "2", "--reason", "a wrong policy", "--by", "ann", "--json")
    assert done.document == {"query": shop.query, "accepted": {"first": 2, "last": 2}}
    assert doctor._ledgers(doctor._readable(doctor.definitions())) == "2 queries"
    assert "--accept-hole" not in str(plan(shop.another_context()).kept)
    told = json.loads(kumo_assets("history", shop.query, "--json").out)
    assert (told[0]["by"], told[0]["accepts"], "accepts" in told[1]) == ("ann", [2, 2], False)
    assert kumo_assets("doctor", shop.query).status == 2, "without --accept-hole it is about every query"


def test_whatever_one_query_raises_hides_no_other(shop: MemoryShop, monkeypatch: pytest.MonkeyPatch) -> None:
    real = MemoryS3.get_object

    def get_object(self: MemoryS3, **options: Any) -> dict[str, Any]:
        if options["Key"].startswith("local/other_query/"):
            raise RecursionError("odd")
        return real(self, **options)

    monkeypatch.setattr(MemoryS3, "get_object", get_object)
    done = kumo_assets("status", "--json")
    assert done.status == 1
    assert {item["query"]: item.get("error") for item in done.document} == {
        shop.query: None,
        "other_query": "RecursionError: odd",
    }


IGNORED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "If-Match": lambda options: options.pop("IfMatch", None),
    "If-None-Match": lambda options: options.pop("IfNoneMatch", None),
}


@pytest.mark.parametrize("header", IGNORED)
def test_a_store_that_ignores_a_condition_is_found_by_doctor(
    shop: MemoryShop, header: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    doctor._s3()
    real = MemoryS3.put_object

    def put_object(self: MemoryS3, **options: Any) -> dict[str, Any]:
        IGNORED[header](options)
        return real(self, **options)

    monkeypatch.setattr(MemoryS3, "put_object", put_object)
    with pytest.raises(ConfigError, match=f"{header}.* was accepted"):
        doctor._s3()
    assert not [key for key in shop.memory.objects if ".doctor" in key]


def test_doctor_finds_a_ledger_that_may_not_be_written(shop: MemoryShop) -> None:
    shop.refuse("/ledger/")
    with pytest.raises(ObjectStoreError, match=r"AccessDenied.*deploy/iam"):
        doctor._s3()


def test_doctor_says_that_the_buckets_versions_may_not_be_listed(
    shop: MemoryShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.memory.versioned = True
    doctor._s3()

    def denied(self: MemoryS3, **_: Any) -> None:
        raise answer("AccessDenied", 403, "ListObjectVersions")

    monkeypatch.setattr(MemoryS3, "list_object_versions", denied)
    with pytest.raises(ObjectStoreError, match="s3:ListBucketVersions"):
        doctor._s3()
