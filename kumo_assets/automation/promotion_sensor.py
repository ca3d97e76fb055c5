"""One sensor for all queries: level-triggered. Each tick compares the newest eligible sealed release of each query with
its pointer, asks the one promotion decision, and requests `active_pointer`, which asks again.

Events only wake nothing here: a verdict that arrives late, a promotion that failed once, a hold lifted later are all
seen at the next tick, because the state is looked at, not the news of it.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import dagster as dg
from kumo_serving.errors import KumoAssetsError

from kumo_assets.assets.active_pointer import FOLDER_KEY, RELEASE_TAG
from kumo_assets.assets.keys import key_of
from kumo_assets.automation.jobs import QUERY_TAG
from kumo_assets.errors import ConfigError
from kumo_assets.releases.operations.promote import next_promotion
from kumo_assets.releases.resource import ReleasesResource
from kumo_assets.spec.load import QueryDefinition, load_query
from kumo_assets.spec.names import POINTER_ASSET

INTERVAL_SECONDS = 10
# After a promotion that failed: 30 s, then twice as long each time, at most half an hour.
RETRY_SECONDS, MOST_RETRY_SECONDS = 30.0, 1800.0
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def build_promotion_sensor() -> dg.SensorDefinition:
    """The sensor. It finds its queries in the repository it is loaded with, so any project may hold it."""

    @dg.sensor(
        name="promotion_sensor",
        asset_selection=dg.AssetSelection.all(),
        minimum_interval_seconds=INTERVAL_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Promotes the newest release that may go live, for every query. Looks at releases and pointers, "
        "not at events.",
    )
    def promotion_sensor(
        context: dg.SensorEvaluationContext, releases: ReleasesResource
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        definitions = _definitions(context)
        with ThreadPoolExecutor(max_workers=16) as pool:
            answers = list(pool.map(lambda definition: _look(releases, definition), definitions))
        waiting = []
        for definition, (release, generation, words) in zip(definitions, answers, strict=True):
            if release is None:
                waiting.append(f"{definition.name}: {words}")
                continue
            request = _request(context, definition, release, generation)
            if isinstance(request, dg.RunRequest):
                yield request
            else:
                waiting.append(f"{definition.name}: {request}")
        if waiting:
            yield dg.SkipReason("; ".join(waiting))

    return promotion_sensor


def _look(releases: ReleasesResource, definition: QueryDefinition) -> tuple[str | None, int, str]:
    """(release to promote or None, generation of the pointer, words). Trouble with one query is words, not an end of
    the tick: a sensor that raises goes unnoticed, and would stop the other queries too (Dagster #29625)."""
    try:
        world = releases.outside(definition)
        try:
            found = world.pointers.read()
            generation = found.pointer.generation if found is not None else 0
            release, decision = next_promotion(world, found)
            return (release if decision.outcome == "promote" else None), generation, decision.reason
        finally:
            world.close()
    except KumoAssetsError as error:
        return None, 0, str(error)


def _request(
    context: dg.SensorEvaluationContext, definition: QueryDefinition, release: str, generation: int
) -> dg.RunRequest | str:
    """A run request, or why not now. The key is stable identity and a count of tries: a key is used up even by a run
    that failed, so a failed promotion is asked again under the next number, after a pause."""
    tags = {QUERY_TAG: definition.name, RELEASE_TAG: release, "kumo_assets/generation": str(generation)}
    earlier = context.instance.get_run_records(dg.RunsFilter(tags=tags), limit=50)
    if any(record.dagster_run.status in UNFINISHED for record in earlier):
        return f"a promotion of {release} is under way"
    if earlier:
        pause = min(RETRY_SECONDS * 2 ** (len(earlier) - 1), MOST_RETRY_SECONDS)
        ended = max(record.end_time or 0.0 for record in earlier)
        if time.time() - ended < pause:
            return f"the promotion of {release} failed {len(earlier)} times; asked again in {ended + pause - time.time():.0f} s"
    return dg.RunRequest(
        run_key=f"{definition.name}:{release}:{generation}:{len(earlier)}",
        # By asset, not by job: a sensor made with `asset_selection` ignores `job_name` and would run its whole selection.
        asset_selection=[key_of(definition.name, POINTER_ASSET)],
        tags=tags,
    )


def _definitions(context: dg.SensorEvaluationContext) -> list[QueryDefinition]:
    """The queries of the repository this sensor is loaded with: each pointer asset says where its folder is."""
    repository = context.repository_def
    if repository is None:
        raise ConfigError(
            "look for queries", found="the sensor was loaded without a repository", next="load it from Definitions"
        )
    found = []
    for key in sorted(repository.asset_graph.materializable_asset_keys):
        metadata = repository.asset_graph.get(key).metadata
        if key.path[-1] == POINTER_ASSET and FOLDER_KEY in metadata:
            folder = str(metadata[FOLDER_KEY].value if hasattr(metadata[FOLDER_KEY], "value") else metadata[FOLDER_KEY])
            found.append(_load(folder, (Path(folder) / "defs.yaml").stat().st_mtime_ns))
    return found


@lru_cache(maxsize=1000)
def _load(folder: str, changed: int) -> QueryDefinition:
    """The definition in a folder, read again when its file changes: parsing 100 of them would be most of a tick."""
    path = Path(folder)
    return load_query(path.name, path.parent)
