"""`COPY INTO 's3://...'` as text: what is read, and that nothing unknown is passed over."""

from __future__ import annotations

import pytest
from kumo_sandbox.snowflake.statement import StatementError, is_unload, parse_unload

INTEGRATION = "STORAGE_INTEGRATION = KUMO_SANDBOX"


def test_defaults_are_snowflakes() -> None:
    found = parse_unload(f"copy into 's3://bucket/a/b/' from KUMO.PUBLIC.T {INTEGRATION}")
    assert (found.bucket, found.prefix, found.source) == ("bucket", "a/b/", "SELECT * FROM KUMO.PUBLIC.T")
    assert (found.type, found.compression, found.enclosed, found.header) == ("CSV", "GZIP", False, False)
    assert found.max_file_size == 16 * 2**20
    switches = (found.overwrite, found.single, found.detailed, found.include_query_id, found.empty_for_null)
    assert not any(switches)


def test_every_option_is_read() -> None:
    found = parse_unload(
        f"""COPY INTO 's3://bucket/prefix'
        FROM (SELECT ')' AS "e", '\\'(' AS "p" FROM T WHERE A = 'it''s')  -- a comment
        {INTEGRATION}
        FILE_FORMAT = (TYPE = 'JSON' COMPRESSION = NONE) /* another ( */
        HEADER = TRUE, MAX_FILE_SIZE = 1048576 OVERWRITE = true SINGLE = FALSE
        DETAILED_OUTPUT = TRUE INCLUDE_QUERY_ID = FALSE;"""
    )
    assert found.source == """SELECT ')' AS "e", '\\'(' AS "p" FROM T WHERE A = 'it''s'"""
    assert (found.type, found.compression, found.header, found.max_file_size) == ("JSON", "NONE", True, 2**20)
    assert (found.overwrite, found.detailed, found.integration) == (True, True, "KUMO_SANDBOX")


def test_quotes_and_nulls_of_a_csv() -> None:
    found = parse_unload(
        f"COPY INTO 's3://b/p/' FROM T {INTEGRATION} "
        "FILE_FORMAT = (TYPE = CSV FIELD_OPTIONALLY_ENCLOSED_BY = '\"' NULL_IF = ())"
    )
    assert found.enclosed
    assert found.empty_for_null


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ("FROM T PARTITION_BY = (A)", "option PARTITION_BY is not implemented by the sandbox"),
        ("FROM T FILE_FORMAT = (TYPE = ORC)", "TYPE = ORC is not implemented"),
        ("FROM T FILE_FORMAT = (TYPE = PARQUET COMPRESSION = GZIP)", "COMPRESSION = GZIP is not implemented"),
        ("FROM T FILE_FORMAT = (TYPE = PARQUET NULL_IF = ())", "NULL_IF is no option of an unload of TYPE = PARQUET"),
        ("FROM T FILE_FORMAT = (TYPE = CSV COMPRESSION = ZSTD)", "COMPRESSION = ZSTD is not implemented"),
        ("FROM T FILE_FORMAT = (TYPE = CSV FIELD_DELIMITER = '|')", "FIELD_DELIMITER other than"),
        ("FROM T FILE_FORMAT = (TYPE = CSV ESCAPE = 'x')", "option ESCAPE is not implemented"),
        ("FROM T FILE_FORMAT = (TYPE = CSV NULL_IF = ('none'))", "NULL_IF other than"),
        ("FROM T HEADER = YES", "YES is neither TRUE nor FALSE"),
        ("FROM T MAX_FILE_SIZE = 5368709121", "at most 5368709120"),
        ("FROM T MAX_FILE_SIZE = 0", "more than 0"),
        ("FROM (SELECT 1", "parenthesis is not closed"),
        ("FROM T HEADER TRUE", "syntax error near"),
        ("FROM '17'", "FROM wants a table or a query"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_wrong_statement_is_an_error_that_says_what(rest: str, words: str) -> None:
    with pytest.raises(StatementError, match=words):
        parse_unload(f"COPY INTO 's3://b/p/' {rest}")


def test_only_an_unload_is_taken_for_one() -> None:
    assert is_unload("-- first\n /* then */ copy into 's3://b/p/' from T")
    assert not is_unload("COPY INTO T FROM 's3://b/p/'")
    assert not is_unload("COPY INTO @stage FROM T")
    assert not is_unload("SELECT 'COPY INTO ''s3://b/p/'' FROM T'")


def test_an_unload_to_a_stage_says_which_and_where_in_it() -> None:
    found = parse_unload("""COPY INTO '@"KUMO".public."Unloads"/a/b/' FROM T""")
    assert (found.stage, found.prefix, found.integration) == (("KUMO", "PUBLIC", "Unloads"), "a/b/", None)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("COPY INTO '@UNLOADS/a/' FROM T", "by its whole name"),
        (f"COPY INTO '@A.B.C/a/' FROM T {INTEGRATION}", "a stage has its own"),
        ("COPY INTO '@A.B.C/a/' FROM T ENCRYPTION = (TYPE = 'AWS_SSE_S3')", "a stage has its own"),
    ],
)
def test_a_stage_is_named_whole_and_has_its_own_integration_and_encryption(statement: str, words: str) -> None:
    with pytest.raises(StatementError, match=words):
        parse_unload(statement)
