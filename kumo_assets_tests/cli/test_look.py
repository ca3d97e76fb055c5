"""`status`, `releases`, `lookup`, `queries`, `gates`, `promote` as a person at 3 a.m. types them: JSON, words, statuses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kumo_assets.config.names import QueryNames
from kumo_assets.resources.snowflake import connect_outside_dagster
from kumo_assets_tests.chain.conftest import DAY, NEXT_DAY, QUERY, SHIPPED, Chain
from kumo_assets_tests.cli.conftest import Built, kumo_assets


@pytest.fixture(autouse=True)
def _quiet(built: Built) -> None:
    built.chain.handle.reset_faults()


def test_status_says_what_is_active_and_what_waits(built: Built) -> None:
    done = kumo_assets("status", QUERY, "--json")
    assert done.status == 0
    found = done.document
    assert {"query", "generation", "release_id", "partition", "table", "hold"} <= found.keys()
    assert found["query"] == QUERY
    assert found["release_id"] == built.first
    assert found["partition"] == DAY
    assert found["hold"] is None
    assert found["candidate"] == built.second
    page = kumo_assets("status", QUERY).out
    assert built.first in page
    assert "next" in page


def test_status_of_all_queries_is_a_list(built: Built) -> None:
    found = kumo_assets("status", "--json")
    assert found.status == 0
    assert [item["query"] for item in found.document] == [QUERY]


def test_releases_are_listed_newest_first_with_their_states(built: Built) -> None:
    done = kumo_assets("releases", QUERY, "--json")
    assert done.status == 0
    listed = [(item["release_id"], item["partition"], item["state"]) for item in done.document]
    assert listed[:2] == [(built.second, NEXT_DAY, "candidate"), (built.first, DAY, "active")]
    assert all(severity in ("ok", "warn") for item in done.document for severity in item["verdicts"].values())
    words = kumo_assets("releases", QUERY).out
    assert built.first in words
    assert "active" in words


def test_lookup_answers_as_a_service_would_and_names_the_release(built: Built) -> None:
    done = kumo_assets("lookup", QUERY, "1", "--json")
    assert done.status == 0
    found = done.document
    assert found["found"] is True
    assert found["release_id"] == built.first
    assert len(found["predictions"]) == 5
    scores = [score for _, score in found["predictions"]]
    assert scores == sorted(scores, reverse=True)
    assert f"release {built.first}" in kumo_assets("lookup", QUERY, "1").out


def test_lookup_of_an_entity_with_no_predictions_is_an_answer_too(built: Built) -> None:
    done = kumo_assets("lookup", QUERY, "999999999", "--json")
    assert done.status == 0
    assert done.document["found"] is False
    assert "No predictions for 999999999" in kumo_assets("lookup", QUERY, "999999999").out


def test_diff_compares_what_waits_with_what_is_active(built: Built) -> None:
    done = kumo_assets("diff", QUERY, "--json")
    assert done.status == 0, done.err
    found = done.document
    assert (found["before"]["release_id"], found["after"]["release_id"]) == (built.first, built.second)
    assert (found["counted"], found["why"]) == ("tables", "")
    assert len(found["examples"]) == 20
    assert abs(sum(one["after"] for one in found["scores"]) - 1) < 1e-9
    assert found["before"]["gates"].keys() == found["after"]["gates"].keys()
    stored = kumo_assets("diff", QUERY, built.first, built.second, "--stored", "--json").document
    assert stored["counted"] == "stored counts"
    assert (stored["lost"], stored["changed"]) == (found["lost"], found["changed"]), "the gates counted the same"
    page = kumo_assets("diff", QUERY).out
    assert f"{built.first} -> {built.second}" in page
    assert "entities, before and after" in page
    assert kumo_assets("diff", QUERY, "yesterday", built.second).status == 2


def test_diff_goes_by_the_stored_counts_when_a_table_is_gone_or_snowflake_is(
    built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = QueryNames(os.environ["KUMO_ASSETS_ENV"], QUERY, os.environ["KUMO_ASSETS_BUCKET"])
    table = names.warehouse_table(built.first, "postprocessed")
    with connect_outside_dagster() as warehouse:
        where = f'"{warehouse.database}"."{warehouse.schema}"'
        warehouse.rows(f'ALTER TABLE {where}."{table}" RENAME TO {where}."{table}_AWAY"')
        try:
            found = kumo_assets("diff", QUERY, "--json").document
        finally:
            warehouse.rows(f'ALTER TABLE {where}."{table}_AWAY" RENAME TO {where}."{table}"')
    assert (found["counted"], found["why"]) == ("stored counts", f"no table {table} any more")
    assert found["lost"] is not None
    monkeypatch.setenv("SNOWFLAKE_PASSWORD", "wrong")
    monkeypatch.delenv("SNOWFLAKE_ACCOUNT")
    done = kumo_assets("diff", QUERY, "--json")
    assert done.status == 0
    assert "SNOWFLAKE_ACCOUNT is not set" in done.document["why"]
    assert "SNOWFLAKE_ACCOUNT is not set" in done.err


def test_queries_tell_what_is_configured(built: Built) -> None:
    done = kumo_assets("queries", "--json")
    assert done.status == 0
    [found] = done.document
    assert found["name"] == QUERY
    assert found["job"] == f"{QUERY}_daily"
    assert (found["schedule_at"], found["time_zone"], found["schedule_owner"]) == ("02:00", "UTC", "dagster")


def test_a_broken_file_of_one_query_is_told_and_hides_no_other(
    built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("raw_logs", QUERY):
        (tmp_path / name).mkdir()
        (tmp_path / name / "defs.yaml").write_text((SHIPPED / name / "defs.yaml").read_text())
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "defs.yaml").write_text("type: [")
    monkeypatch.setenv("KUMO_ASSETS_DEFS", str(tmp_path))
    found = kumo_assets("queries", "--json")
    assert found.status == 1
    assert {item["name"]: "error" in item for item in found.document} == {"broken": True, QUERY: False}
    everything = kumo_assets("status", "--json")
    assert everything.status == 1
    assert "broken: " in everything.err
    assert [item.get("release_id") for item in everything.document] == [None, built.first]
    assert kumo_assets("status", QUERY).status == 0
    alone = kumo_assets("status", "broken", "--json")
    assert alone.status == 2
    assert "not YAML" in alone.document["error"]["message"]


def test_gates_explain_each_verdict_of_a_day(built: Built) -> None:
    done = kumo_assets("gates", QUERY, "--partition", DAY, "--json")
    assert done.status == 0
    assert done.document["release_id"] == built.first
    assert {"keys", "volume", "import_complete"} <= {item["gate"] for item in done.document["verdicts"]}
    newest = kumo_assets("gates", QUERY, "--json").document
    assert newest["partition"] == "2017-11-29", "the newest day that has a release, unless one is named"
    none = kumo_assets("gates", QUERY, "--partition", "2017-11-05")
    assert none.status == 2
    assert f"kumo-assets releases {QUERY}" in none.err


@pytest.mark.parametrize(
    "arguments",
    [["status", "nope"], ["releases", "nope"], ["lookup", "nope", "1"], ["promote", "nope"]],
    ids=lambda arguments: arguments[0],
)
def test_an_unknown_query_names_the_known_ones(built: Built, arguments: list[str]) -> None:
    done = kumo_assets(*arguments, "--json")
    assert done.status == 2
    assert f"use one of: {QUERY}" in done.document["error"]["message"]
    assert done.document["exit_status"] == 2
    assert "Traceback" not in done.err


@pytest.mark.parametrize("arguments", [["status", "--nonsense"], ["no-such-command"], ["lookup", QUERY]])
def test_wrong_usage_is_status_2_and_a_sentence(built: Built, arguments: list[str]) -> None:
    done = kumo_assets(*arguments)
    assert done.status == 2
    assert "Traceback" not in done.err
    assert done.err.strip()


def test_promoting_an_older_partition_is_refused_with_status_4(built: Built) -> None:
    older = built.chain.run("2017-11-27")
    done = kumo_assets("promote", QUERY, built.chain.release(older, "2017-11-27"), "--json")
    assert done.status == 4
    assert done.document["error"]["kind"] == "Refused"
    assert built.chain.active() == built.first


def test_a_held_query_refuses_to_promote_until_the_hold_is_lifted(built: Built) -> None:
    assert kumo_assets("hold", QUERY, "--reason", "campaign", "--json").status == 0
    try:
        refused = kumo_assets("promote", QUERY, "--json")
        assert refused.status == 4
        assert "campaign" in refused.document["error"]["message"]
        assert kumo_assets("status", QUERY, "--json").document["hold"]["reason"] == "campaign"
        unasked = kumo_assets("unhold", QUERY)
        assert unasked.status == 2
        assert built.second in unasked.err
    finally:
        assert kumo_assets("unhold", QUERY, "--yes").status == 0
    assert built.chain.active() == built.first


def test_missing_credentials_are_told_with_what_to_do(
    built: Built, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    done = kumo_assets("status", QUERY)
    assert done.status == 1
    assert "credentials" in done.err
    assert "kumo-sandbox env" in done.err


def test_wrong_credentials_are_told_without_the_secret(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret-value")
    done = kumo_assets("status", QUERY, "--json")
    assert done.status == 1
    assert "AWS_SECRET_ACCESS_KEY" in done.document["error"]["message"]
    assert "planted-secret-value" not in done.out + done.err


@pytest.mark.parametrize("variable", ["KUMO_ASSETS_ENV", "KUMO_ASSETS_BUCKET"])
def test_a_missing_variable_is_named(built: Built, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.delenv(variable)
    done = kumo_assets("status", QUERY)
    assert done.status == 2
    assert variable in done.err


OPERATIONAL = """
import sys
from kumo_assets.cli.main import app
for arguments in {commands!r}:
    try:
        app(args=arguments, standalone_mode=False)
    except Exception as error:
        if type(error).__module__.startswith("kumo_"):
            continue
        raise
heavy = sorted(sys.modules.keys() & {{"dagster", "dagster_aws", "snowflake.connector", "dagster_snowflake", "pandas"}})
print(heavy, file=sys.stderr)
"""


def test_what_is_typed_at_3_am_needs_neither_dagster_nor_the_snowflake_connector(built: Built) -> None:
    """In a process of its own: none of these commands imports them, on its way to an answer or to a refusal."""
    commands = [
        ["status", QUERY],
        ["releases", QUERY],
        ["lookup", QUERY, "1"],
        ["history", QUERY],
        ["diff", QUERY, "--stored"],
        ["hold", QUERY, "--reason", "a look"],
        ["unhold", QUERY, "--yes"],
        ["rollback", QUERY, "--reason", "nothing earlier is known good"],
    ]
    done = subprocess.run(
        [sys.executable, "-c", OPERATIONAL.format(commands=commands)],
        env=os.environ.copy(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip().splitlines()[-1] == "[]"
    assert built.chain.active() == built.first


def test_promote_puts_the_newest_live_and_a_second_time_moves_nothing(chain: Chain) -> None:
    built = chain.run()
    done = kumo_assets("promote", QUERY, "--json")
    assert done.status == 0
    assert done.document["moved"] is True
    assert done.document["release_id"] == chain.release(built) == chain.active()
    again = kumo_assets("promote", QUERY, "--json")
    assert again.status == 0
    assert again.document["moved"] is False
