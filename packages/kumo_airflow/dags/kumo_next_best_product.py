"""One query, written by hand: build the day's release in Dagster, wait until it is live, tell downstream DAGs."""

from datetime import datetime, timedelta

from kumo_airflow.compat import DAG
from kumo_airflow.dags import daily_timetable, day_param, live_asset
from kumo_airflow.operators import KumoDailyOperator, KumoLiveOperator

# The query's own time zone, and its schedule.at: the line Dagster's schedule would have. One clock owns it: set
# schedule.owner to airflow in the query's defs.yaml.
with DAG(
    dag_id="next_best_product",
    description="The 5 products each household is most likely to buy next, every day.",
    schedule=daily_timetable("02:00", "UTC"),
    start_date=datetime(2017, 11, 2),
    catchup=False,
    max_active_runs=4,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    params={"partition": day_param()},
    tags=["kumo"],
) as dag:
    build = KumoDailyOperator(task_id="build", query="next_best_product", deferrable=True)
    live = KumoLiveOperator(
        task_id="live",
        query="next_best_product",
        release_id=build.output,
        outlets=[live_asset("next_best_product")],
    )
