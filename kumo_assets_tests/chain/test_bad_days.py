"""What goes wrong outside, and how the chain answers: one clear error, nothing half-done, the pointer where it was."""

from __future__ import annotations

import uuid
from pathlib import Path

import dagster as dg
import pytest

from kumo_assets.documents import Artefact, ExportDetails
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.resources.dynamodb.imports import ImportRequest, adopt_or_import, wait_for_import
from kumo_assets.resources.dynamodb.tables import tags_of
from kumo_assets_tests.chain.conftest import (
    DAY,
    HOUSEHOLDS,
    NEXT_DAY,
    QUERY,
    QUIET,
    Chain,
    Day,
    failure,
    steps,
    written,
)
from kumo_assets_tests.support.chat import Chat


def test_stale_raw_logs_fail_the_run_and_leave_yesterday_active(chain: Chain) -> None:
    chain.run(DAY)
    chain.promote()
    active = chain.active()
    result = chain.run("2017-12-05")
    assert not result.success
    assert "Could not wait for the raw logs to reach 2017-12-06" in failure(result)
    assert "the cut-off was" in failure(result)
    assert not any(job["tags"]["kumo_assets.partition"] == "2017-12-05" for job in chain.kumo_jobs())
    chain.promote()
    assert chain.active() == active


def test_a_refused_launch_is_told_in_kumos_words(chain: Chain) -> None:
    chain.handle.kumo_faults({"kind": "refused", "query": QUERY})
    result = chain.run()
    assert not result.success
    assert "launch the batch prediction" in failure(result)
    assert steps(result) == set()


def test_a_failed_job_opens_a_second_attempt_on_the_next_run_of_the_release(chain: Chain) -> None:
    root = str(uuid.uuid4())
    chain.handle.kumo_faults({"kind": "failed", "query": QUERY})
    assert not chain.run(root=root).success
    again = chain.run(root=root)
    assert again.success
    predictions = chain.ctx().store.artefact(chain.release(again, root=root), "predictions")
    assert predictions is not None
    assert predictions.attempt == 2
    assert predictions.name.endswith("_A2")
    assert [job["tags"]["kumo_assets.attempt"] for job in sorted(chain.kumo_jobs(), key=lambda j: j["created_at"])] == [
        "1",
        "2",
    ]


@pytest.mark.parametrize(
    ("kind", "parameters", "words"),
    [
        ("done_without_table", {}, "no such table"),
        ("partial_write", {"fraction": 0.5}, "entities; the job reported"),
        ("stale_table", {}, "JOB_TIMESTAMP"),
        ("empty_table", {}, "no rows"),
    ],
)
def test_done_is_not_believed_until_the_table_proves_it(
    chain: Chain, kind: str, parameters: dict[str, float], words: str
) -> None:
    chain.handle.kumo_faults({"kind": kind, "query": QUERY, "with": parameters})
    result = chain.run()
    assert not result.success
    assert "believe Kumo job" in failure(result)
    assert words in failure(result)
    assert steps(result) == set()


def test_a_table_that_comes_late_is_waited_for_by_the_rerun_too(custom) -> None:  # type: ignore[no-untyped-def]
    """A worker that dies between DONE and the table must not cost a second Kumo job (rule 2)."""
    root = str(uuid.uuid4())

    def patience(seconds: float):  # type: ignore[no-untyped-def]
        return custom(change=lambda spec: spec["source"]["kumo"]["poll"].update(table_seconds=seconds))

    hasty = patience(0.1)
    hasty.handle.kumo_faults({"kind": "late_table", "query": QUERY, "with": {"seconds": 4}})
    assert not hasty.run(root=root).success
    again = patience(60).run(root=root)
    assert again.success
    assert len([job for job in hasty.kumo_jobs() if job["tags"]["kumo_assets.query"] == "custom_query"]) == 1


def test_unlisted_warnings_of_kumo_block_the_release(chain: Chain, chat: Chat) -> None:
    warning = {"title": "Distribution shift", "message": "column X"}
    chain.handle.kumo_faults({"kind": "job_warnings", "query": QUERY, "with": {"warnings": [warning]}})
    result = chain.run()
    assert not result.success
    assert steps(result) == {"predictions"}
    verdict = chain.verdicts(chain.release(result))["kumo_warnings"]
    assert verdict.blocks
    assert "Distribution shift: column X" in verdict.message
    [message] = chat.posted
    assert message["kind"] == "blocked"
    assert "Distribution shift: column X" in message["text"]
    assert not chain.promote().success
    assert chain.active() is None


def test_listed_warnings_are_lived_with(custom) -> None:  # type: ignore[no-untyped-def]
    chain = custom(change=lambda spec: spec.update(gates={"kumo_warnings": {"allow": ["Distribution *"]}}))
    warning = {"title": "Distribution shift", "message": "column X"}
    chain.handle.kumo_faults({"kind": "job_warnings", "query": QUERY, "with": {"warnings": [warning]}})
    assert chain.run().success


def test_duplicated_predictions_block_the_release(chain: Chain) -> None:
    chain.handle.kumo_faults({"kind": "duplicated_rows", "query": QUERY, "with": {"fraction": 0.1}})
    result = chain.run()
    assert not result.success
    assert chain.verdicts(chain.release(result))["keys"].blocks
    assert "dynamodb_table" not in steps(result)


def test_lists_too_short_block_the_release(custom) -> None:  # type: ignore[no-untyped-def]
    chain = custom(
        sql="""
        SELECT ENTITY, CLASS, SCORE, ROW_NUMBER() OVER (PARTITION BY ENTITY ORDER BY SCORE DESC, CLASS) AS RANK
        FROM {{ predictions }} QUALIFY RANK <= 3
        """
    )
    result = chain.run()
    assert not result.success
    assert chain.verdicts(chain.release(result))["list_shape"].blocks
    assert "dynamodb_table" not in steps(result)


def test_many_entities_lost_against_the_active_release_block(chain: Chain) -> None:
    chain.run(DAY)
    chain.promote()
    active = chain.active()
    chain.handle.kumo_faults({"kind": "users_lost", "query": QUERY, "with": {"fraction": 0.4}})
    result = chain.run(NEXT_DAY)
    assert not result.success
    # Of 60 entities, 4 in 10 gone is within the noise floor of `volume`, which compares two independent counts.
    verdict = chain.verdicts(chain.release(result, NEXT_DAY))["entities_lost"]
    assert verdict.blocks
    assert verdict.baseline.release_id == active
    chain.promote()
    assert chain.active() == active


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT NONSENSE FROM {{ predictions }}", "NONSENSE"),
        ("SELECT ENTITY, CLASS, SCORE FROM {{ predictions }}", "no column RANK"),
        ("SELECT ENTITY, CLASS, SCORE, 1 AS RANK FROM {{ predictions }}", "repeat an (ENTITY, RANK)"),
        ("SELECT ENTITY, CLASS, SCORE, 1 AS RANK FROM {{ predictions }} WHERE 1 = 0", "no rows"),
        ("SELECT * FROM {{ prediction }}", "unknown placeholder"),
    ],
)
def test_bad_postprocessing_is_told_and_nothing_is_exported(day: Day, tmp_path: Path, sql: str, words: str) -> None:
    chain = written(day.chain, tmp_path, QUERY, sql=sql)
    result = chain.run(assets=("postprocessed", "s3_export"))
    assert not result.success
    assert words in failure(result)
    assert steps(result) == set()
    opened = chain.ctx().store.opened(chain.release(result))
    assert opened is not None
    assert opened.adopted == {"predictions": day.release}


def test_mended_postprocessing_continues_the_release_under_a_new_name(custom) -> None:  # type: ignore[no-untyped-def]
    chain = custom(sql="SELECT ENTITY, CLASS, SCORE, 1 AS RANK FROM {{ predictions }}")
    root = str(uuid.uuid4())
    assert not chain.run(root=root).success
    (chain.definition.folder / "postprocess.sql").unlink()
    again = chain.run(root=root)
    assert again.success
    post = chain.ctx().store.artefact(chain.release(again, root=root), "postprocessed")
    assert post is not None
    assert post.name.endswith("_A2")
    assert len(chain.kumo_jobs()) == 1


def test_a_table_that_changed_between_its_proof_and_the_unload_is_not_imported(chain: Chain) -> None:
    root = str(uuid.uuid4())
    first = chain.run(assets=("predictions", "postprocessed"), root=root)
    assert first.success
    post = chain.ctx().store.artefact(chain.release(first, root=root), "postprocessed")
    assert post is not None
    where = f'"KUMO"."PUBLIC"."{post.name}"'
    chain.sql(f"INSERT INTO {where} SELECT -1 AS ENTITY, CLASS, SCORE, RANK FROM {where} WHERE ENTITY = 1")
    result = chain.run(assets=("s3_export", "dynamodb_table"), root=root)
    assert not result.success
    assert f"{HOUSEHOLDS + 1} rows" in failure(result)
    assert f"{HOUSEHOLDS} entities" in failure(result)
    assert steps(result) == set()


def test_leftovers_under_the_export_prefix_are_never_imported(chain: Chain) -> None:
    root = str(uuid.uuid4())
    ctx = chain.ctx()
    prefix = ctx.store.names.export_prefix(chain.release(None, root=root))  # type: ignore[arg-type]
    ctx.objects.client.put_object(Bucket=ctx.store.names.bucket, Key=prefix + "data_0_0_0.csv.gz", Body=b"left over")
    result = chain.run(root=root)
    assert result.success
    export = ctx.store.artefact(chain.release(result, root=root), "s3_export")
    assert export is not None
    assert export.name.endswith("/export-a2/")


def exported(chain: Chain, root: str) -> tuple[ReleaseContext, str, Artefact]:
    """A release built as far as its export; its context, id and export."""
    assert chain.run(assets=("predictions", "postprocessed", "s3_export"), root=root).success
    ctx = chain.ctx()
    release = chain.release(None, root=root)  # type: ignore[arg-type]
    export = ctx.store.artefact(release, "s3_export")
    assert export is not None
    return ctx, release, export


def test_a_partial_import_is_refused_by_its_verdict(chain: Chain, chat: Chat) -> None:
    root = str(uuid.uuid4())
    ctx, release, export = exported(chain, root)
    import gzip

    body = gzip.compress(b'"e","p"\n"extra"\n')
    ctx.objects.client.put_object(
        Bucket=ctx.store.names.bucket, Key=export.details_as(ExportDetails).prefix + "zz.csv.gz", Body=body
    )
    result = chain.run(assets=("dynamodb_table",), root=root)
    assert not result.success
    verdict = chain.verdicts(release)["import_complete"]
    assert verdict.blocks
    assert "errors" in verdict.message
    [message] = chat.posted
    assert message["kind"] == "blocked"
    assert "import_complete" in message["text"]
    assert ctx.store.sealed(release) is None
    assert not chain.promote().success


def test_a_table_whose_items_differ_is_not_adopted_again(chain: Chain) -> None:
    """As an import that a killed worker had begun, and that came out with right counts and a wrong item."""
    root = str(uuid.uuid4())
    ctx, release, export = exported(chain, root)
    request = ImportRequest(
        table=ctx.names.dynamodb_table(release),
        bucket=ctx.names.bucket,
        prefix=export.details_as(ExportDetails).prefix,
        key="e",
        format=export.details_as(ExportDetails).format,
        tags={},
    )
    _, state, _ = adopt_or_import(ctx.dynamodb, lambda attempt: request, lambda state: True)
    wait_for_import(ctx.dynamodb, state, poll_seconds=0.1, deadline_seconds=60)
    sampled = export.details_as(ExportDetails).sample[0].entity
    ctx.dynamodb.put_item(TableName=request.table, Item={"e": {"S": sampled}, "p": {"S": "[]"}})
    assert not chain.run(assets=("dynamodb_table",), root=root).success
    verdict = chain.verdicts(release)["import_complete"]
    assert verdict.blocks
    assert f"sampled items differ from their source rows, {sampled} among them" in verdict.message
    assert tags_of(ctx.dynamodb, request.table) == ctx.names.tags(release), "retirement deletes nothing untagged"
    assert chain.run(assets=("dynamodb_table",), root=root).success
    sealed = ctx.store.sealed(release)
    assert sealed is not None
    assert sealed.seal.table == request.table + "-a2"


def test_a_taken_table_name_is_told_and_not_touched(chain: Chain) -> None:
    root = str(uuid.uuid4())
    ctx = chain.ctx()
    name = ctx.store.names.dynamodb_table(chain.release(None, root=root))  # type: ignore[arg-type]
    ctx.dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "e", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "e", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    result = chain.run(root=root)
    assert not result.success
    assert "no import made it" in failure(result)
    assert ctx.dynamodb.describe_table(TableName=name)["Table"]["ItemCount"] == 0


def test_wrong_aws_credentials_are_told_without_the_secret(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAWRONG")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret-value")
    result = chain.run()
    assert not result.success
    assert "AWS_ACCESS_KEY_ID" in failure(result)
    assert "planted-secret-value" not in "".join(str(event) for event in result.all_events)


def test_a_wrong_snowflake_password_is_told_without_the_secret(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNOWFLAKE_PASSWORD", "planted-secret-value")
    result = chain.run()
    assert not result.success
    assert "log in to Snowflake" in failure(result)
    assert "planted-secret-value" not in "".join(str(event) for event in result.all_events)


def test_a_wrong_kumo_key_is_told_without_the_key(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUMO_API_KEY", "wrong:planted-secret-value")
    result = chain.run()
    assert not result.success
    assert "KUMO_API_KEY" in failure(result)
    assert "planted-secret-value" not in "".join(str(event) for event in result.all_events)


def test_a_missing_environment_name_is_named(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUMO_ASSETS_ENV")
    result = chain.run()
    assert not result.success
    assert "KUMO_ASSETS_ENV" in failure(result)


@pytest.mark.parametrize("variable", ["KUMO_API_URL", "SNOWFLAKE_ACCOUNT", "SNOWFLAKE_PASSWORD", "KUMO_ASSETS_BUCKET"])
def test_a_missing_variable_is_named_and_nothing_is_begun(
    chain: Chain, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv(variable)
    try:
        words = failure(chain.run())
    except dg.DagsterInvalidConfigError as error:
        words = str(error)
    assert variable in words
    assert chain.kumo_jobs() == []


def test_missing_aws_credentials_are_told_with_what_to_do(
    chain: Chain, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    words = failure(chain.run())
    assert "NoCredentialsError" in words
    assert "kumo-sandbox env" in words
    assert chain.kumo_jobs() == []


def test_a_partition_of_the_future_is_refused_and_waits_for_no_logs(chain: Chain) -> None:
    job = chain.definitions.resolve_job_def(f"{QUERY}_daily")
    try:
        result = job.execute_in_process(
            instance=chain.instance, partition_key="2199-01-01", run_config=QUIET, raise_on_error=False
        )
        words = failure(result)
    except dg.DagsterUnknownPartitionError as error:
        words = str(error)
    assert "2199-01-01" in words
    assert chain.kumo_jobs() == []
    assert chain.ctx().store.listings() == []


def test_an_import_that_ends_failed_seals_nothing_and_the_next_run_imports_anew(chain: Chain) -> None:
    """Its objects are gone when the import starts; put back, the same release is imported into a table of a new name."""
    root = str(uuid.uuid4())
    assert chain.run(assets=("predictions", "postprocessed", "s3_export"), root=root).success
    store = chain.ctx().store
    release = chain.release(None, root=root)  # type: ignore[arg-type]
    export = store.artefact(release, "s3_export")
    assert export is not None
    [key] = [item.key for item in store.objects.list(export.details_as(ExportDetails).prefix)]
    body = store.objects.client.get_object(Bucket=store.names.bucket, Key=key)["Body"].read()
    store.objects.client.delete_object(Bucket=store.names.bucket, Key=key)
    result = chain.run(assets=("dynamodb_table",), root=root)
    assert not result.success
    verdict = chain.verdicts(release)["import_complete"]
    assert verdict.blocks
    assert store.sealed(release) is None
    assert not chain.promote().success
    store.objects.client.put_object(Bucket=store.names.bucket, Key=key, Body=body)
    again = chain.run(assets=("dynamodb_table",), root=root)
    assert again.success, chain.why(again)
    table = store.artefact(release, "dynamodb_table")
    assert table is not None
    assert table.name.endswith("-a2")
    assert chain.promote().success
