"""`<query>/active_pointer`: the small document that names the active table, moved by compare-and-set.

Unpartitioned; materialised by the promotion sensor, or by hand. It calls the one promotion decision itself, on stored
verdicts, so that no graph order, skipped check or manual click can publish what has not passed (rule 3).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import dagster as dg
from kumo_serving.pointer import Pointer

from kumo_assets.assets.keys import POINTER_POOL, code_version, key_of
from kumo_assets.assets.ui import Metadata
from kumo_assets.config.load import QueryDefinition
from kumo_assets.documents import LedgerEntry
from kumo_assets.errors import Refused
from kumo_assets.gates.release_diff import stored_diff
from kumo_assets.gates.release_diff_shown import markdown
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.operations.promote import Promotion, promote
from kumo_assets.releases.resource import ReleasesResource
from kumo_assets.releases.run import asked_by_nobody, author_of

ASSET = "active_pointer"
RELEASE_TAG = "kumo_assets/release"
# How the promotion sensor selects the pointers of our queries in any project, whatever else that project holds.
ASSET_TAG = "kumo_assets/asset"
# Where the promotion sensor finds the definition of a pointer it meets, and an operator's op that of its job.
FOLDER_KEY = "kumo_assets/folder"
NO_RELEASE = "a table of no release"


def folder_of(metadata: Mapping[str, object]) -> Path:
    """The folder that an asset's or a job's metadata names, given as text or as the value that Dagster makes of it."""
    value = metadata[FOLDER_KEY]
    return Path(str(getattr(value, "value", value)))


def build_active_pointer(definition: QueryDefinition) -> dg.AssetsDefinition:
    """The asset that promotes: the release its run's tag names, else the newest that may go live."""
    spec = definition.spec

    @dg.asset(
        key=key_of(definition.name, ASSET),
        deps=[key_of(definition.name, "dynamodb_table")],
        group_name=definition.name,
        owners=spec.owners,
        kinds={spec.pointer.store},
        description="Which release online services read. Moved only to a sealed release that every gate let pass; "
        "`kumo-assets rollback` moves it back.",
        tags={ASSET_TAG: ASSET},
        code_version=code_version(definition),
        pool=POINTER_POOL,
        # Every move becomes an event of this asset, wherever it was made (automation.pointer_events).
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=spec.stale_after_hours)),
        metadata={FOLDER_KEY: str(definition.folder)},
        # A run that moved nothing materialises nothing: Dagster's freshness counts from the last materialisation.
        output_required=False,
    )
    def active_pointer(
        context: dg.AssetExecutionContext, kumo_assets_releases: ReleasesResource
    ) -> Iterator[dg.MaterializeResult[None]]:
        if spec.promotion == "manual" and asked_by_nobody(context):
            raise Refused(
                "promote a release of",
                to=definition.name,
                found=f"promotion is manual, and {author_of(context)} is no person",
                next=f"kumo-assets promote {definition.name}, or materialise this asset by hand",
            )
        with closing(kumo_assets_releases.context(definition)) as ctx:
            promotion = promote(
                ctx, context.run.tags.get(RELEASE_TAG), by=author_of(context), run_id=context.run.run_id
            )
            what_changed = _what_changed(ctx, promotion, context.log.warning)
        pointer = promotion.pointer
        context.log.info(promotion.message)
        metadata: Metadata = {
            **pointer_metadata(pointer, promotion.where),
            "action": "promote",
            "moved": promotion.moved,
            **what_changed,
        }
        if not promotion.moved:
            context.log_event(dg.AssetObservation(context.asset_key, description=promotion.message, metadata=metadata))
            return
        yield dg.MaterializeResult(
            metadata=metadata, data_version=dg.DataVersion(f"{pointer.generation}-{pointer.release_id}")
        )

    return active_pointer


def _what_changed(ctx: ReleaseContext, promotion: Promotion, warn: Callable[[str], None]) -> Metadata:
    """What went live against what it followed, from the counts stored with both: a promotion waits for no warehouse. The
    pointer has moved by now, so nothing here may fail the run."""
    pointer = promotion.pointer
    if not promotion.moved or not pointer.previous:
        return {}
    try:
        found = stored_diff(ctx, pointer.previous[0].release_id, pointer.release_id)
        shares = {"lists_changed": found.changed, "entities_lost": found.lost}
        numbers = {name: value for name, value in shares.items() if value is not None}
        return {"compared_with": found.before.release_id, **numbers, "diff": dg.MetadataValue.md(markdown(found))}
    except Exception as error:  # noqa: BLE001 - whatever an old release's documents hold
        warn(f"What changed is not shown: {type(error).__name__}: {error}")
        return {}


def release_shown(pointer: Pointer) -> str:
    """The release that a pointer serves, as the UI names it."""
    return pointer.served_release_id or NO_RELEASE


def pointer_metadata(pointer: Pointer, where: str) -> Metadata:
    """What the UI shows of the pointer at the address `where`. `at` is when its release went live; a pointer whose table
    a person changed does not say."""
    return {
        "release": release_shown(pointer),
        "partition": pointer.served_partition,
        "generation": pointer.generation,
        "table": pointer.table,
        "previous": pointer.previous[0].release_id if pointer.previous else "none",
        "staged": pointer.staged.release_id if pointer.staged else "none",
        "hold": pointer.hold.reason if pointer.hold else "none",
        "forced": pointer.forced.reason if pointer.forced else "no",
        **({} if pointer.edited else {"at": pointer.promoted.at}),
        "dagster/uri": where,
    }


def move_metadata(entry: LedgerEntry) -> Metadata:
    """What the UI shows of a move that was made outside Dagster, as the ledger records it."""
    return {
        "release": entry.to_release or NO_RELEASE,
        "generation": entry.generation,
        "action": entry.shown_action,
        **({"staged": entry.stages or "none"} if entry.stages or entry.unstages else {}),
        "by": entry.by,
        "reason": entry.reason or "-",
        "left": entry.from_release or "nothing",
        "at": entry.at,
    }
