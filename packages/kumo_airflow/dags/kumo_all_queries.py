"""A DAG for every query, from the document of `kumo-assets queries --json` that KUMO_AIRFLOW_QUERIES names.

Until the variable is set there are no DAGs, and a warning in the log says what to set. A file that cannot be used is an
import error. A query whose definition is broken does not remove the others' DAGs; the log says what is wrong with it.
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
