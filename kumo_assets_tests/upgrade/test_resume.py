"""Runs of the old commit, killed in the middle, are finished by today's code: the same releases, nothing begun twice. And
a new day is built after its days, goes live, and is served by its reader."""

from __future__ import annotations

import json
from typing import Any

import boto3
import dagster as dg
import httpx
import pytest

from kumo_assets_tests.upgrade import restore
from kumo_assets_tests.upgrade.conftest import ANSWERS, Old, left, runs_of_killed_processes
from kumo_assets_tests.upgrade.data_files import Stored
from kumo_assets_tests.upgrade.project import ENVIRONMENT, ON_S3
from kumo_assets_tests.upgrade.schemas import BY_FOLDER, BY_NAME, faults, item_faults, schema_of

# The day, and how far its release had come: what is in S3 of it that must stay.
UNLOADED, IMPORTING, UNSEALED = "2017-11-26", "2017-11-27", "2017-11-28"
ROOT_RUN = "kumo_assets/root_run"


@pytest.fixture(scope="module")
def begun(place: Old) -> Old:
    """The query restored with its Snowflake tables and imports, and Dagster's storage with the killed runs in it."""
    restore.restore(place.env, ON_S3, place.zookeeper)
    restore.restore_imports(ON_S3)
    restore.restore_warehouse(place.env, ON_S3)
    restore.restore_kumo(place.env["KUMO_API_URL"].removesuffix("/api"))
    with dg.DagsterInstance.get() as instance:
        for run in runs_of_killed_processes():
            status = dg.DagsterRunStatus(run["status"])
            instance.add_run(
                dg.DagsterRun(job_name=run["job_name"], run_id=run["run_id"], status=status, tags=run["tags"])
            )
    return place


@pytest.fixture
def old(begun: Old) -> Old:
    """The same for each test, whatever the test before it built."""
    restore.restore(begun.env, ON_S3, begun.zookeeper)
    return begun


def of_release(release: str) -> list[Stored]:
    """What the old commit had stored of a release that stays as it was: all but the gates' counts and verdicts."""
    prefix = f"{ENVIRONMENT}/{ON_S3}/releases/{release}/"
    found = [one for one in restore.old_objects(ON_S3) if one.key.startswith(prefix)]
    return [one for one in found if "/verdicts/" not in one.key and "/statistics/" not in one.key]


def kumo_jobs(old: Old, day: str) -> list[dict[str, Any]]:
    url = old.env["KUMO_API_URL"].removesuffix("/api") + "/_sandbox/jobs"
    jobs = httpx.get(url, trust_env=False).json()["jobs"]
    tags = {"kumo_assets.environment": ENVIRONMENT, "kumo_assets.partition": day}
    return [job for job in jobs if tags.items() <= job["tags"].items()]


@pytest.mark.parametrize(
    ("day", "export", "imports"),
    [(UNLOADED, "export-a2", (0, 1)), (IMPORTING, "export", (1, 1)), (UNSEALED, "export", (0, 0))],
    ids=["unloaded to S3", "importing", "not sealed yet"],
)
def test_a_killed_run_is_finished_under_its_own_release(
    old: Old, day: str, export: str, imports: tuple[int, int]
) -> None:
    [release] = left(ON_S3, "building", day)
    before = of_release(release)
    [opened] = [json.loads(one.body) for one in before if one.key.endswith("/opened.json")]
    assert len(imports_into(release)) == imports[0]

    done = old.run("materialize", ON_S3, "--partition", day)

    assert (done["resumed"], done["release_id"]) == (True, release)
    assert done["counts"] == {"rows": 24, "entities": 8, "exported": 8, "imported": 8, "errors": 0}
    with dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(done["run_id"])
    assert run is not None
    assert run.tags[ROOT_RUN] == opened["root_run_id"] == opened["run_id"]
    for one in before:
        assert old.object(ON_S3, one.key.partition(f"/{ON_S3}/")[2]) == one.body, one.key
    seal, imported, unloaded = (
        json.loads(old.object(ON_S3, f"releases/{release}/{name}.json"))
        for name in ("release", "artefacts/dynamodb_table", "artefacts/s3_export")
    )
    assert seal["artefacts"]["s3_export"].endswith(f"/{release}/{export}/")
    assert seal["table"] == f"{ENVIRONMENT}-{ON_S3}-{release}"
    assert imported["details"]["sample"] == unloaded["details"]["sample"]
    assert len(unloaded["details"]["sample"]) == 4
    # Nothing was asked of Kumo again, and nothing was imported twice.
    assert kumo_jobs(old, day) == []
    assert len(imports_into(release)) == imports[1]
    assert old.run("promote", ON_S3, release)["moved"]


def imports_into(release: str) -> list[str]:
    """Every import into a table of this release. Other tests of the same sandbox have imports too, so all pages count."""
    client = boto3.client("dynamodb")
    page = client.list_imports(PageSize=25)
    summaries = page["ImportSummaryList"]
    while "NextToken" in page:
        page = client.list_imports(PageSize=25, NextToken=page["NextToken"])
        summaries += page["ImportSummaryList"]
    return [one["ImportArn"] for one in summaries if f"-{ON_S3}-{release}" in one["TableArn"]]


def test_a_day_that_was_blocked_is_built_anew_and_served_by_the_old_reader(old: Old) -> None:
    """A verdict that blocks is final for its release. The old seal's statistics are the new gates' baseline."""
    [blocked] = left(ON_S3, "blocked")
    day = f"{blocked[:4]}-{blocked[4:6]}-{blocked[6:8]}"
    done = old.run("materialize", ON_S3, "--partition", day, "--promote", "--by", "ann")
    release, active = done["release_id"], ANSWERS[ON_S3]["status"]["release_id"]
    assert (done["resumed"], done["promoted"], len(kumo_jobs(old, day))) == (False, True, 1)
    assert release != blocked
    verdicts = old.run("gates", ON_S3, "--partition", day, "--release", release)["verdicts"]
    compared = {one["gate"] for one in verdicts if (one.get("baseline") or {}).get("release_id") == active}
    assert {"volume", "score_drift", "class_share", "entities_lost", "overlap", "raw_volume"} <= compared

    found = old.old_reader(ON_S3, release, "1", "2", "999")
    assert (found["release_id"], found["fallback"], found["previous"][0]) == (release, release, active)
    assert [len(found["answers"][entity]) for entity in ("1", "2")] == [3, 3]
    assert found["answers"]["999"] is None
    assert found["answers"]["1"] == old.run("lookup", ON_S3, "1")["predictions"]

    # And what was written for it conforms to the written contract.
    before = {one.key for one in restore.old_objects(ON_S3)} - {f"{ENVIRONMENT}/{ON_S3}/active.json"}
    written = [
        Stored(key, "", old.object(ON_S3, key.partition(f"/{ON_S3}/")[2]))
        for key in restore.objects(old.bucket, ON_S3)
        if key not in before
    ]
    assert {schema_of(one.key) for one in written} - {None} == {*BY_NAME.values(), *BY_FOLDER.values()}
    assert faults(written) == {}
    items = boto3.client("dynamodb").scan(TableName=done["table"])["Items"]
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
