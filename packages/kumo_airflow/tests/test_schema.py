"""Every operation is valid in the installed Dagster's own GraphQL schema, and its stand-in answers in that shape."""

import pytest
from dagster_graphql.schema import create_schema
from graphql import parse, validate
from kumo_airflow import operations
from kumo_airflow.following import Run

JOB = operations.Job("q_daily", "__repository__", "kumo_assets")
RUN = Run("r", "FAILURE", "q_daily")
EVERY = [
    operations.version(),
    operations.daily_jobs(),
    operations.find_job("q_daily"),
    operations.partition_facts(JOB, "2017-11-28"),
    operations.runs("q_daily", {"a": "b"}),
    operations.look("r"),
    operations.launch(JOB, {"a": "b"}, {}),
    operations.reexecute(RUN, {"a": "b"}),
    operations.terminate("r"),
    operations.pointer_moves("q"),
    operations.sensor_reason(JOB),
]


@pytest.mark.parametrize("operation", EVERY, ids=lambda operation: operation.doing.replace(" ", "-"))
def test_operation_is_valid_in_dagsters_schema(operation: operations.Operation) -> None:  # type: ignore[type-arg]
    schema = create_schema().graphql_schema  # type: ignore[attr-defined]
    assert validate(schema, parse(operation.query)) == []


def test_a_launch_names_a_whole_job_and_leaves_every_gate_on() -> None:
    """dagster-airlift sends `assetCheckSelection: []`, which switches every gate off (dagster_facts)."""
    sent = operations.launch(JOB, {"a": "b"}, {}).variables["params"]
    assert sent["selector"] == {
        "jobName": "q_daily",
        "repositoryName": "__repository__",
        "repositoryLocationName": "kumo_assets",
    }
    assert "stepKeys" not in sent


def test_every_operation_is_here() -> None:
    made = {operation.doing.split()[0] for operation in EVERY}
    assert made == {"ask", "list", "find", "look", "start", "re-execute", "terminate"}
    assert sum(operation.once for operation in EVERY) == 2
