"""Runs: looking them up, following one's events, starting, re-executing and terminating one.

What to do about a run is decided in `kumo_airflow.following`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kumo_airflow.errors import Refusal
from kumo_airflow.following import Run
from kumo_airflow.operations.base import RUN, Operation, one_of, run_of, tag_list
from kumo_airflow.operations.jobs import Job

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


def runs(job: str, tags: Mapping[str, str], limit: int = 50) -> Operation[list[Run]]:
    """Runs of a job with all these tags, newest first."""
    doing = f"look up runs of {job}"

    def read(data: Mapping[str, Any]) -> list[Run]:
        return [run_of(item) for item in one_of(data["runsOrError"], doing, "Runs")["results"]]

    return Operation(
        doing,
        "query ($filter: RunsFilter!, $limit: Int!) { runsOrError(filter: $filter, limit: $limit) { __typename "
        f"... on Runs {{ results {{ {RUN} }} }} ... on PythonError {{ message }} }} }}",
        {"filter": {"pipelineName": job, "tags": tag_list(tags)}, "limit": limit},
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
        answer = one_of(answer, doing, "Run")
        page = answer["eventConnection"]
        return Progress(run_of(answer), page["events"], page["cursor"] or cursor, page["hasMore"])

    return Operation(
        doing,
        "query ($run: ID!, $cursor: String, $limit: Int!) { runOrError(runId: $run) { __typename "
        f"... on Run {{ {RUN} eventConnection(afterCursor: $cursor, limit: $limit) {{ cursor hasMore events {{ {EVENTS} }} }} }} "
        "... on PythonError { message } } }",
        {"run": run_id, "cursor": cursor, "limit": PAGE},
        read,
    )


def launch(job: Job, tags: Mapping[str, str], run_config: str | Mapping[str, Any]) -> Operation[Run]:
    """Start a whole job. Without an asset list every gate of it runs."""
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
                "executionMetadata": {"tags": tag_list(tags)},
            }
        },
        lambda data: run_of(one_of(data["launchRun"], doing, "LaunchRunSuccess")["run"]),
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
                "extraTags": tag_list(tags),
                "useParentRunTags": True,
            }
        },
        lambda data: run_of(one_of(data["launchRunReexecution"], doing, "LaunchRunSuccess")["run"]),
        once=True,
    )


def terminate(run_id: str) -> Operation[str]:
    """Ask a run to stop and its steps to clean up, which cancels the Kumo job. The result is "", or why it was not possible."""

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
