"""One move of the pointer: compare-and-set, ledger, plain-text copy, in that order. What to move it to is decided by
`promote`, `rollback`, `hold` and `retire`; nothing else writes a pointer.

A crash after the compare-and-set loses nothing: the document carries the ledger's entry, and `reconcile` completes it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError
from kumo_serving.errors import KumoAssetsError
from kumo_serving.pointer import Pointer

from kumo_assets.errors import ReleaseError
from kumo_assets.releases.documents import Action, LedgerEntry, utc_now
from kumo_assets.releases.operations.outside import Outside
from kumo_assets.releases.pointers import VersionedPointer, describe_error

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Moved:
    """The pointer that stands, and what could not be done after the move (words; empty when all was)."""

    written: VersionedPointer
    trouble: str

    @property
    def pointer(self) -> Pointer:
        return self.written.pointer


def move_pointer(
    world: Outside,
    pointer: Pointer,
    expected: str | None,
    *,
    action: Action,
    by: str,
    reason: str = "",
    from_release: str = "",
    run_id: str = "",
    at: str | None = None,
) -> Moved:
    """Write `pointer` over version `expected`, then record it. Raises LostRace, or ReleaseError when nothing moved.

    A ledger or copy that cannot be written after the move is no failure of the move: it is told in `trouble`.
    """
    entry = LedgerEntry(
        query=world.query,
        at=at or utc_now(),
        action=action,
        by=by,
        reason=reason,
        from_release=from_release,
        to_release=pointer.release_id,
        generation=pointer.generation,
        run_id=run_id,
    )
    written = world.pointers.write(pointer, entry, expected)
    trouble = []
    for follow in (lambda: world.ledger.append(entry, written.mark), lambda: copy_plain_text(world)):
        try:
            follow()
        except KumoAssetsError as error:
            trouble.append(f"{error} (`kumo-assets status` or the promotion sensor makes it good)")
    return Moved(written, " ".join(trouble))


def record(world: Outside, entry: LedgerEntry) -> None:
    """Append what was no move (a refusal). What the ledger cannot take must not hide the refusal itself."""
    try:
        world.ledger.append(entry)
    except ReleaseError as error:
        # The caller raises the refusal, which says more to a person than "the ledger is down" would.
        log.warning("%s", error)


def copy_plain_text(world: Outside) -> None:
    """The active table's name alone, for the simplest service: derived from the pointer that stands, written after it.

    Written again when the pointer moved meanwhile, so that the last writer never leaves an older name behind.
    """
    if not world.plain_text_copy:
        return
    found = world.pointers.read()
    while found is not None:
        try:
            world.store.s3.put_object(
                Bucket=world.names.bucket,
                Key=world.names.pointer_text_key,
                Body=found.pointer.table.encode(),
                ContentType="text/plain",
            )
        except (ClientError, BotoCoreError, OSError) as error:
            raise ReleaseError(
                "write the pointer's plain-text copy",
                to=f"s3://{world.names.bucket}/{world.names.pointer_text_key}",
                found=describe_error(error),
                next="the pointer itself has moved",
            ) from error
        again = world.pointers.read()
        if again is None or again.version == found.version:
            return
        found = again
