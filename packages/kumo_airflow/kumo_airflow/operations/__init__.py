"""What is asked of Dagster: each operation as its GraphQL text, its variables, and the function that reads its answer.

Callers import this package and name an operation by it: `operations.find_job(...)`. Sending one is `client`'s.
"""

from kumo_airflow.operations.base import Operation
from kumo_airflow.operations.job_runs import ROOT_TAG, Progress, launch, look, reexecute, runs, terminate
from kumo_airflow.operations.jobs import Job, PartitionFacts, daily_jobs, find_job, partition_facts, version
from kumo_airflow.operations.pointer import PointerMove, pointer_moves, sensor_reason

__all__ = [
    "ROOT_TAG",
    "Job",
    "Operation",
    "PartitionFacts",
    "PointerMove",
    "Progress",
    "daily_jobs",
    "find_job",
    "launch",
    "look",
    "partition_facts",
    "pointer_moves",
    "reexecute",
    "runs",
    "sensor_reason",
    "terminate",
    "version",
]
