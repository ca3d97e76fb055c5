"""A person rolls back from a machine of another region, or of none, or behind a proxy: the release's own region counts."""

from __future__ import annotations

from typing import Any

import pytest

from kumo_assets.documents import Seal
from kumo_assets.releases.context import proxied, trial
from kumo_assets.releases.operations.promote import promote
from kumo_assets.releases.operations.rollback import rollback
from kumo_assets_tests.resources.kumo.scripted import ScriptedServer, ok
from kumo_assets_tests.support.memory_aws import Memory, MemoryDynamoDB
from kumo_assets_tests.support.memory_shop import memory_shop

HOME = "eu-west-1"


class InRegion(MemoryDynamoDB):
    """A client of one region; tables are in us-east-1 alone, as the shop's seals say."""

    class meta:
        region_name = HOME

    def describe_table(self, *, TableName: str) -> dict[str, Any]:
        raise AssertionError(f"{TableName} was looked for in {HOME}")


def test_a_rollback_by_query_asks_the_region_that_the_release_is_in() -> None:
    found = memory_shop()
    old, new = found.build("2017-11-28"), found.build("2017-11-29")
    for release in (old, new):
        promote(found.ctx, release, by="ann")
    ctx = found.another_context()
    asked: list[str | None] = []

    def there(region: str | None = None) -> Any:
        asked.append(region)
        return found.memory.dynamodb()

    ctx.make_dynamodb = lambda: InRegion(found.memory)
    ctx.cache.sessions.dynamodb = there  # type: ignore[method-assign]
    assert rollback(ctx, by="ann", reason="odd").pointer.release_id == old
    assert set(asked) == {"us-east-1"}


def test_without_any_region_the_release_says_which(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    ctx = memory_shop(Memory()).another_context()
    ctx.__dict__.pop("dynamodb", None)
    ctx.make_dynamodb = ctx.cache.sessions.dynamodb
    assert ctx.dynamodb_in(HOME).meta.region_name == HOME


def test_behind_a_proxy_the_trial_goes_through_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = memory_shop()
    release = found.build("2017-11-29")
    sealed = found.ctx.store.sealed(release)
    assert sealed is not None
    seal: Seal = sealed.seal
    item = {"e": {"S": "1"}, "p": {"S": "[]"}}
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x" * 20)
    with ScriptedServer(lambda asked: ok({"Responses": {seal.table: [item]}, "UnprocessedKeys": {}})) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://dynamodb.us-east-1.example.invalid")
        monkeypatch.setenv("HTTP_PROXY", proxy.origin)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert proxied("us-east-1")
        assert trial(seal, ["1", "2"]) == {"2": "no item"}
        assert proxy.asked[0].headers["host"] == "dynamodb.us-east-1.example.invalid", (
            "no such name: the proxy was asked"
        )
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.invalid:3128")
    assert proxied("us-east-1")
    monkeypatch.setenv("NO_PROXY", "amazonaws.com")
    assert not proxied("us-east-1")
