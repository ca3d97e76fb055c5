"""The connection type `kumo_dagster`: where Dagster is, the token, TLS; and the test button.

Host is Dagster's URL as a person opens it (https://dagster.example.com, or a host with a port); the password is the
token, sent as `Authorization: Bearer ...`, or bare in another header for Dagster+ (`Dagster-Cloud-Api-Token`).
"""

from __future__ import annotations

from typing import Any

from kumo_airflow import operations
from kumo_airflow.client import AsyncDagster, Dagster, Settings
from kumo_airflow.compat import BaseHook, connection
from kumo_airflow.errors import KumoAirflowError, Refusal

DEFAULT_CONN_ID = "kumo_dagster_default"


def settings_of(conn: Any, *, outage_seconds: float | None = None) -> Settings:
    """An Airflow connection as the client's settings. Raises Refusal for what cannot be used; no secret in its words."""
    extra = conn.extra_dejson or {}
    host = (conn.host or "").strip()
    if not host:
        raise Refusal(
            "use the connection", to=str(conn.conn_id), found="it has no host", next="put Dagster's URL into Host"
        )
    if "://" not in host:
        scheme = conn.schema if conn.schema in ("http", "https") else "https"
        host = f"{scheme}://{host}"
    head, _, tail = host.partition("://")
    if conn.port and ":" not in tail.partition("/")[0]:
        name, slash, path = tail.partition("/")
        tail = f"{name}:{conn.port}{slash}{path}"
    headers = {}
    if conn.password:
        header = str(extra.get("token_header") or "Authorization")
        headers[header] = f"Bearer {conn.password}" if header.lower() == "authorization" else conn.password
    verify: bool | str = extra.get("ca_bundle") or _yes(extra.get("verify", True))
    cert = extra.get("client_cert") or None
    return Settings(
        url=f"{head}://{tail}".rstrip("/"),
        headers=headers,
        verify=verify,
        cert=(cert, extra["client_key"]) if cert and extra.get("client_key") else cert,
        timeout_seconds=float(extra.get("timeout_seconds") or 60),
        outage_seconds=outage_seconds if outage_seconds is not None else float(extra.get("outage_seconds") or 600),
    )


def _yes(value: Any) -> bool:
    return value if isinstance(value, bool) else str(value).strip().lower() not in ("false", "0", "no", "off", "")


class KumoDagsterHook(BaseHook):
    """A Dagster that serves kumo_assets."""

    conn_name_attr = "conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = "kumo_dagster"
    hook_name = "Dagster (kumo_assets)"

    def __init__(self, conn_id: str = DEFAULT_CONN_ID, *, outage_seconds: float | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.conn_id, self._outage_seconds = conn_id, outage_seconds

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """How the form names its fields (Airflow 2; Airflow 3 reads the same from `provider.get_provider_info`)."""
        return {
            "hidden_fields": ["login", "schema"],
            "relabeling": {"host": "Dagster's URL", "password": "Token"},
            "placeholders": {
                "host": "https://dagster.example.com",
                "extra": '{"token_header": "Dagster-Cloud-Api-Token", "ca_bundle": "/etc/ssl/ours.pem", '
                '"client_cert": "...", "client_key": "...", "verify": true, "timeout_seconds": 60}',
            },
        }

    def settings(self) -> Settings:
        return settings_of(self.get_connection(self.conn_id), outage_seconds=self._outage_seconds)

    def get_conn(self) -> Dagster:
        """A client for a worker."""
        return Dagster(self.settings(), say=self.log.warning)

    def test_connection(self) -> tuple[bool, str]:
        """The test button: is it Dagster, does it let us in, does it serve kumo_assets?"""
        try:
            found = settings_of(self.get_connection(self.conn_id), outage_seconds=0)
            with Dagster(found) as dagster:
                version = dagster.do(operations.version())
                jobs = dagster.do(operations.daily_jobs())
        except KumoAirflowError as error:
            return False, str(error)
        if not jobs:
            return False, f"Dagster {version} answers, and has no job named *_daily: load kumo_assets there"
        return True, f"Dagster {version} at {found.url}; daily jobs: {', '.join(jobs)}"


async def async_client(conn_id: str, outage_seconds: float | None, say: Any) -> AsyncDagster:
    """A client for the triggerer."""
    return AsyncDagster(settings_of(await connection(conn_id), outage_seconds=outage_seconds), say)
