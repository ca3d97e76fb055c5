"""Names: pure, injective over releases and attempts, and closed against malformed parts."""

from __future__ import annotations

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kumo_assets.config import names
from kumo_assets.config.names import QueryNames, ReleaseId
from kumo_assets.errors import ConfigError

days = st.dates().map(lambda day: day.isoformat())
runs = st.uuids().map(str)
queries = st.from_regex(r"[a-z][a-z0-9_]{1,30}", fullmatch=True)
environments = st.from_regex(r"[a-z][a-z0-9]{1,15}", fullmatch=True)


@given(days, runs)
def test_release_id_carries_the_partition_and_parses_back(day: str, run: str) -> None:
    release = str(ReleaseId.of(day, run))
    assert re.fullmatch(names.RELEASE_PATTERN, release)
    assert ReleaseId.checked(release).partition == day
    assert ReleaseId.parse(release) == ReleaseId.of(day, run)


@given(environments, queries, days, runs, st.integers(min_value=1, max_value=99))
def test_every_name_carries_environment_query_and_release(
    env: str, query: str, day: str, run: str, attempt: int
) -> None:
    release = str(ReleaseId.of(day, run))
    where = QueryNames(env, query, "acme-predictions")
    table = where.dynamodb_table(release, attempt)
    assert table.startswith(f"{env}-{query}-{release}")
    assert re.fullmatch(r"[a-zA-Z0-9_.-]{3,255}", table)
    snow = where.warehouse_table(release, "predictions", attempt)
    assert snow == snow.upper()
    assert f"_{env}_{query}_".upper() in snow
    assert where.export_prefix(release, attempt).startswith(f"{env}/{query}/releases/{release}/export")


@given(st.integers(min_value=1, max_value=50), st.integers(min_value=1, max_value=50))
def test_two_attempts_never_share_a_name(first: int, second: int) -> None:
    where = QueryNames("local", "q1", "acme-predictions")
    same = where.dynamodb_table("20171130-1a2b3c4d", first) == where.dynamodb_table("20171130-1a2b3c4d", second)
    assert same == (first == second)


@pytest.mark.parametrize("bad", ["", "a", "Next", "next-best", "1st", 'q"; DROP TABLE T; --', "../other", "x" * 64])
def test_malformed_query_names_are_refused(bad: str) -> None:
    with pytest.raises(ConfigError):
        QueryNames("local", bad, "acme-predictions")


@pytest.mark.parametrize("bad", ["", "Local", "prod-eu", "a/b", "x" * 20])
def test_malformed_environments_are_refused(bad: str) -> None:
    with pytest.raises(ConfigError):
        QueryNames(bad, "next_best_product", "acme-predictions")


@pytest.mark.parametrize("bad", ["20171131-1a2b3c4d", "20171130", "20171130-1A2B3C4D", "20171130-1a2b3c4d/../x"])
def test_malformed_release_ids_are_refused(bad: str) -> None:
    with pytest.raises(ConfigError):
        QueryNames("local", "q1", "acme-predictions").release_prefix(bad)
    assert ReleaseId.parse(bad) is None


@pytest.mark.parametrize(
    ("partition", "run"),
    [("2017-11-31", "1a2b3c4d"), ("20171130", "1a2b3c4d"), ("2017-11-30", "1a2b3c4"), ("2017-11-30", "not-a-uuid")],
)
def test_no_release_id_is_made_of_a_malformed_partition_or_run(partition: str, run: str) -> None:
    with pytest.raises(ConfigError):
        ReleaseId.of(partition, run)


def test_keys_of_later_days_sort_after_a_days_prefix_and_those_of_earlier_days_before_it() -> None:
    where = QueryNames("local", "q1", "acme-predictions")
    day = where.day_prefix("2017-11-30")
    assert where.release_prefix("20171129-ffffffff") < day < where.release_prefix("20171130-00000000")
    assert where.release_prefix("20171130-ffffffff").startswith(day)
    assert day < where.release_prefix("20171201-00000000")


def test_environments_never_share_a_prefix() -> None:
    release = str(ReleaseId.of("2017-11-30", str(uuid.uuid4())))
    local, staging = (QueryNames(env, "q1", "acme-predictions") for env in ("local", "staging"))
    assert not staging.release_prefix(release).startswith(local.root)
    assert local.dynamodb_table(release) != staging.dynamodb_table(release)
