"""`<query>/active_pointer`: the small document that names the active table, moved by compare-and-set.

Unpartitioned; materialised by the promotion sensor, or by hand. It calls the one promotion decision itself, on stored
verdicts, so that no graph order, skipped check or manual click can publish what has not passed (rule 3).
"""

from collections.abc import Mapping
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import dagster as dg
from kumo_serving.pointer import Pointer

from kumo_assets.assets.keys import POINTER_POOL, code_version, key_of
from kumo_assets.assets.ui import Metadata
from kumo_assets.config.load import QueryDefinition
from kumo_assets.documents import LedgerEntry
from kumo_assets.releases.operations.promote import promote
from kumo_assets.releases.resource import ReleasesResource
from kumo_assets.releases.run import author_of

ASSET = "active_pointer"
RELEASE_TAG = "kumo_assets/release"
# Metadata that names the query's folder: the promotion sensor and an operator's op find the definition there.
FOLDER_KEY = "kumo_assets/folder"


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
        kinds={"s3"} if spec.pointer.store == "s3" else {"zookeeper"},
        description="Which release online services read. Moved only to a sealed release that every gate let pass; "
        "`kumo-assets rollback` moves it back.",
        code_version=code_version(definition),
        pool=POINTER_POOL,
        # Every move is an event of this asset, wherever it was made, so this is the age of what is served.
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=spec.stale_after_hours)),
        metadata={FOLDER_KEY: str(definition.folder)},
    )
    def active_pointer(context: dg.AssetExecutionContext, releases: ReleasesResource) -> dg.MaterializeResult:
        with closing(releases.context(definition)) as ctx:
            promotion = promote(
                ctx, context.run.tags.get(RELEASE_TAG), by=author_of(context), run_id=context.run.run_id
            )
        pointer = promotion.pointer
        context.log.info(promotion.words)
        return dg.MaterializeResult(
            metadata={**pointer_metadata(pointer, promotion.where), "action": "promote", "moved": promotion.moved},
            data_version=dg.DataVersion(f"{pointer.generation}-{pointer.release_id}"),
        )

    return active_pointer


def pointer_metadata(pointer: Pointer, where: str) -> Metadata:
    """What the UI shows of the pointer at the address `where`."""
    return {
        "release": pointer.release_id,
        "partition": pointer.partition,
        "generation": pointer.generation,
        "table": pointer.table,
        "previous": pointer.previous[0].release_id if pointer.previous else "none",
        "hold": pointer.hold.reason if pointer.hold else "none",
        "forced": pointer.forced.reason if pointer.forced else "no",
        "dagster/uri": where,
    }


def move_metadata(entry: LedgerEntry) -> Metadata:
    """What the UI shows of a move that was made outside Dagster, from its ledger entry."""
    return {
        "release": entry.to_release or "a table of no release",
        "generation": entry.generation,
        "action": entry.action,
        "by": entry.by,
        "reason": entry.reason or "-",
        "left": entry.from_release or "nothing",
        "at": entry.at,
    }
