"""The button on a task's page that opens its run in Dagster; there as soon as the run is known, not when it has ended."""

from __future__ import annotations

from typing import Any

from kumo_airflow.compat import BaseOperatorLink, XCom

URL_KEY = "dagster_run_url"


class DagsterRunLink(BaseOperatorLink):
    """Reads the address the task put into XCom. In Airflow 3 the web page reads that XCom itself, by `xcom_key`."""

    name = "Dagster run"

    @property
    def xcom_key(self) -> str:
        return URL_KEY

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        return XCom.get_value(ti_key=ti_key, key=URL_KEY) or ""
