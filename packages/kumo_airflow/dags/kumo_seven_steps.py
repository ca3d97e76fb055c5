"""The seven steps as tasks, for people who want to see them in Airflow.

`start` starts one Dagster run and is the only task that starts or ends anything; the six after it watch that run's
steps, and `swap` waits for the pointer. To build again, clear `start`: the watchers follow.
"""

from datetime import datetime, timedelta

from kumo_airflow.compat import DAG
from kumo_airflow.dags import day_param, live_asset
from kumo_airflow.operators import KumoDailyOperator, KumoLiveOperator, KumoStepOperator
from kumo_airflow.steps import STEPS

QUERY = "next_best_product"

with DAG(
    dag_id="next_best_product_steps",
    description="Ingest check, batch prediction, drift check, post-processing, export, import, swap.",
    schedule=None,
    start_date=datetime(2017, 11, 2),
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
    params={"partition": day_param()},
    tags=["kumo"],
) as dag:
    start = KumoDailyOperator(task_id="start", query=QUERY, wait=False)
    before = start
    for step in STEPS:
        watch = KumoStepOperator(
            task_id=step,
            query=QUERY,
            step=step,
            run_id="{{ ti.xcom_pull(task_ids='start', key='dagster_run_id') }}",
            retries=0,
        )
        before >> watch
        before = watch
    swap = KumoLiveOperator(task_id="swap", query=QUERY, release_id=start.output, outlets=[live_asset(QUERY)])
    before >> swap
