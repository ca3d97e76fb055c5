"""What is asked of Dagster: each operation as its GraphQL text, its variables, and the function that reads its answer.

Only public GraphQL of Dagster 1.13 (dagster_graphql/schema). Nothing here sends anything; `client` does, in a worker or
in the triggerer's event loop.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from kumo_airflow.errors import DagsterFailed, LocationNotLoaded, Refusal
from kumo_airflow.following import Run

T = TypeVar("T")
RUN = "runId status jobName rootRunId creationTime endTime tags { key value }"
EVENTS = """
  __typename
  ... on MessageEvent { stepKey level message timestamp }
  ... on MaterializationEvent { assetKey { path } }
  ... on AssetCheckEvaluationEvent { evaluation { checkName success severity description assetKey { path } } }
  ... on ExecutionStepFailureEvent { error { message causes { message } } }
  ... on RunFailureEvent { error { message causes { message } } }
"""
PAGE = 500
ROOT_TAG = "dagster/root_run_id"


@dataclass(frozen=True)
class Operation(Generic[T]):
    """One question or command. `doing` names it in errors; `once`: sending it twice would do it twice."""

    doing: str
    query: str
    variables: Mapping[str, Any]
    read: Callable[[Mapping[str, Any]], T]
    once: bool = False


@dataclass(frozen=True)
class Job:
    """Where a job is: what GraphQL selects it by. `time_zone` and `schedule_running` are its own schedule's, if any."""

    name: str
    repository: str
    location: str
    time_zone: str | None = None
    schedule_running: bool = False

    @property
    def selector(self) -> dict[str, str]:
        return {
            "jobName": self.name,
            "repositoryName": self.repository,
            "repositoryLocationName": self.location,
        }


@dataclass(frozen=True)
class PartitionFacts:
    """What Dagster says of a job's partition: all keys it has, and the tags and run config it gives a run of this one."""

    keys: tuple[str, ...]
    tags: Mapping[str, str]
    run_config: str


def version() -> Operation[str]:
    return Operation("ask Dagster's version", "{ version }", {}, lambda data: str(data["version"]))


def daily_jobs() -> Operation[list[str]]:
    """Names of the daily jobs that Dagster serves."""
    doing = "list Dagster's jobs"

    def read(data: Mapping[str, Any]) -> list[str]:
        nodes = _one_of(data["repositoriesOrError"], doing, "RepositoryConnection")["nodes"]
        return sorted({job["name"] for node in nodes for job in node["jobs"] if job["name"].endswith("_daily")})

    query = "{ repositoriesOrError { __typename ... on RepositoryConnection { nodes { jobs { name } } } } }"
    return Operation(doing, query, {}, read)


def find_job(name: str, repository: str | None = None, location: str | None = None) -> Operation[Job]:
    """The one job of that name. Raises Refusal when there is none or there are several, LocationNotLoaded when it may be in
    a code location that is not there now."""
    doing = f"find the job {name}"

    def read(data: Mapping[str, Any]) -> Job:
        answer = _one_of(data["repositoriesOrError"], doing, "RepositoryConnection")
        found, names = [], set()
        for node in answer["nodes"]:
            if repository not in (None, node["name"]) or location not in (None, node["location"]["name"]):
                continue
            names |= {job["name"] for job in node["jobs"]}
            for job in node["jobs"]:
                if job["name"] == name:
                    found.append(_job(name, node))
        if len(found) == 1:
            return found[0]
        if found:
            places = ", ".join(f"{job.repository}@{job.location}" for job in found)
            raise Refusal(doing, found=f"it is in {places}", next="name `location` and `repository`")
        broken = _broken_locations(data)
        if broken:
            raise LocationNotLoaded(
                doing,
                found=f"a code location did not load: {broken}",
                next="mend it; Dagster's Deployment page shows it",
            )
        near = difflib.get_close_matches(name, names, 3) or sorted(n for n in names if n.endswith("_daily"))[:5]
        raise Refusal(
            doing,
            found="Dagster has no such job",
            next=f"use one of: {', '.join(near)}" if near else "load kumo_assets",
        )

    return Operation(
        doing,
        """{
          repositoriesOrError { __typename
            ... on RepositoryConnection { nodes { name location { name } jobs { name }
              schedules { name pipelineName executionTimezone scheduleState { status } } } }
            ... on PythonError { message } }
          workspaceOrError { ... on Workspace { locationEntries { name loadStatus
            locationOrLoadError { __typename ... on PythonError { message } } } } }
        }""",
        {},
        read,
    )


def _job(name: str, node: Mapping[str, Any]) -> Job:
    own = [item for item in node["schedules"] if item["pipelineName"] == name]
    return Job(
        name,
        node["name"],
        node["location"]["name"],
        time_zone=own[0]["executionTimezone"] if own else None,
        schedule_running=any(item["scheduleState"]["status"] == "RUNNING" for item in own),
    )


def _broken_locations(data: Mapping[str, Any]) -> str:
    words = []
    for entry in (data.get("workspaceOrError") or {}).get("locationEntries", []):
        found = entry.get("locationOrLoadError") or {}
        if entry["loadStatus"] == "LOADING":
            words.append(f"{entry['name']} is still loading")
        elif found.get("__typename") == "PythonError":
            words.append(f"{entry['name']}: {str(found.get('message')).strip()[:300]}")
    return "; ".join(words)


def partition_facts(job: Job, day: str) -> Operation[PartitionFacts]:
    """The job's partitions, and what Dagster gives a run of `day`: it answers for any string, so check the keys."""
    doing = f"ask for the partitions of {job.name}"

    def read(data: Mapping[str, Any]) -> PartitionFacts:
        answer = _one_of(data["pipelineOrError"], doing, "Pipeline")
        keys = tuple(answer["partitionKeysOrError"]["partitionKeys"])
        one = answer["partition"]
        if one is None:
            raise Refusal(doing, found="the job is not partitioned", next="name a query's daily job")
        tags = _one_of(one["tagsOrError"], doing, "PartitionTags")["results"]
        config = _one_of(one["runConfigOrError"], doing, "PartitionRunConfig")["yaml"]
        return PartitionFacts(keys, _tags(tags), config)

    return Operation(
        doing,
        """query ($job: PipelineSelector!, $day: String!) { pipelineOrError(params: $job) { __typename
          ... on Pipeline { partitionKeysOrError { partitionKeys }
            partition(partitionName: $day) {
              tagsOrError { __typename ... on PartitionTags { results { key value } } ... on PythonError { message } }
              runConfigOrError { __typename ... on PartitionRunConfig { yaml } ... on PythonError { message } } } }
          ... on PythonError { message } } }""",
        {"job": _pipeline(job), "day": day},
        read,
    )


def runs(job: str, tags: Mapping[str, str], limit: int = 50) -> Operation[list[Run]]:
    """Runs of a job with all these tags, newest first."""
    doing = f"look up runs of {job}"

    def read(data: Mapping[str, Any]) -> list[Run]:
        return [_run(item) for item in _one_of(data["runsOrError"], doing, "Runs")["results"]]

    return Operation(
        doing,
        "query ($filter: RunsFilter!, $limit: Int!) { runsOrError(filter: $filter, limit: $limit) { __typename "
        f"... on Runs {{ results {{ {RUN} }} }} ... on PythonError {{ message }} }} }}",
        {"filter": {"pipelineName": job, "tags": _tag_list(tags)}, "limit": limit},
        read,
    )


@dataclass(frozen=True)
class Progress:
    """A run now, and its events since a cursor."""

    run: Run
    events: Sequence[Mapping[str, Any]]
    cursor: str | None
    more: bool


def look(run_id: str, cursor: str | None = None) -> Operation[Progress]:
    """A run and the page of its events after `cursor`. Raises Refusal when Dagster no longer has the run."""
    doing = f"look at run {run_id}"

    def read(data: Mapping[str, Any]) -> Progress:
        answer = data["runOrError"]
        if answer["__typename"] == "RunNotFoundError":
            raise Refusal(doing, found="Dagster has no such run", next="clear the task to start a new one")
        answer = _one_of(answer, doing, "Run")
        page = answer["eventConnection"]
        return Progress(_run(answer), page["events"], page["cursor"] or cursor, page["hasMore"])

    return Operation(
        doing,
        "query ($run: ID!, $cursor: String, $limit: Int!) { runOrError(runId: $run) { __typename "
        f"... on Run {{ {RUN} eventConnection(afterCursor: $cursor, limit: $limit) {{ cursor hasMore events {{ {EVENTS} }} }} }} "
        "... on PythonError { message } } }",
        {"run": run_id, "cursor": cursor, "limit": PAGE},
        read,
    )


def launch(job: Job, tags: Mapping[str, str], run_config: str | Mapping[str, Any]) -> Operation[Run]:
    """Start a whole job: no asset list, so that every gate of it runs."""
    doing = f"start {job.name}"
    return Operation(
        doing,
        f"""mutation ($params: ExecutionParams!) {{ launchRun(executionParams: $params) {{ __typename
          ... on LaunchRunSuccess {{ run {{ {RUN} }} }} ... on RunConfigValidationInvalid {{ errors {{ message }} }}
          ... on Error {{ message }} }} }}""",
        {
            "params": {
                "selector": job.selector,
                "runConfigData": run_config,
                "executionMetadata": {"tags": _tag_list(tags)},
            }
        },
        lambda data: _run(_one_of(data["launchRun"], doing, "LaunchRunSuccess")["run"]),
        once=True,
    )


def reexecute(run: Run, tags: Mapping[str, str], strategy: str = "FROM_FAILURE") -> Operation[Run]:
    """Start a run's failed and unreached steps again, with the same root run and therefore the same release."""
    doing = f"re-execute run {run.run_id}"
    return Operation(
        doing,
        f"""mutation ($params: ReexecutionParams!) {{ launchRunReexecution(reexecutionParams: $params) {{ __typename
          ... on LaunchRunSuccess {{ run {{ {RUN} }} }} ... on RunConfigValidationInvalid {{ errors {{ message }} }}
          ... on Error {{ message }} }} }}""",
        {
            "params": {
                "parentRunId": run.run_id,
                "strategy": strategy,
                "extraTags": _tag_list(tags),
                "useParentRunTags": True,
            }
        },
        lambda data: _run(_one_of(data["launchRunReexecution"], doing, "LaunchRunSuccess")["run"]),
        once=True,
    )


def terminate(run_id: str) -> Operation[str]:
    """Ask a run to stop, and its steps to clean up after themselves (the Kumo job is cancelled). "" or why it was not
    possible."""

    def read(data: Mapping[str, Any]) -> str:
        answer = data["terminateRun"]
        return (
            "" if answer["__typename"] == "TerminateRunSuccess" else str(answer.get("message") or answer["__typename"])
        )

    return Operation(
        f"terminate run {run_id}",
        """mutation ($run: String!) { terminateRun(runId: $run, terminatePolicy: SAFE_TERMINATE) { __typename
          ... on TerminateRunFailure { message } ... on Error { message } } }""",
        {"run": run_id},
        read,
    )


@dataclass(frozen=True)
class PointerMove:
    """One materialisation of `active_pointer`: what went live, when (seconds since 1970), by which `action`: promote,
    force, rollback, hand_edit. `partition` is "" for a table of no release. `moved` is False where somebody asked for
    what was active already."""

    release_id: str
    partition: str
    generation: int
    at: float
    action: str = ""
    moved: bool = True


def pointer_moves(query: str, limit: int = 20) -> Operation[list[PointerMove]]:
    """The newest moves of a query's pointer, newest first, as Dagster's asset page has them."""
    doing = f"look at {query}/active_pointer"

    def read(data: Mapping[str, Any]) -> list[PointerMove]:
        answer = data["assetOrError"]
        if answer["__typename"] == "AssetNotFoundError":
            return []
        found = []
        for item in _one_of(answer, doing, "Asset")["assetMaterializations"]:
            told = {entry["label"]: _value(entry) for entry in item["metadataEntries"]}
            if told.get("release"):
                release = str(told["release"])
                found.append(
                    PointerMove(
                        release,
                        str(told.get("partition") or _day_of(release)),
                        int(told.get("generation") or 0),
                        _time_of(told.get("at")) or float(item["timestamp"]) / 1000,
                        str(told.get("action") or ""),
                        told.get("moved") is not False,
                    )
                )
        return found

    return Operation(
        doing,
        """query ($key: AssetKeyInput!, $limit: Int!) { assetOrError(assetKey: $key) { __typename
          ... on Asset { assetMaterializations(limit: $limit) { timestamp metadataEntries { label
            ... on TextMetadataEntry { text } ... on IntMetadataEntry { intValue }
            ... on BoolMetadataEntry { boolValue } } } } } }""",
        {"key": {"path": [query, "active_pointer"]}, "limit": limit},
        read,
    )


def _value(entry: Mapping[str, Any]) -> Any:
    return next((entry[kind] for kind in ("text", "intValue", "boolValue") if entry.get(kind) is not None), None)


# A move made outside Dagster is told later, by the promotion sensor, from the ledger: its event has no partition, and its
# own time in `at` (`move_metadata` in kumo_assets/assets/active_pointer.py).


def _day_of(release_id: str) -> str:
    """The partition in a release id, `<YYYYMMDD>-<8 hex>` (docs/architecture.md, Names); "" for a table of no release."""
    found = re.fullmatch(r"(\d{4})(\d{2})(\d{2})-.+", release_id)
    return "-".join(found.groups()) if found else ""


def _time_of(text: Any) -> float | None:
    try:
        return datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp() if text else None
    except ValueError:
        return None


def sensor_words(job: Job, sensor: str = "promotion_sensor") -> Operation[str]:
    """Why the promotion sensor's newest tick asked for nothing, in its own words; "" when it says nothing."""

    def read(data: Mapping[str, Any]) -> str:
        ticks = ((data.get("sensorOrError") or {}).get("sensorState") or {}).get("ticks") or []
        if not ticks:
            return ""
        error = (ticks[0].get("error") or {}).get("message")
        return str(error or ticks[0].get("skipReason") or "").strip()

    return Operation(
        f"ask {sensor} why it waits",
        """query ($sensor: SensorSelector!) { sensorOrError(sensorSelector: $sensor) {
          ... on Sensor { sensorState { ticks(limit: 1) { skipReason error { message } } } } } }""",
        {
            "sensor": {
                "sensorName": sensor,
                "repositoryName": job.repository,
                "repositoryLocationName": job.location,
            }
        },
        read,
    )


def _pipeline(job: Job) -> dict[str, str]:
    return {
        "pipelineName": job.name,
        "repositoryName": job.repository,
        "repositoryLocationName": job.location,
    }


def _run(item: Mapping[str, Any]) -> Run:
    return Run(
        run_id=item["runId"],
        status=item["status"],
        job=item["jobName"],
        root_run_id=item["rootRunId"] or item["runId"],
        tags=_tags(item["tags"]),
        created=float(item["creationTime"]),
        ended=item["endTime"],
    )


def _tags(items: Sequence[Mapping[str, str]]) -> dict[str, str]:
    return {item["key"]: item["value"] for item in items}


def _tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def _one_of(answer: Mapping[str, Any], doing: str, wanted: str) -> Mapping[str, Any]:
    """The answer when it is of the wanted type. Raises Refusal for what will not mend itself, else DagsterFailed."""
    kind = answer.get("__typename", wanted)
    if kind in (wanted, "Job" if wanted == "Pipeline" else wanted):
        return answer
    errors = [str(item.get("message")) for item in answer.get("errors") or []]
    words = "; ".join(errors) or str(answer.get("message") or "").strip()[:1000] or kind
    if kind in ("PipelineNotFoundError", "RunConfigValidationInvalid", "UnauthorizedError", "RunNotFoundError"):
        advice = "give the token the permission" if kind == "UnauthorizedError" else "check the job in Dagster"
        raise Refusal(doing, found=f"{kind}: {words}", next=advice)
    raise DagsterFailed(doing, found=f"{kind}: {words}", next="look at Dagster's own page and log")
