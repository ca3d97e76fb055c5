"""The pointer's plain-text copy: the active table's name alone, for the simplest service. Derived, written after the
document, and corrected by whoever finds it out of date. What a person wrote into it is reported.
"""

from __future__ import annotations

from kumo_assets.pointers.store import VersionedPointer
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


def copy_edited(ctx: ReleaseContext, current: VersionedPointer) -> str | None:
    """What a person wrote into the copy, in a sentence; None when it is what we wrote. One that is out of date because the
    pointer has just moved is no edit. Raises ObjectStoreError."""
    if not _wanted(ctx):
        return None
    stored = ctx.objects.get(ctx.names.pointer_text_key)
    text = stored.data.decode("utf-8", "replace").strip() if stored is not None else None
    if text == current.pointer.table:
        return None
    again = ctx.pointers.peek()
    if stored is not None and (again is None or again.version != current.version or stored.modified < again.modified):
        return None
    says = "is gone" if text is None else f"names {text[:80]!r}"
    return (
        f"the pointer's plain-text copy {ctx.objects.uri(ctx.names.pointer_text_key)} {says}, and the pointer names "
        f"{current.pointer.table}: somebody edited it; the next move of the pointer writes it anew"
    )


def _wanted(ctx: ReleaseContext) -> bool:
    """What the definition says. Without one (a rollback with only the pointer's address), whether there is a copy: its
    readers must not stay on the table that was left."""
    if ctx.definition is not None:
        return ctx.definition.spec.pointer.plain_text_copy
    consequence = "the pointer itself has moved; a copy may still name the table it left"
    with describing("know whether there is a plain-text copy of the pointer", consequence):
        return ctx.objects.exists(ctx.names.pointer_text_key)
