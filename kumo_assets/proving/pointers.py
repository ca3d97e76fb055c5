"""What is assumed of each store of pointers: created once, moved by compare-and-set, and read by services as written."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

from kumo_serving.pointer import Pointer, Promoted, parse_pointer
from kumo_serving.pointer_stores import open_pointer

from kumo_assets.config.environment import Environment
from kumo_assets.documents import LedgerEntry, utc_now
from kumo_assets.errors import LostRace
from kumo_assets.pointers.opening import STORES, open_pointer_store
from kumo_assets.pointers.store import PointerStore, VersionedPointer
from kumo_assets.proving.cleaning import connected, missing_folders
from kumo_assets.proving.proof import Proof
from kumo_assets.proving.report import Differs, NotTried

ROWS = ("create", "move", "lose", "race", "reader")
WRITERS = 8
# The table that the pointers tried here name. It does not exist, and so its retirement is refused by none of them.
NO_TABLE = 4
BY = "kumo-assets prove"


def prove_pointers(proof: Proof) -> None:
    """Try every row of the area, for each store that is configured."""
    for name in (opening.name for opening in STORES.values()):
        why_not = _not_configured(name, proof.environment)
        if why_not:
            for row in ROWS:
                proof.report.skip(f"pointer-{name}-{row}", why_not)
            continue
        if name == "zookeeper":
            hosts = proof.environment.zookeeper
            proof.makes(zookeeper=hosts, znodes=missing_folders(proof.names, hosts))
        _prove_store(proof, name)
    _denial(proof)


def _not_configured(name: str, environment: Environment) -> str:
    return "KUMO_ASSETS_ZOOKEEPER is not set" if name == "zookeeper" and not environment.zookeeper else ""


def _open(proof: Proof, name: str) -> PointerStore:
    return open_pointer_store(name, proof.names, lambda bucket: proof.objects, proof.environment)


def pointer(proof: Proof, generation: int, attempt: int = NO_TABLE, *, writer: str = "") -> Pointer:
    """A pointer to the table of an attempt of the proof's release. Documents of several writers differ."""
    return Pointer(
        query=proof.names.query,
        environment=proof.names.environment,
        generation=generation,
        release_id=proof.release,
        partition=proof.partition,
        table=proof.names.dynamodb_table(proof.release, attempt),
        region=proof.dynamodb.meta.region_name,
        releases=proof.names.releases_uri,
        promoted=Promoted(at=utc_now(), by=f"{BY}{writer}"),
    )


def _entry(found: Pointer) -> LedgerEntry:
    return LedgerEntry(
        query=found.query,
        at=found.promoted.at,
        action="promote",
        by=found.promoted.by,
        reason="",
        to_release=found.release_id,
        generation=found.generation,
    )


def _prove_store(proof: Proof, name: str) -> None:
    report = proof.report
    with closing(_open(proof, name)) as store:
        first: VersionedPointer | None = None
        second: VersionedPointer | None = None

        def write(made: Pointer, expected: str | None) -> VersionedPointer:
            return store.write(made, _entry(made), expected)

        with report.trying(f"pointer-{name}-create") as trial:
            first = write(pointer(proof, 1), None)
            _must_lose(
                store, lambda: write(pointer(proof, 1, writer=" again"), None), first, "a second was created over it"
            )
            trial.seen = store.uri
        with report.trying(f"pointer-{name}-move") as trial:
            if first is None:
                raise NotTried("no pointer was created")
            second = write(pointer(proof, 2), first.version)
            found = store.read()
            if found is None or (found.pointer, found.hand_edited) != (second.pointer, False):
                raise Differs("what was read back is not what was written")
            trial.seen = "generation 2 was read back"
        with report.trying(f"pointer-{name}-lose") as trial:
            if first is None or second is None:
                raise NotTried("no pointer was moved")
            stale = first.version
            _must_lose(
                store,
                lambda: write(pointer(proof, 3, writer=" too late"), stale),
                second,
                "who had read generation 1 wrote over generation 2: the store ignores the comparison",
            )
            trial.seen = "who had read generation 1 lost"
        with report.trying(f"pointer-{name}-race") as trial:
            current = store.read()
            if current is None:
                raise NotTried("there is no pointer")
            trial.seen = _race(proof, name, current)
        with report.trying(f"pointer-{name}-reader") as trial:
            current = store.read()
            if current is None:
                raise NotTried("there is no pointer")
            with closing(open_pointer(store.uri)) as reader:
                seen = reader.read()
            read = parse_pointer(seen.data, proof.names.query, proof.names.environment) if seen is not None else None
            if read != current.pointer:
                raise Differs(f"a service reads {read}")
            trial.seen = f"generation {current.pointer.generation}"


def _must_lose(store: PointerStore, write: Callable[[], object], before: VersionedPointer, found: str) -> None:
    """Differs unless the write loses, and leaves the pointer as it was before."""
    try:
        write()
    except LostRace:
        current = store.read()
        if current is None or current.pointer != before.pointer:
            raise Differs("the one that lost changed the pointer") from None
        return
    raise Differs(found)


def _race(proof: Proof, name: str, current: VersionedPointer) -> str:
    """Writers with connections of their own, let go at once."""
    together = threading.Barrier(WRITERS)

    def one(number: int) -> bool:
        with closing(_open(proof, name)) as store:
            made = pointer(proof, current.pointer.generation + 1, writer=f" {number}")
            store.peek()  # a connection that exists
            together.wait(timeout=60)
            with suppress(LostRace):
                store.write(made, _entry(made), current.version)
                return True
            return False

    with ThreadPoolExecutor(WRITERS) as pool:
        won = sum(pool.map(one, range(WRITERS)))
    if won != 1:
        raise Differs(f"{won} of {WRITERS} won")
    return f"1 of {WRITERS} won"


def _denial(proof: Proof) -> None:
    hosts = proof.environment.zookeeper
    with proof.report.trying("denied-zookeeper") as trial:
        if not hosts:
            raise NotTried("KUMO_ASSETS_ZOOKEEPER is not set")
        if not os.environ.get("KUMO_ASSETS_ZOOKEEPER_AUTH"):
            raise NotTried("KUMO_ASSETS_ZOOKEEPER_AUTH is not set: anybody may write, as docs say")
        if not proof.report.holds("pointer-zookeeper-create"):
            raise NotTried("pointer-zookeeper-create does not hold")
        from kazoo.exceptions import NoAuthError

        with connected(hosts, anonymous=True) as client:
            try:
                client.set(proof.names.znode, b"{}")
            except NoAuthError:
                trial.seen = "denied: NoAuth"
                return
        raise Differs("it was allowed")
