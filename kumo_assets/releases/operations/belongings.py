"""What under a query's names is ours to delete, and what is foreign: made or copied there by somebody else.

A table is ours by its exact name and our tags on it, an export by the folder of a release that it lies in. Everything else
under our names is listed and left. A table of ours can be served by another query, whose pointer a person edited. Which of
our own things may go is in `retention`.
"""

from __future__ import annotations

from collections.abc import Iterable

from kumo_assets.config.names import owner_of
from kumo_assets.pointers.neighbours import tables_named
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.listing import EXPORT_FOLDER, is_foreign
from kumo_assets.resources.dynamodb import tables


def own_table(ctx: ReleaseContext, table: str) -> bool:
    """True for a table that has exactly a name of ours and carries our tags for the release in it. Raises ReleaseError
    when AWS does not answer."""
    release = ctx.names.release_of_table(table)
    if release is None:
        return False
    return ctx.names.tags(release).items() <= tables.tags_of(ctx.dynamodb, table).items()


def named_elsewhere(ctx: ReleaseContext) -> dict[str, str]:
    """Table -> where another pointer of the environment names it, or the plain-text copy of this one. Raises ReleaseError."""
    return tables_named(ctx.names, ctx.objects, ctx.zookeeper, but=ctx.pointers.uri)


def owner_of_served(ctx: ReleaseContext, table: str) -> str | None:
    """Whose the table is that this query serves, in a sentence; None when it is the query's own, or nobody's by its name."""
    owner = owner_of(table)
    if owner is None or (owner.environment, owner.query) == (ctx.names.environment, ctx.query):
        return None
    return (
        f"table {table} is that of release {owner.release_id} of query {owner.query} in environment {owner.environment}, "
        f"whose own retirement decides how long it stays"
    )


def export_keys(ctx: ReleaseContext, release: str) -> list[str]:
    """The objects in a release's own export folders; not what lies beside them. Raises ObjectStoreError."""
    prefix = ctx.names.release_prefix(release)
    listed = (item.key for item in ctx.objects.list(f"{prefix}export"))
    return [key for key in listed if EXPORT_FOLDER.match(key.removeprefix(prefix))]


def foreign(ctx: ReleaseContext, untagged: Iterable[str], names: Iterable[str]) -> list[str]:
    """Everything under the query's names that is not ours: tables (`names` are those with our prefix, `untagged` those of
    our exact names without our tags), and objects in S3 as URIs."""
    copies = [name for name in names if ctx.names.release_of_table(name) is None]
    listed = (item.key for item in ctx.objects.list(ctx.names.releases_prefix))
    keys = sorted(key for key in listed if is_foreign(ctx.names, key))
    return sorted([*copies, *untagged]) + [ctx.objects.uri(key) for key in keys]
