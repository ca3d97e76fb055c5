"""What Kumo's source says while it waits and shows when it is done, and the client that the environment names."""

from __future__ import annotations

import pytest

from kumo_assets.documents import KumoNotice, PredictionDetails
from kumo_assets.errors import ConfigError
from kumo_assets.resources.kumo.environment import client_from_environment
from kumo_assets.resources.kumo.model import JobStatus, KumoJob, Progress, StageEvent
from kumo_assets.sources.kumo import KumoSource
from kumo_assets.sources.kumo_job import in_progress
from kumo_assets.sources.protocol import Link

URL = "https://acme.kumoai.cloud/jobs/j-1"


def test_each_poll_passes_on_status_stage_progress_and_where_to_look() -> None:
    said: list[str] = []
    on_progress = in_progress(said.append, "Kumo job", " trials")
    on_progress(KumoJob("j-1", JobStatus.QUEUED, "QUEUED"), None)
    running = KumoJob("j-1", JobStatus.RUNNING, "RUNNING", events=(StageEvent("Predicting", "", ""),), tracking_url=URL)
    on_progress(running, Progress(3, 10))
    on_progress(running, Progress(0, 0))  # Kumo does not know the total yet
    assert said == [
        "Kumo job j-1: QUEUED",
        f"Kumo job j-1: RUNNING Predicting 3/10 trials {URL}",
        f"Kumo job j-1: RUNNING Predicting {URL}",
    ]


def test_the_job_is_shown_as_a_link_where_kumo_gave_one() -> None:
    told = PredictionDetails(
        job_id="j-1", tracking_url=URL, warnings=(KumoNotice(title="t"),), database="D", schema="S"
    )
    shown = KumoSource().figures(told)
    assert (shown["Kumo job"], shown["Kumo model"], shown["Kumo warnings"]) == (Link(URL), "not reported", 1)
    assert KumoSource().figures(told.model_copy(update={"tracking_url": None}))["Kumo job"] == "j-1"


@pytest.mark.parametrize("missing", ["KUMO_API_URL", "KUMO_API_KEY"])
def test_a_missing_variable_is_named(missing: str) -> None:
    environ = {"KUMO_API_URL": "https://acme.kumoai.cloud/api", "KUMO_API_KEY": "acme:secret"}
    client_from_environment(environ).close()
    with pytest.raises(ConfigError, match=f"{missing} is not set"):
        client_from_environment({name: value for name, value in environ.items() if name != missing})


def test_a_token_file_stands_in_for_the_key_and_an_unknown_dialect_is_refused() -> None:
    environ = {"KUMO_API_URL": "https://acme.kumoai.cloud/api", "KUMO_SNOWFLAKE_TOKEN_FILE": "/no/such/file"}
    client_from_environment(environ).close()
    with pytest.raises(ConfigError, match=r"KUMO_API_DIALECT.*'v9'"):
        client_from_environment(environ | {"KUMO_API_DIALECT": "v9"})
