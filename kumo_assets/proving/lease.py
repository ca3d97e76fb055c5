"""The lease of a proof: what it makes, so that another run can delete it, and when another run may.

It is written before anything else and deleted last. A run cleans up its own proof; one of the same person on the same
machine whose process has ended; and any whose lease is over 24 hours old by S3's clock. How is in `cleaning`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from kumo_assets.documents import Document, utc_now
from kumo_assets.proving.names import HEX, ProofNames, names_of, proofs_prefix
from kumo_assets.releases.run import person
from kumo_assets.resources.processes import PROCESS_TAG, process_tags, state_of
from kumo_assets.resources.s3_objects import ObjectStore

GOOD_FOR = timedelta(hours=24)


class Lease(Document):
    """`lease.json`. `warehouse` is database and schema of its Snowflake tables, none where it makes no table there;
    `zookeeper` the ensemble that its znode is in, and `znodes` the folders above it that did not exist before."""

    environment: str
    proof: str
    partition: str
    by: str
    begun_at: str
    process: dict[str, str]
    warehouse: tuple[str, str] | None = None
    zookeeper: str = ""
    znodes: tuple[str, ...] = ()


def begin(names: ProofNames, partition: str, objects: ObjectStore, **more: object) -> Lease:
    """Take the lease of a new proof. Raises ObjectStoreError where S3 does not take it; nothing was made then."""
    lease = Lease(
        query=names.query,
        environment=names.environment,
        proof=names.proof,
        partition=partition,
        by=person(),
        begun_at=utc_now(),
        process=process_tags(),
    ).model_copy(update=dict(more))
    objects.put(names.lease_key, lease.to_json())
    return lease


def left_behind(names: ProofNames, objects: ObjectStore) -> Iterator[tuple[ProofNames, Lease | None, str]]:
    """(names, lease, "") of every other proof of this environment that may be cleaned up now; with a reason in place of
    "", and no lease where it cannot be read, for one that must be left alone."""
    now = objects.now(proofs_prefix(names.environment))
    for folder in objects.folders(proofs_prefix(names.environment)):
        if folder == names.proof or not HEX.fullmatch(folder):
            continue
        other = names_of(names.environment, names.bucket, folder)
        stored = objects.get(other.lease_key)
        if stored is None:
            yield other, None, "has no lease"
            continue
        try:
            lease = Lease.from_json(stored.data, objects.uri(other.lease_key))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is no lease of ours
            yield other, None, f"has a lease that cannot be read: {error}"
            continue
        yield other, lease, _why_not(lease, stored.modified, now)


def _why_not(lease: Lease, modified: datetime, now: datetime) -> str:
    """Why a proof must not be cleaned up by this process; "" when it may."""
    # Only the process table counts. Of a process elsewhere `state_of` goes by when it was last heard, which says nothing
    # here: asked long after that, one that lives is on this machine, and asked at that moment, one that is dead was.
    if state_of(lease.process, modified, now=now + 2 * GOOD_FOR) == "alive":
        return f"is run by a process that lives ({lease.process[PROCESS_TAG]})"
    if state_of(lease.process, modified, now=modified) == "dead" and lease.by == person():
        return ""
    if now - modified > GOOD_FOR:
        return ""
    return f"was begun by {lease.by} less than 24 hours ago"
