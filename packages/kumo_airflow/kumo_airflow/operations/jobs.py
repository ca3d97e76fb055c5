"""Finding a job in Dagster, and what Dagster says of its partitions: the keys, and a run's tags and config.

Runs of a job are in `job_runs`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kumo_airflow.errors import LocationNotLoaded, Refusal
from kumo_airflow.operations.base import Operation, one_of, tags_of


@dataclass(frozen=True)
class Job:
    """How GraphQL selects a job. `time_zone` and `schedule_running` are those of the job's own schedule, if it has one."""

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
    """The keys of all a job's partitions, and the tags and run config that Dagster gives a run of one of them."""

    keys: tuple[str, ...]
    tags: Mapping[str, str]
    run_config: str


def version() -> Operation[str]:
    return Operation("ask Dagster's version", "{ version }", {}, lambda data: str(data["version"]))


def daily_jobs() -> Operation[list[str]]:
    """Names of the daily jobs that Dagster serves."""
    doing = "list Dagster's jobs"

    def read(data: Mapping[str, Any]) -> list[str]:
        nodes = one_of(data["repositoriesOrError"], doing, "RepositoryConnection")["nodes"]
        return sorted({job["name"] for node in nodes for job in node["jobs"] if job["name"].endswith("_daily")})

    query = "{ repositoriesOrError { __typename ... on RepositoryConnection { nodes { jobs { name } } } } }"
    return Operation(doing, query, {}, read)


def find_job(name: str, repository: str | None = None, location: str | None = None) -> Operation[Job]:
    """The one job of that name. Raises Refusal when there is none or there are several, LocationNotLoaded when it may be in
    a code location that is not loaded now.
    """
    doing = f"find the job {name}"

    def read(data: Mapping[str, Any]) -> Job:
        answer = one_of(data["repositoriesOrError"], doing, "RepositoryConnection")
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
                next="fix it; Dagster's Deployment page shows it",
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
    found_broken = []
    for entry in (data.get("workspaceOrError") or {}).get("locationEntries", []):
        found = entry.get("locationOrLoadError") or {}
        if entry["loadStatus"] == "LOADING":
            found_broken.append(f"{entry['name']} is still loading")
        elif found.get("__typename") == "PythonError":
            found_broken.append(f"{entry['name']}: {str(found.get('message')).strip()[:300]}")
    return "; ".join(found_broken)


def partition_facts(job: Job, day: str) -> Operation[PartitionFacts]:
    """The job's partitions, and what Dagster gives a run of `day`. It answers for any string, so check the keys."""
    doing = f"ask for the partitions of {job.name}"

    def read(data: Mapping[str, Any]) -> PartitionFacts:
        answer = one_of(data["pipelineOrError"], doing, "Pipeline")
        keys = tuple(answer["partitionKeysOrError"]["partitionKeys"])
        one = answer["partition"]
        if one is None:
            raise Refusal(doing, found="the job is not partitioned", next="name a query's daily job")
        tags = one_of(one["tagsOrError"], doing, "PartitionTags")["results"]
        config = one_of(one["runConfigOrError"], doing, "PartitionRunConfig")["yaml"]
        return PartitionFacts(keys, tags_of(tags), config)

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


def _pipeline(job: Job) -> dict[str, str]:
    return {
        "pipelineName": job.name,
        "repositoryName": job.repository,
        "repositoryLocationName": job.location,
    }
