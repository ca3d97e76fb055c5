"""The pointer's plain-text copy: the active table's name alone, for the simplest service. Derived, written after the
document, and made true again by whoever finds it older.
"""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError

from kumo_assets.errors import ReleaseError
from kumo_assets.releases.operations.outside import Outside
from kumo_assets.releases.pointers import describe_error


def copy_plain_text(world: Outside) -> None:
    """Write the name of the table that stands, where the query asks for it. ReleaseError when S3 does not take it.

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
