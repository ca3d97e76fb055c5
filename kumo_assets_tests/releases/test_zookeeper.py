"""What only the pointer in ZooKeeper has: ACLs, and a connection that is lost in the middle of a write. Against the real
server; each test has a root of its own in it, so that it is the first to write there."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError, NotEmptyError
from kazoo.security import OPEN_ACL_UNSAFE
from kumo_sandbox.testing.releases import BUCKET, Shop, shop
from kumo_serving import open_pointer
from kumo_serving.pointer import parse_pointer

from kumo_assets.config.environment import Environment
from kumo_assets.errors import ReleaseError
from kumo_assets.releases.operations.promote import promote
from kumo_assets.releases.operations.rollback import rollback
from kumo_assets_tests.support.zookeeper import CREATE, SET_DATA, Wire, wire_to

pytestmark = pytest.mark.zookeeper
AUTH = "KUMO_ASSETS_ZOOKEEPER_AUTH"


@contextmanager
def connected(hosts: str, auth: str = "") -> Iterator[Any]:
    """Any ZooKeeper client; none of ours."""
    made = KazooClient(hosts, auth_data=[("digest", auth)] if auth else None)
    made.start(timeout=30)
    try:
        yield made
    finally:
        made.stop()
        made.close()


@pytest.fixture
def root(zookeeper: str) -> str:
    """A folder in which no test was yet."""
    made = f"/t{secrets.token_hex(6)}"
    with connected(zookeeper) as client:
        client.create(made)
    return made


@pytest.fixture
def stranger(zookeeper: str, root: str) -> Iterator[Any]:
    """A client without a password."""
    with connected(zookeeper + root) as made:
        yield made


@pytest.fixture
def wire(zookeeper: str) -> Iterator[Wire]:
    with wire_to(zookeeper) as made:
        yield made


@pytest.fixture
def opened(aws: str, stranger: Any, wire: Wire, root: str) -> Iterator[Callable[..., Shop]]:
    """Makes a query's context in an environment, on this test's root, over the wire."""
    made: list[Shop] = []

    def make(environment: str = "local", query: str | None = None) -> Shop:
        place = Environment(name=environment, bucket=BUCKET, zookeeper=f"127.0.0.1:{wire.port}{root}")
        made.append(shop("zookeeper", query=query, environment=place))
        return made[-1]

    yield make
    for one in made:
        one.ctx.close()


def test_anybody_reads_and_only_the_environments_user_writes(
    opened: Callable[..., Shop], stranger: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(AUTH, "pipeline:sesame")
    ours = opened()
    first, second = ours.build("2017-11-29"), ours.build("2017-11-30")
    promote(ours.ctx, first, by="ann")
    monkeypatch.delenv(AUTH)

    path = ours.ctx.names.znode
    assert parse_pointer(stranger.get(path)[0], ours.query).release_id == first
    service = open_pointer(ours.ctx.pointers.uri)
    found = service.read()
    service.close()
    assert found is not None
    assert parse_pointer(found.data, ours.query).release_id == first
    _refuses_all_writing(stranger, path)
    without = opened(query=ours.query)
    with pytest.raises(ReleaseError, match=r"NoAuth.*set KUMO_ASSETS_ZOOKEEPER_AUTH.*the old pointer stands"):
        promote(without.ctx, second, by="bob")
    assert ours.active() == first

    monkeypatch.setenv(AUTH, "pipeline:sesame")
    promote(ours.ctx, second, by="ann")
    assert rollback(ours.ctx, by="ann", reason="odd").pointer.release_id == first


def _refuses_all_writing(client: Any, path: str, *refusals: type[Exception]) -> None:
    """The znode, its query's folder and its environment's: none changed, deleted, added to or opened."""
    places = [path, path.rsplit("/", 1)[0], path.rsplit("/", 2)[0]]
    assert places[-1].count("/") == 2, "the environment's folder"
    for place in places:
        for write in (
            partial(client.set, place, b"{}"),
            partial(client.delete, place),
            partial(client.create, f"{place}/more"),
            partial(client.set_acls, place, OPEN_ACL_UNSAFE),
        ):
            with pytest.raises(refusals or NoAuthError):
                write()


def test_two_environments_with_two_users_share_one_ensemble(
    opened: Callable[..., Shop], stranger: Any, wire: Wire, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever promotes first makes `/kumo_assets`, and must not lock the other out of it."""
    for environment in ("staging", "production"):
        monkeypatch.setenv(AUTH, f"{environment}:sesame-of-{environment}")
        made = opened(environment)
        release = made.build()
        assert promote(made.ctx, release, by="ann").pointer.generation == 1
        assert made.active() == release
        _refuses_all_writing(stranger, made.ctx.names.znode)
    # Neither may touch the other's, nor a stranger what both stand on, which is its maker's; what is not empty nobody deletes.
    with connected(f"127.0.0.1:{wire.port}{root}", "staging:sesame-of-staging") as other:
        _refuses_all_writing(other, made.ctx.names.znode, NoAuthError, NotEmptyError)
    for write in (
        partial(stranger.set_acls, "/kumo_assets", OPEN_ACL_UNSAFE),
        partial(stranger.set, "/kumo_assets", b""),
    ):
        with pytest.raises(NoAuthError):
            write()


def test_without_a_user_anybody_writes(opened: Callable[..., Shop], stranger: Any) -> None:
    """Unset, as on a laptop: a person with any ZooKeeper client may edit the pointer."""
    ours = opened()
    promote(ours.ctx, ours.build(), by="ann")
    stranger.set(ours.ctx.names.znode, stranger.get(ours.ctx.names.znode)[0])
    stranger.create("/kumo_assets/other")


@pytest.mark.parametrize("kind", [CREATE, SET_DATA], ids=["create", "setData"])
def test_a_write_whose_answer_is_lost_is_known_to_have_happened(
    opened: Callable[..., Shop], wire: Wire, kind: int
) -> None:
    ours = opened()
    releases = _before(ours, kind)
    wire.cut(kind, ours.ctx.names.znode, "after")
    done = promote(ours.ctx, releases[-1], by="sensor")
    assert wire.cuts == 1
    assert (done.moved, done.pointer.release_id, done.pointer.generation) == (True, releases[-1], len(releases))
    assert [entry.to_release for entry in ours.ctx.ledger.moves()] == releases


@pytest.mark.parametrize("kind", [CREATE, SET_DATA], ids=["create", "setData"])
def test_a_write_that_is_lost_itself_is_known_not_to_have_happened(
    opened: Callable[..., Shop], wire: Wire, kind: int
) -> None:
    ours = opened()
    releases = _before(ours, kind)
    wire.cut(kind, ours.ctx.names.znode, "before")
    with pytest.raises(ReleaseError, match="the old pointer stands, and readers go on with it"):
        promote(ours.ctx, releases[-1], by="sensor")
    assert wire.cuts == 1
    assert [entry.to_release for entry in ours.ctx.ledger.moves()] == releases[:-1]
    assert promote(ours.ctx, releases[-1], by="sensor").pointer.generation == len(releases)
    assert [entry.to_release for entry in ours.ctx.ledger.moves()] == releases


def _before(ours: Shop, kind: int) -> list[str]:
    """The releases of which the last is promoted next: by `create` when it is the only one, else by `setData`."""
    if kind == CREATE:
        return [ours.build()]
    releases = [ours.build("2017-11-29"), ours.build("2017-11-30")]
    promote(ours.ctx, releases[0], by="sensor")
    return releases
