"""DAGs made from the document of `kumo-assets queries --json`: one schedule per query, in the query's own time zone.

    kumo-assets queries --json > queries.json        # where kumo_assets is installed
    KUMO_AIRFLOW_QUERIES=/path/to/queries.json       # where Airflow is

The clock has one owner: a query whose `schedule.owner` is not airflow gets a DAG without a schedule, for runs by hand.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from kumo_airflow.compat import DAG, Asset, CronTriggerTimetable, Param
from kumo_airflow.errors import Refusal
from kumo_airflow.operators import KumoDailyOperator, KumoLiveOperator
from kumo_airflow.partitions import zone

QUERIES_VARIABLE = "KUMO_AIRFLOW_QUERIES"
# What a DAG needs of each query; one that is broken in kumo_assets has `error` instead.
FIELDS = ("job", "time_zone", "schedule_at", "schedule_owner", "start")
_log = logging.getLogger(__name__)


def live_asset(query: str) -> Asset:
    """The Airflow asset (2.11: dataset) that is updated when new predictions of the query go live. Schedule on it:

    DAG("newsletter", schedule=[live_asset("next_best_product")])
    """
    return Asset(f"kumo-assets://{query}/active_pointer")


def daily_timetable(at: str, time_zone: str) -> CronTriggerTimetable:
    """Once a day at the local time HH:MM: the cron line Dagster's own schedule has."""
    hour, minute = map(int, at.split(":"))
    return CronTriggerTimetable(f"{minute} {hour} * * *", timezone=time_zone)


def day_param() -> Param:
    """The DAG parameter `partition`: a field for the day in Airflow's trigger form. A run by hand may leave it empty."""
    return Param(
        None,
        type=["null", "string"],
        format="date",
        title="Day",
        description="The day to build. Empty: the last full day before the run.",
    )


def read_queries(path: str | os.PathLike[str] | None = None) -> list[dict[str, Any]]:
    """The document of `kumo-assets queries --json`: the file `path`, else the one that KUMO_AIRFLOW_QUERIES names.

    When neither is given nothing is configured yet: the list is empty, and a warning in the log says what to set. Raises
    Refusal for a file that cannot be used, which Airflow shows as an import error of the DAG file.
    """
    variable = os.environ.get(QUERIES_VARIABLE, "").strip()
    if not path and not variable:
        _log.warning(
            "%s is not set, so no DAGs are made of predictive queries. Next: run `kumo-assets queries --json > "
            "queries.json` where kumo_assets is installed, and set %s to the path of that file here.",
            QUERIES_VARIABLE,
            QUERIES_VARIABLE,
        )
        return []
    where = Path(path or variable)
    try:
        return _queries_in(where.read_bytes())
    except (OSError, ValueError) as error:
        raise Refusal(
            "read the queries from",
            to=str(where) if path else f"{where}, which {QUERIES_VARIABLE} names",
            found=(isinstance(error, OSError) and error.strerror) or str(error),
            next=f"{'pass' if path else f'set {QUERIES_VARIABLE} to'} the path of a file written by: "
            "kumo-assets queries --json > queries.json",
        ) from None


def _queries_in(document: bytes) -> list[dict[str, Any]]:
    """The queries of a document. Raises ValueError with what is wrong with it."""
    if not document.strip():
        raise ValueError("it is empty")
    try:
        found = json.loads(document)
    except ValueError as error:
        raise ValueError(f"it is not JSON: {error}") from None
    if not isinstance(found, list):
        raise ValueError("it is not a JSON list")  # noqa: TRY004 - a file is wrong, not a type
    for number, query in enumerate(found, 1):
        if not isinstance(query, dict) or not isinstance(query.get("name"), str):
            raise ValueError(f"entry {number} is not an object with a name")  # noqa: TRY004 - a file is wrong, not a type
        missing = [field for field in FIELDS if not isinstance(query.get(field), str)]
        if missing and not query.get("error"):
            raise ValueError(f"the entry of {query['name']} has no {', '.join(missing)}")
    return found


def daily_dag(query: Mapping[str, Any], **options: Any) -> DAG:
    """The DAG of one query: build the release, wait until it is live, tell Airflow. `options` are `DAG`'s own.

    `query` is one item of `kumo-assets queries --json`. Raises Refusal for one that is broken there.
    """
    name = str(query.get("name"))
    if query.get("error"):
        raise Refusal("make a DAG for", to=name, found=str(query["error"]), next="fix its defs.yaml")
    time_zone, owner = query["time_zone"], query["schedule_owner"]
    people = query.get("owners", [])
    operator_options = options.pop("operator_options", {})
    arguments: dict[str, Any] = {
        "dag_id": f"kumo_{name}",
        "description": query.get("description") or f"Predictions of {name}, every day.",
        "schedule": daily_timetable(query["schedule_at"], time_zone) if owner == "airflow" else None,
        # A partition can be built the day after it at the earliest, and is due on that day.
        "start_date": datetime.fromisoformat(query["start"]).replace(tzinfo=zone(time_zone)) + timedelta(days=1),
        # Only where Airflow is the clock: Airflow makes no task for a run later than a DAG's end, so a run by hand would
        # do nothing and succeed (`task_filter` in airflow/models/dagrun.py of 2.11 and 3.3).
        "end_date": _last_moment(query["end"], time_zone) if query.get("end") and owner == "airflow" else None,
        "catchup": False,
        "max_active_runs": 4,
        "default_args": {
            "owner": ", ".join(people) or "airflow",
            "retries": 2,
            "retry_delay": timedelta(minutes=5),
            **options.pop("default_args", {}),
        },
        "params": {"partition": day_param()},
        "tags": ["kumo", *people],
        "doc_md": f"{query.get('description', '')}\n\nBuilds `{query['job']}` in Dagster at {query['schedule_at']} "
        f"{time_zone} (clock: {owner}), then waits until the release is live.",
    }
    with DAG(**{**arguments, **options}) as dag:
        build = KumoDailyOperator(
            task_id="build",
            query=name,
            job=query["job"],
            time_zone=time_zone,
            **{"deferrable": True, **operator_options},
        )
        live = KumoLiveOperator(
            task_id="live",
            query=name,
            job=query["job"],
            release_id=build.output,
            outlets=[live_asset(name)],
            **{name: value for name, value in operator_options.items() if name != "deferrable"},
        )
        build >> live
    return dag


def _last_moment(end: str, time_zone: str) -> datetime:
    """The end of the day on which the last partition is due."""
    return datetime.fromisoformat(end).replace(tzinfo=zone(time_zone)) + timedelta(days=2, seconds=-1)


def daily_dags(queries: Sequence[Mapping[str, Any]], **options: Any) -> dict[str, DAG]:
    """dag_id -> DAG, one for each query. Raises Refusal that names every broken query, after the others' DAGs were made.

    Those are in the exception's `dags`, for a DAG file that prefers some DAGs to none.
    """
    made, broken = {}, []
    for query in queries:
        try:
            dag = daily_dag(query, **options)
            made[dag.dag_id] = dag
        except Refusal as error:
            broken.append(str(error))
    if broken:
        refusal = Refusal("make a DAG for every query", found=" ".join(broken))
        refusal.dags = made  # type: ignore[attr-defined]
        raise refusal
    return made
