"""Reading definitions: wrong YAML names file, field, value and the allowed ones; other queries are not touched."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kumo_assets.config.load import defs_folder, load_query, load_raw_logs, query_names, raw_sources
from kumo_assets.errors import ConfigError

GOOD = """
type: kumo_assets.components.PredictiveQuery
attributes:
  owners: ["team:growth"]
  raw_logs: [transactions]
  source: {kumo: {predictive_query_id: q1, connector: c}}
  schedule: {start: 2017-11-01}
"""
RAW = """
type: kumo_assets.components.RawLogs
attributes:
  schema: RAW
  tables: {transactions: {table: TRANSACTIONS, event_time: AT}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {"good": GOOD, "logs": RAW}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "defs.yaml").write_text(text)
    return tmp_path


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "defs.yaml").write_text(text)


def test_defaults_hold_when_nothing_is_written(folder: Path) -> None:
    spec = load_query("good", folder).spec
    assert spec.top_k == 5
    assert spec.classes_per_entity == 12
    assert spec.item_format == "ranking/1"
    assert spec.pointer.store == "s3"


def test_the_form_of_version_0_1_is_refused_with_the_same_lines_in_the_new_one(folder: Path) -> None:
    old = "kumo: {predictive_query_id: q1, connector: c, task: regression, poll: {max_seconds: 5}}"
    write(folder, "old", GOOD.replace("source: {kumo: {predictive_query_id: q1, connector: c}}", old))
    with pytest.raises(ConfigError) as refused:
        load_query("old", folder)
    assert "since version 0.2" in str(refused.value)
    lines = re.findall(r"`((?:task|source): .+?)`(?: and|\. Next)", str(refused.value))
    write(folder, "new", GOOD.replace("source: {kumo: {predictive_query_id: q1, connector: c}}", "\n  ".join(lines)))
    spec = load_query("new", folder).spec
    assert (spec.task, spec.source.kumo.predictive_query_id, spec.source.kumo.poll.max_seconds) == (
        "regression",
        "q1",
        5,
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('owners: ["team:growth"]', "owners: [growth]"), ["attributes.owners", "growth", "team:NAME"]),
        (("source: {", "task: rankng\n  source: {"), ["attributes.task", "rankng", "'ranking'"]),
        (
            ("{start: 2017-11-01}", "{start: 2017-11-01, time_zone: Mars/Base}"),
            ["attributes.schedule.time_zone", "Mars/Base"],
        ),
        (("{start: 2017-11-01}", "{start: 2017-11-01, at: '25:00'}"), ["attributes.schedule.at", "25:00"]),
        (
            ("{start: 2017-11-01}", "{start: 2017-11-01, end: 2017-10-01}"),
            ["attributes.schedule", "2017-10-01 is before"],
        ),
        (("raw_logs:", "rawlogs:"), ["attributes.rawlogs", "attributes.raw_logs"]),
        (("predictive_query_id: q1", "predictive_query_id: 'q1; DROP'"), ["predictive_query_id"]),
    ],
)
def test_a_wrong_field_is_named_with_file_value_and_what_is_allowed(
    folder: Path, change: tuple[str, str], words: list[str]
) -> None:
    write(folder, "bad", GOOD.replace(*change))
    with pytest.raises(ConfigError) as caught:
        load_query("bad", folder)
    text = str(caught.value)
    assert str(folder / "bad" / "defs.yaml") in text
    for word in words:
        assert word in text


def test_broken_yaml_of_one_query_leaves_the_others_readable(folder: Path) -> None:
    write(folder, "broken", "type: [")
    with pytest.raises(ConfigError, match="not YAML"):
        load_query("broken", folder)
    assert load_query("good", folder).name == "good"
    assert query_names(folder) == ["broken", "good"]


def test_unknown_query_names_the_known_ones(folder: Path) -> None:
    with pytest.raises(ConfigError, match="use one of: good"):
        load_query("nope", folder)


def test_unknown_raw_logs_are_named_with_the_known_ones(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"'clicks'.*transactions"):
        raw_sources(["transactions", "clicks"], folder / "good" / "defs.yaml", folder)


def test_raw_logs_written_changed_or_taken_away_since_the_last_look_are_seen(folder: Path) -> None:
    def sources(*names: str) -> list[str]:
        found = raw_sources(names, folder / "good" / "defs.yaml", folder)
        return [source.table.table for source in found.values()]

    before = sources("transactions")
    write(folder, "more", RAW.replace("transactions:", "clicks:"))
    assert sources("transactions", "clicks") == [*before, *before]
    write(folder, "more", RAW.replace("transactions:", "views:"))
    assert sources("views") == before
    with pytest.raises(ConfigError, match="clicks"):
        sources("clicks")
    (folder / "more" / "defs.yaml").unlink()
    with pytest.raises(ConfigError, match="views"):
        sources("views")


def test_raw_logs_refuse_identifiers_that_are_not(folder: Path) -> None:
    write(folder, "evil", RAW.replace("TRANSACTIONS", "'T; DROP TABLE X'"))
    with pytest.raises(ConfigError, match="table"):
        load_raw_logs(folder)


def test_the_folder_of_a_project_around_the_current_one_is_found(tmp_path: Path) -> None:
    project = tmp_path / "acme"
    defs = project / "src" / "acme" / "defs"
    defs.mkdir(parents=True)
    (project / "pyproject.toml").write_text('[tool.dg.project]\nroot_module = "acme"\n')
    assert defs_folder({}, project / "src") == defs
    assert defs_folder({}, tmp_path).name == "defs"
    with pytest.raises(ConfigError, match="KUMO_ASSETS_DEFS"):
        defs_folder({"KUMO_ASSETS_DEFS": str(tmp_path / "none")})


def test_what_ships_is_valid() -> None:
    folder = Path(__file__).parents[2] / "kumo_assets" / "defs"
    for name in query_names(folder):
        spec = load_query(name, folder).spec
        raw_sources(spec.raw_logs, folder / name / "defs.yaml", folder)
