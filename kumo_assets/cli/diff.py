"""`kumo-assets diff`: what changed between two releases. Dagster and the Snowflake connector are loaded only where the
tables are asked."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Annotated

import typer

from kumo_assets.cli.output import Json, Query, context_of, note, show


def diff(
    query: Query,
    first: Annotated[
        str | None, typer.Argument(metavar="[A]", help="Release. Alone: compared with the active one.")
    ] = None,
    second: Annotated[str | None, typer.Argument(metavar="[B]", help="Release that A is compared with.")] = None,
    stored: Annotated[
        bool, typer.Option("--stored", help="Ask no warehouse: only what the releases' stored counts say.")
    ] = False,
    as_json: Json = False,
) -> None:
    """What changed from release A to release B: entities, classes, scores, lists, gates, model.

    Default: the release that waits against the active one, else the active one against the one before it.
    """
    from kumo_assets.gates.release_diff import default_pair, stored_diff
    from kumo_assets.gates.release_diff_shown import page
    from kumo_assets.releases.context import definition_of

    ctx = context_of(query)
    before, after = (first, second) if first is not None and second is not None else default_pair(ctx, first)
    found = stored_diff(ctx, before, after)
    if not stored:
        from kumo_serving.errors import KumoAssetsError

        from kumo_assets.gates.release_diff_sql import counted_diff
        from kumo_assets.resources.snowflake import connect_outside_dagster

        try:
            with connect_outside_dagster() as warehouse:
                found = counted_diff(ctx, definition_of(ctx), warehouse, found)
        except KumoAssetsError as error:
            found = replace(found, why=f"the tables were not asked: {error.found}")
            note(str(error))
    show(as_json, asdict(found), lambda: print(page(found)))
