"""Roll a query back from Airflow: trigger this DAG with the query, a reason, and a release if not the newest good one.

Needs Dagster up; `kumo-assets rollback QUERY --reason "..."` does not.
"""

from datetime import datetime

from kumo_airflow.compat import DAG, Param
from kumo_airflow.dags import live_asset
from kumo_airflow.operators import KumoRollbackOperator

QUERY = "next_best_product"

with DAG(
    dag_id=f"{QUERY}_rollback",
    description="Back to a known-good release, and hold there until somebody lifts it.",
    schedule=None,
    start_date=datetime(2017, 11, 2),
    catchup=False,
    tags=["kumo"],
    params={
        "reason": Param("", type="string", minLength=3, title="Why", description="For whoever comes after you."),
        "to": Param(
            None,
            type=["null", "string"],
            pattern=r"^(\d{8}-[0-9a-f]{8})?$",
            title="Release",
            description="Empty: the newest earlier known-good one. `kumo-assets releases` lists them.",
        ),
    },
) as dag:
    KumoRollbackOperator(
        task_id="rollback",
        query=QUERY,
        reason="{{ params.reason }}",
        to="{{ params.to or '' }}",
        deferrable=True,
        outlets=[live_asset(QUERY)],
    )
