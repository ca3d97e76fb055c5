"""Commands that change what is live, or what is kept: promote, rollback, hold, unhold, retire."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated

import typer

from kumo_assets.cli.output import By, Json, MaybeQuery, PointerUri, Query, Reason, context_of, note, show
from kumo_assets.errors import ConfigError
from kumo_assets.releases.run import person


def promote(
    query: Query,
    release: Annotated[str | None, typer.Argument(help="Default: the newest that may go live.")] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Pass failed gates; never counts that disagree, a hold, or an older partition."),
    ] = False,
    stage: Annotated[
        bool, typer.Option("--stage", help="Name it beside the active one, to be looked at; what is served stays.")
    ] = False,
    reason: Reason = "",
    by: By = "",
    as_json: Json = False,
) -> None:
    """Put a release live, or stage it, if the one decision allows it."""
    from kumo_assets.releases.operations.promote import Promotion
    from kumo_assets.releases.operations.promote import promote as move
    from kumo_assets.releases.operations.stage import Staging
    from kumo_assets.releases.operations.stage import stage as stage_it

    if force and stage:
        raise ConfigError(
            "stage a release", to=query, found="--stage and --force", next="stage what passes its gates, or promote it"
        )
    if force and not reason.strip():
        raise ConfigError(
            "force a promotion", found="no reason", next="give --reason TEXT: it stays with the release and the pointer"
        )
    ctx = context_of(query)
    done: Promotion | Staging
    if stage:
        done = stage_it(ctx, release, by=by or person())
    else:
        done = move(ctx, release, by=by or person(), forced=reason if force else None)
    pointer = done.pointer
    document = {
        "query": query,
        "moved": done.moved,
        "release_id": pointer.release_id,
        "partition": pointer.partition,
        "generation": pointer.generation,
        "table": pointer.table,
        "staged": pointer.staged.release_id if pointer.staged is not None else None,
        "pointer": done.where,
        "words": done.message,
    }
    show(as_json, document, lambda: print(done.message))


def rollback(
    reason: Reason,
    query: MaybeQuery = None,
    to: Annotated[
        str | None, typer.Option(help="Release to go back to; default the newest earlier known-good one.")
    ] = None,
    pointer: PointerUri = None,
    by: By = "",
    as_json: Json = False,
) -> None:
    """Back to a known-good release; rejects what it leaves, and holds until `unhold`."""
    from kumo_assets.releases.operations.rollback import rollback as move

    if not reason.strip():
        raise ConfigError("roll back", to=query or pointer or "", found="no reason", next="give --reason TEXT")
    ctx = context_of(query, pointer)
    done = move(ctx, by=by or person(), reason=reason, to=to)
    document = {
        "query": ctx.query,
        "left": done.left,
        "release_id": done.pointer.release_id,
        "partition": done.pointer.partition,
        "generation": done.pointer.generation,
        "table": done.pointer.table,
        "hold": asdict(done.pointer.hold) if done.pointer.hold is not None else None,
        "pointer": done.where,
    }

    show(as_json, {**document, "words": done.message}, lambda: print(done.message))


def hold(
    reason: Reason, query: MaybeQuery = None, pointer: PointerUri = None, by: By = "", as_json: Json = False
) -> None:
    """Stop automatic promotion; releases go on being built and gated."""
    from kumo_assets.releases.holds import written_holds
    from kumo_assets.releases.operations.hold import hold as place

    ctx, author = context_of(query, pointer), by or person()
    held = place(ctx, by=author, reason=reason)
    show(
        as_json,
        {
            "query": ctx.query,
            "generation": held.generation,
            "release_id": held.release_id,
            "hold": next((asdict(one) for one in written_holds(held) if one.by == author), None),
            "holds": [asdict(one) for one in written_holds(held)],
        },
        lambda: print(f"Held: {held.served_release_id} stays live until kumo-assets unhold {ctx.query}"),
    )


def unhold(
    query: MaybeQuery = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    of: Annotated[
        str | None,
        typer.Option(help="Whose hold ends; default your own, or the only one.", metavar="AUTHOR"),
    ] = None,
    pointer: PointerUri = None,
    by: By = "",
    as_json: Json = False,
) -> None:
    """Lift a hold; says first which holds there are and what will go active, and asks."""
    from kumo_assets.releases.holds import all_told, written_holds
    from kumo_assets.releases.operations.hold import preview_unhold
    from kumo_assets.releases.operations.hold import unhold as lift

    ctx, author = context_of(query, pointer), by or person()
    preview = preview_unhold(ctx, by=author, of=of)
    note(f"The hold: {preview.hold}.")
    if preview.kept:
        note(f"Not lifted: {all_told(preview.kept)}.")
    note(f"After this, {preview.message}.")
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError("lift the hold on", to=ctx.query, found="nobody is here to be asked", next="give --yes")
        typer.confirm("Lift the hold?", abort=True, err=True)
    lifted = lift(ctx, preview, by=author)
    show(
        as_json,
        {
            "query": ctx.query,
            "generation": lifted.generation,
            "release_id": lifted.served_release_id,
            "next_release": preview.next_release,
            "hold": asdict(lifted.hold) if lifted.hold is not None else None,
            "holds": [asdict(one) for one in written_holds(lifted)],
        },
        lambda: print(f"The hold is lifted; {preview.message}."),
    )


def retire(
    query: Query,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; change nothing.")] = False,
    by: By = "",
    as_json: Json = False,
) -> None:
    """Delete old releases' tables and exports; never one that anybody may still read."""
    from kumo_assets.releases.operations.retire import plan
    from kumo_assets.releases.operations.retire import retire as delete
    from kumo_assets.releases.operations.staging import with_staging
    from kumo_assets.resources.drop import drop_tables, tables_beginning

    ctx = context_of(query)
    planned = with_staging(plan(ctx), ctx, tables_beginning, note)
    retired: list[str] = []
    if not dry_run and (planned.going or planned.leftovers):
        retired = delete(ctx, drop_tables, by=by or person(), planned=planned)

    def words() -> None:
        for release, why in planned.going.items():
            print(f"{'would retire' if dry_run else 'retired'} {release}: {why}")
        for release, why in planned.kept.items():
            print(f"kept {release}: {why}")
        for name in planned.leftovers:
            print(f"{'would delete' if dry_run else 'deleted'} {name}: the table of a failed attempt")
        for name in planned.orphans:
            print(f"orphan {name}: it has our name and no release; look at it, then delete it by hand")
        for name in planned.foreign:
            print(f"foreign {name}: it lies under our names and is not ours; it is left")
        for release, name in planned.samples.items():
            print(f"sample {name}: what {release} served; {query}/outcomes drops it after the last age")
        if not (planned.going or planned.kept or planned.orphans or planned.leftovers or planned.foreign):
            print(f"{query} has no release")

    show(as_json, {"query": query, "dry_run": dry_run, "retired": retired, **asdict(planned)}, words)
