"""One GraphQL operation as a value, and the readers that several operations share: of unions, runs and tags.

Only public GraphQL of Dagster 1.13 (dagster_graphql/schema). Nothing here sends anything; `client` does, in a worker or
in the triggerer's event loop. The operations themselves are in `jobs`, `job_runs` and `pointer`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from kumo_airflow.errors import DagsterFailed, Refusal
from kumo_airflow.following import Run

T = TypeVar("T")
RUN = "runId status jobName rootRunId creationTime endTime tags { key value }"


@dataclass(frozen=True)
class Operation(Generic[T]):
    """One question or command. `doing` names it in errors; `once`: sending it twice would do it twice."""

    doing: str
    query: str
    variables: Mapping[str, Any]
    read: Callable[[Mapping[str, Any]], T]
    once: bool = False


def run_of(item: Mapping[str, Any]) -> Run:
    """A run from the fields of `RUN`."""
    return Run(
        run_id=item["runId"],
        status=item["status"],
        job=item["jobName"],
        root_run_id=item["rootRunId"] or item["runId"],
        tags=tags_of(item["tags"]),
        created=float(item["creationTime"]),
        ended=item["endTime"],
    )


def tags_of(items: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Tags from GraphQL's list of key and value; `tag_list` is the way back."""
    return {item["key"]: item["value"] for item in items}


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def one_of(answer: Mapping[str, Any], doing: str, wanted: str) -> Mapping[str, Any]:
    """The answer, when it is of the wanted member of its union. Raises Refusal for an error that a retry would only repeat,
    else DagsterFailed.
    """
    kind = answer.get("__typename", wanted)
    if kind in (wanted, "Job" if wanted == "Pipeline" else wanted):
        return answer
    errors = [str(item.get("message")) for item in answer.get("errors") or []]
    message = "; ".join(errors) or str(answer.get("message") or "").strip()[:1000] or kind
    if kind in ("PipelineNotFoundError", "RunConfigValidationInvalid", "UnauthorizedError", "RunNotFoundError"):
        advice = "give the token the permission" if kind == "UnauthorizedError" else "check the job in Dagster"
        raise Refusal(doing, found=f"{kind}: {message}", next=advice)
    raise DagsterFailed(doing, found=f"{kind}: {message}", next="look at Dagster's own page and log")
