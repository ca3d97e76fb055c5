"""A DAG for every query, from the document of `kumo-assets queries --json` that KUMO_AIRFLOW_QUERIES names.

A query whose definition is broken does not take the others' DAGs with it: they are there, and it is in the log.
"""

import logging

from kumo_airflow.dags import daily_dags, read_queries
from kumo_airflow.errors import Refusal

queries = read_queries()
try:
    made = daily_dags(queries)
except Refusal as error:
    logging.getLogger(__name__).error("%s", error)
    made = error.dags
globals().update(made)
