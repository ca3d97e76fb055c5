"""Runs of the old commit, killed in the middle, are finished by today's code: the same releases, nothing begun twice. And
a new day is built after its days, goes live, and is served by its reader."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import boto3
import dagster as dg
import httpx
import pytest

from kumo_assets_tests.upgrade import restore
from kumo_assets_tests.upgrade.conftest import ANSWERS, ON_S3, Old, left, runs_of_killed_processes
from kumo_assets_tests.upgrade.data_files import Stored
from kumo_assets_tests.upgrade.schemas import BY_FOLDER, BY_NAME, faults, item_faults, schema_of

# The day, and how far its release had come: what is in S3 of it that must stay.
UNLOADED, IMPORTING, UNSEALED = "2017-11-26", "2017-11-27", "2017-11-28"
ROOT_RUN = "kumo_assets/root_run"


@pytest.fixture(scope="module")
def old(place: Old) -> Old:
    """The query restored with its Snowflake tables, and Dagster's storage with the killed runs in it."""
    restore.restore(place.env, ON_S3, place.zookeeper)
    restore.restore_imports(ON_S3)
    restore.restore_warehouse(place.env, ON_S3)
    restore.restore_kumo(place.env["KUMO_API_URL"].removesuffix("/api"))
    with dg.DagsterInstance.get() as instance:
        for run in runs_of_killed_processes():
            instance.add_run(
                dg.DagsterRun(
                    job_name=run["job_name"],
                    run_id=run["run_id"],
                    status=dg.DagsterRunStatus(run["status"]),
                    tags=run["tags"],
                )
            )
    return place


def of_release(release: str) -> list[Stored]:
    """What the old commit had stored of a release that stays as it was: all but the gates' counts and verdicts."""
    prefix = f"{restore.ENVIRONMENT}/{ON_S3}/releases/{release}/"
    found = [one for one in restore.old_objects(ON_S3) if one.key.startswith(prefix)]
    return [one for one in found if "/verdicts/" not in one.key and "/statistics/" not in one.key]


def kumo_jobs(old: Old, day: str) -> list[dict[str, Any]]:
    url = old.env["KUMO_API_URL"].removesuffix("/api") + "/_sandbox/jobs"
    jobs = httpx.get(url, trust_env=False).json()["jobs"]
    tags = {"kumo_assets.environment": restore.ENVIRONMENT, "kumo_assets.partition": day}
    return [job for job in jobs if tags.items() <= job["tags"].items()]


@pytest.mark.parametrize(
    ("day", "export", "begun"),
    [(UNLOADED, "export-a2", 0), (IMPORTING, "export", 1), (UNSEALED, "export", 0)],
    ids=["unloaded to S3", "importing", "not sealed yet"],
)
def test_a_killed_run_is_finished_under_its_own_release(old: Old, day: str, export: str, begun: int) -> None:
    [release] = left(ON_S3, "building", day)
    before = of_release(release)
    [opened] = [json.loads(one.body) for one in before if one.key.endswith("/opened.json")]
    imports = len(imports_into(release))
    assert imports == begun
    done = old.run("materialize", ON_S3, "--partition", day)
    assert (done["resumed"], done["release_id"]) == (True, release)
    assert done["counts"] == {"rows": 24, "entities": 8, "exported": 8, "imported": 8, "errors": 0}
    with dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(done["run_id"])
    assert run is not None
    assert run.tags[ROOT_RUN] == opened["root_run_id"] == opened["run_id"]
    for one in before:
        assert old.object(ON_S3, one.key.partition(f"/{ON_S3}/")[2]) == one.body, one.key
    seal = json.loads(old.object(ON_S3, f"releases/{release}/release.json"))
    assert seal["artefacts"]["s3_export"].endswith(f"/{release}/{export}/")
    # Nothing was asked of Kumo again, and nothing is imported twice.
    assert kumo_jobs(old, day) == []
    assert len(imports_into(release)) == (0 if day == UNSEALED else 1)
    assert seal["table"] == f"{restore.ENVIRONMENT}-{ON_S3}-{release}"


def imports_into(release: str) -> list[str]:
    found = boto3.client("dynamodb").list_imports(PageSize=25)["ImportSummaryList"]
    return [one["ImportArn"] for one in found if f"-{ON_S3}-{release}" in one["TableArn"]]


@dataclass(frozen=True)
class NewDay:
    """A day that the old commit's gates had blocked, built anew and promoted by today's code."""

    day: str
    blocked: str
    done: dict[str, Any]

    @property
    def release(self) -> str:
        return str(self.done["release_id"])


@pytest.fixture(scope="module")
def new_day(old: Old) -> NewDay:
    [blocked] = left(ON_S3, "blocked")
    day = f"{blocked[:4]}-{blocked[4:6]}-{blocked[6:8]}"
    return NewDay(day, blocked, old.run("materialize", ON_S3, "--partition", day, "--promote", "--by", "ann"))


def test_a_day_that_was_blocked_is_a_new_release_compared_with_the_old_active_one(old: Old, new_day: NewDay) -> None:
    """A verdict that blocks is final for its release. The old seal's statistics are the new gates' baseline."""
    assert (new_day.done["resumed"], new_day.done["promoted"], len(kumo_jobs(old, new_day.day))) == (False, True, 1)
    assert new_day.release != new_day.blocked
    verdicts = old.run("gates", ON_S3, "--partition", new_day.day, "--release", new_day.release)["verdicts"]
    active = ANSWERS[ON_S3]["status"]["release_id"]
    compared = {one["gate"] for one in verdicts if (one.get("baseline") or {}).get("release_id") == active}
    assert {"volume", "score_drift", "class_share", "entities_lost", "overlap", "raw_volume"} <= compared


def test_the_old_reader_serves_a_release_that_today_s_code_built(old: Old, new_day: NewDay) -> None:
    found = old.old_reader(ON_S3, new_day.release, "1", "2", "999")
    assert (found["release_id"], found["fallback"]) == (new_day.release, new_day.release)
    assert found["previous"][0] == ANSWERS[ON_S3]["status"]["release_id"]
    assert [len(found["answers"][entity]) for entity in ("1", "2")] == [3, 3]
    assert found["answers"]["999"] is None
    assert found["answers"]["1"] == old.run("lookup", ON_S3, "1")["predictions"]


def test_everything_that_today_s_code_wrote_conforms_to_the_contract(old: Old, new_day: NewDay) -> None:
    before = {one.key for one in restore.old_objects(ON_S3)} - {f"{restore.ENVIRONMENT}/{ON_S3}/active.json"}
    written = [
        Stored(key, "", old.object(ON_S3, key.partition(f"/{ON_S3}/")[2]))
        for key in restore.objects(old.bucket, ON_S3)
        if key not in before
    ]
    assert {schema_of(one.key) for one in written} - {None} == {*BY_NAME.values(), *BY_FOLDER.values()}
    assert faults(written) == {}
    items = boto3.client("dynamodb").scan(TableName=new_day.done["table"])["Items"]
    assert [wrong for item in items for wrong in item_faults(item["p"]["S"])] == []


def test_a_run_that_starts_mid_chain_adopts_what_the_old_commit_built(old: Old) -> None:
    """As a person clicks it in Dagster: the day's postprocessing and what follows, over the old predictions."""
    from upgrade_project.definitions import defs

    [source] = left(ON_S3, "rejected")
    selection = dg.AssetSelection.assets(*[[ON_S3, name] for name in ("postprocessed", "s3_export", "dynamodb_table")])
    job = dg.define_asset_job("repair", selection=selection)
    with dg.DagsterInstance.get() as instance:
        done = (
            dg.Definitions.merge(defs(), dg.Definitions(jobs=[job]))
            .resolve_job_def("repair")
            .execute_in_process(instance=instance, partition_key="2017-11-22", raise_on_error=False)
        )
    assert done.success
    release = f"20171122-{done.run_id[:8]}"
    opened = json.loads(old.object(ON_S3, f"releases/{release}/opened.json"))
    assert opened["adopted"] == {"predictions": source}
    assert old.states(ON_S3)[release] == "candidate"
    assert kumo_jobs(old, "2017-11-22") == []
