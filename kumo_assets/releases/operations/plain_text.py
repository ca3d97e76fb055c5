"""The pointer's plain-text copy: the active table's name alone, for the simplest service. Derived, written after the
document, and made true again by whoever finds it older.
"""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError

from kumo_assets.errors import ReleaseError
from kumo_assets.pointers.store import describe_error
from kumo_assets.releases.context import ReleaseContext


def copy_plain_text(ctx: ReleaseContext) -> None:
    """Write the name of the table that stands, where the query asks for it. ReleaseError when S3 does not answer or take it.

    Written again when the pointer moved meanwhile, so that the last writer never leaves an older name behind.
    """
    if not _wanted(ctx):
        return
    found = ctx.pointers.read()
    while found is not None:
        try:
            ctx.store.s3.put_object(
                Bucket=ctx.names.bucket,
                Key=ctx.names.pointer_text_key,
                Body=found.pointer.table.encode(),
                ContentType="text/plain",
            )
        except (ClientError, BotoCoreError, OSError) as error:
            raise ReleaseError(
                "write the pointer's plain-text copy",
                to=_uri(ctx),
                found=describe_error(error),
                next="the pointer itself has moved",
            ) from error
        again = ctx.pointers.read()
        if again is None or again.version == found.version:
            return
        found = again


def _wanted(ctx: ReleaseContext) -> bool:
    """What the definition says; without one (a rollback with only the pointer's address), whether a copy is there: its
    readers must not stay on the table that was left.

    Asked by listing, not by HEAD: for an object that is not there, HEAD says 403 to whoever may list one prefix only.
    """
    if ctx.definition is not None:
        return ctx.definition.spec.pointer.plain_text_copy
    key = ctx.names.pointer_text_key
    try:
        answer = ctx.store.s3.list_objects_v2(Bucket=ctx.names.bucket, Prefix=key, MaxKeys=1)
    except (ClientError, BotoCoreError, OSError) as error:
        raise ReleaseError(
            "know whether there is a plain-text copy of the pointer",
            to=_uri(ctx),
            found=describe_error(error),
            next="the pointer itself has moved; a copy may still name the table it left",
        ) from error
    return any(found["Key"] == key for found in answer.get("Contents", []))


def _uri(ctx: ReleaseContext) -> str:
    return f"s3://{ctx.names.bucket}/{ctx.names.pointer_text_key}"
