"""Fault 12: a pointer, or an item, that expires. Nothing of ours asks for it, on either store or in the table."""

from __future__ import annotations

from typing import Any

from kumo_sandbox.testing.releases import Shop

from kumo_assets.config.query import Table
from kumo_assets.releases.operations.promote import promote
from kumo_assets.resources.dynamodb import tables


def test_nothing_that_is_served_ever_expires(either: Shop) -> None:
    calls: list[tuple[str, dict[str, Any]]] = []
    for service in (either.ctx.objects.client, either.ctx.dynamodb):
        service.meta.events.register(
            "provide-client-params.*.*", lambda params, model, **_: calls.append((model.name, dict(params)))
        )
    release = either.build()
    wanted = Table(point_in_time_recovery=True)
    name = either.ctx.names.dynamodb_table(release)
    tables.care_for(either.ctx.dynamodb, name, wanted, either.ctx.names.tags(release))
    promote(either.ctx, release, by="sensor")
    assert "UpdateTimeToLive" not in [operation for operation, _ in calls]
    assert not [parameters for operation, parameters in calls if operation == "PutObject" and "Expires" in parameters]
    ttl = either.ctx.dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    assert ttl["TimeToLiveStatus"] == "DISABLED"
    store: Any = either.ctx.pointers
    if hasattr(store, "path"):
        _, stat = store._connected().get(store.path)
        assert stat.ephemeralOwner == 0, "it would go with its writer's session"
        assert stat.owner_session_id is None
    else:
        head = either.ctx.objects.client.head_object(Bucket=store.objects.bucket, Key=store.key)
        assert "Expires" not in head
        assert "Expiration" not in head
