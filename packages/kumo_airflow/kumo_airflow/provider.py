"""What Airflow reads of an installed provider: the connection type and its form, the extra link. No import of Airflow."""

from __future__ import annotations

from typing import Any

from kumo_airflow import __version__


def get_provider_info() -> dict[str, Any]:
    """The entry point `apache_airflow_provider`. `conn-fields` and `ui-field-behaviour` are read by Airflow 3."""
    return {
        "package-name": "kumo-airflow",
        "name": "Kumo",
        "description": "Drives kumo_assets in Dagster from Airflow's clock.",
        "versions": [__version__],
        "connection-types": [
            {
                "connection-type": "kumo_dagster",
                "hook-class-name": "kumo_airflow.hook.KumoDagsterHook",
                "hook-name": "Dagster (kumo_assets)",
                "ui-field-behaviour": {
                    "hidden-fields": ["login", "schema"],
                    "relabeling": {"host": "Dagster's URL", "password": "Token"},
                    "placeholders": {"host": "https://dagster.example.com"},
                },
                "conn-fields": {
                    "token_header": {
                        "label": "Token's header",
                        "description": "Authorization (as Bearer), or Dagster-Cloud-Api-Token for Dagster+",
                        "schema": {"type": ["string", "null"], "default": "Authorization"},
                    },
                    "verify": {
                        "label": "Verify TLS",
                        "schema": {"type": ["boolean", "null"], "default": True},
                    },
                    "ca_bundle": {
                        "label": "CA bundle",
                        "description": "Path of a CA bundle on the workers and the triggerer",
                        "schema": {"type": ["string", "null"]},
                    },
                    "client_cert": {"label": "Client certificate", "schema": {"type": ["string", "null"]}},
                    "client_key": {"label": "Client key's path", "schema": {"type": ["string", "null"]}},
                    "timeout_seconds": {
                        "label": "Seconds for one answer",
                        "schema": {"type": ["number", "null"], "default": 60},
                    },
                    "outage_seconds": {
                        "label": "Seconds of outage ridden out",
                        "schema": {"type": ["number", "null"], "default": 600},
                    },
                },
            }
        ],
        "extra-links": ["kumo_airflow.links.DagsterRunLink"],
    }
