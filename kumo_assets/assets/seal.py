"""The seal: `release.json`, gathered from the artefacts and statistics of a release and written last, once.

Nothing is judged here: the import's verdict decided what may be sealed, and `releases.decision` decides what may go live.
"""

from __future__ import annotations

from kumo_assets.assets.step import Step
from kumo_assets.config.names import CHAIN
from kumo_assets.documents import (
    Artefact,
    ExportDetails,
    ImportDetails,
    KumoRecord,
    PredictionDetails,
    Seal,
    SealCounts,
    utc_now,
)
from kumo_assets.releases.store import SealedRelease


def seal_release(step: Step, imported: Artefact) -> SealedRelease:
    """Seal the release, or return the seal it has. Raises ReleaseError when an artefact's record is missing."""
    found = step.store.sealed(step.release_id)
    if found is not None:
        return found
    artefacts = {asset: step.upstream(asset) if asset != imported.asset else imported for asset in CHAIN}
    predictions, post, export = (artefacts[name] for name in ("predictions", "postprocessed", "s3_export"))
    job, table = predictions.details_as(PredictionDetails), imported.details_as(ImportDetails)
    statistics = {
        asset: counts
        for asset in CHAIN
        if (counts := step.store.statistics(step.store.home(step.opened, asset), asset)) is not None
    }
    step.store.seal(
        Seal(
            query=step.definition.name,
            environment=step.names.environment,
            release_id=step.release_id,
            partition=step.opened.partition,
            sealed_at=utc_now(),
            table=imported.name,
            region=table.region,
            key=table.key,
            item_format=step.definition.spec.item_format,
            fallback=export.details_as(ExportDetails).fallback,
            counts=SealCounts(
                rows=post.rows,
                entities=post.entities,
                exported=export.rows,
                imported=imported.rows,
                errors=table.errors,
            ),
            artefacts={asset: artefact.name for asset, artefact in artefacts.items()},
            statistics=statistics,
            kumo=KumoRecord(
                job_id=job.job_id,
                model_id=job.model_id,
                snapshot_id=job.snapshot_id,
                tracking_url=job.tracking_url,
            ),
            timings={asset: artefact.seconds_outside for asset, artefact in artefacts.items()},
            opened=step.store.digest_of_opened(step.release_id),
        )
    )
    sealed = step.store.sealed(step.release_id)
    assert sealed is not None, "a seal just written must be readable: S3 is strongly consistent"
    return sealed
