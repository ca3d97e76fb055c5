"""A named stage to unload through: its name, where a release's objects are in it, and the statement."""

from __future__ import annotations

import pytest

from kumo_assets.assets.s3_export import copy_into
from kumo_assets.config.environment import Environment
from kumo_assets.errors import ConfigError
from kumo_assets.resources.stages import location, target

VARIABLES = {"KUMO_ASSETS_ENV": "staging", "KUMO_ASSETS_BUCKET": "acme", "KUMO_ASSETS_STAGE": "KUMO.PUBLIC.Unloads"}
KEY = "staging/q/releases/20171130-1a2b3c4d/export/"


def test_an_unload_through_a_stage_names_no_url_no_integration_and_no_encryption() -> None:
    to = location(Environment.from_variables(VARIABLES), KEY)
    sql = copy_into(to, "SELECT 1", "csv", "INTEGRATION", 16, {"ServerSideEncryption": "AES256"})
    assert sql.startswith('COPY INTO \'@"KUMO"."PUBLIC"."Unloads"/q/releases/20171130-1a2b3c4d/export/\'\n')
    assert not any(word in sql for word in ("s3://", "STORAGE_INTEGRATION", "ENCRYPTION"))


@pytest.mark.parametrize("stage", ["UNLOADS", "KUMO.UNLOADS", "A.B.C.D", "A..C", 'A.B."C; DROP TABLE X"'])
def test_a_stage_is_named_by_three_plain_names(stage: str) -> None:
    with pytest.raises(ConfigError):
        location(Environment.from_variables({**VARIABLES, "KUMO_ASSETS_STAGE": stage}), KEY)


def test_what_is_written_to_says_by_whose_right_only_where_it_is_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUMO_ASSETS_S3_ENCRYPTION", "AES256")
    named = {**VARIABLES, "KUMO_ASSETS_STORAGE_INTEGRATION": "ACME_S3"}
    assert target(Environment.from_variables(named), KEY) == (location(Environment.from_variables(VARIABLES), KEY), "")
    to, storage = target(Environment.from_variables({**named, "KUMO_ASSETS_STAGE": ""}), KEY)
    assert to == f"s3://acme/{KEY}"
    assert storage == "STORAGE_INTEGRATION = \"ACME_S3\"\nENCRYPTION = (TYPE = 'AWS_SSE_S3')\n"
