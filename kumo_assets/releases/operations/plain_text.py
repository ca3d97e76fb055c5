"""The pointer's plain-text copy: the active table's name alone, for the simplest service. Derived, written after the
document, and corrected by whoever finds it out of date.
"""

from __future__ import annotations

from kumo_assets.releases.context import ReleaseContext
from kumo_assets.resources.s3_objects import describing


def copy_plain_text(ctx: ReleaseContext) -> None:
    """Write the name of the active table, where the query asks for it. ObjectStoreError when S3 does not answer or take it.

    Written again when the pointer moved meanwhile, so that the last writer never leaves an older name behind.
    """
    if not _wanted(ctx):
        return
    current = ctx.pointers.read()
    while current is not None:
        with describing("write the pointer's plain-text copy", "the pointer itself has moved"):
            ctx.objects.put(ctx.names.pointer_text_key, current.pointer.table.encode(), content_type="text/plain")
        again = ctx.pointers.read()
        if again is None or again.version == current.version:
            return
        current = again


def _wanted(ctx: ReleaseContext) -> bool:
    """What the definition says. Without one (a rollback with only the pointer's address), whether there is a copy: its
    readers must not stay on the table that was left."""
    if ctx.definition is not None:
        return ctx.definition.spec.pointer.plain_text_copy
    consequence = "the pointer itself has moved; a copy may still name the table it left"
    with describing("know whether there is a plain-text copy of the pointer", consequence):
        return ctx.objects.exists(ctx.names.pointer_text_key)
