"""`inside/` needs Airflow and runs in Airflow's own environments: `test_inside_airflow.py` starts it there."""

collect_ignore = ["inside"]
