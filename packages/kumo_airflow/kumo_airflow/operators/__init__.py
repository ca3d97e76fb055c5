"""Operators: build a day's release, watch one step of it, wait until it is live, roll back.

Each is a thin shell: what to do is decided in `following`, `steps`, `live` and `partitions`. Here Airflow's context is
read, the waiting is put into the triggerer or done in place, and Airflow learns how it ended.
"""

from kumo_airflow.operators.runs import KumoDailyOperator, KumoRollbackOperator
from kumo_airflow.operators.watching import KumoLiveOperator, KumoStepOperator

__all__ = ["KumoDailyOperator", "KumoLiveOperator", "KumoRollbackOperator", "KumoStepOperator"]
