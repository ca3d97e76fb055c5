"""Reading one definition: wrong YAML is refused with file, field, value and the allowed ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kumo_assets.config.index import DefinitionsIndex
from kumo_assets.errors import ConfigError
from kumo_assets_tests.support.definitions import QUERY, RAW


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {"good": QUERY, "logs": RAW}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "defs.yaml").write_text(text)
    return tmp_path


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "defs.yaml").write_text(text)


def test_defaults_hold_when_nothing_is_written(folder: Path) -> None:
    spec = DefinitionsIndex(folder).query("good").spec
    assert spec.top_k == 5
    assert spec.classes_per_entity == 12
    assert spec.item_format == "ranking/1"
    assert spec.pointer.store == "s3"


def test_the_form_of_version_0_1_is_refused_with_the_same_lines_in_the_new_one(folder: Path) -> None:
    old = "kumo: {predictive_query_id: q1, connector: c, task: regression, poll: {max_seconds: 5}}"
    write(folder, "old", QUERY.replace("source: {kumo: {predictive_query_id: q1, connector: c}}", old))
    with pytest.raises(ConfigError) as refused:
        DefinitionsIndex(folder).query("old")
    assert "since version 0.2" in str(refused.value)
    lines = re.findall(r"`((?:task|source): .+?)`(?: and|\. Next)", str(refused.value))
    write(folder, "new", QUERY.replace("source: {kumo: {predictive_query_id: q1, connector: c}}", "\n  ".join(lines)))
    spec = DefinitionsIndex(folder).query("new").spec
    assert (spec.task, spec.kumo.predictive_query_id, spec.kumo.poll.max_seconds) == (
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
    write(folder, "bad", QUERY.replace(*change))
    with pytest.raises(ConfigError) as caught:
        DefinitionsIndex(folder).query("bad")
    text = str(caught.value)
    assert str(folder / "bad" / "defs.yaml") in text
    for word in words:
        assert word in text


def error_of(folder: Path, *change: str) -> str:
    write(folder, "bad", QUERY.replace(*change))
    with pytest.raises(ConfigError) as caught:
        DefinitionsIndex(folder).query("bad")
    return str(caught.value)


def test_a_wrong_name_is_told_with_its_line_and_the_names_that_are_right(folder: Path) -> None:
    text = error_of(folder, "{start: 2017-11-01}", "\n    start: 2017-11-01\n    att: '13:30'")
    line = (folder / "bad" / "defs.yaml").read_text().splitlines().index("    att: '13:30'") + 1
    assert f"line {line}, attributes.schedule.att: there is no such field; did you mean at? It may have at, end" in text


def test_names_of_a_section_that_is_one_of_many_are_listed_too(folder: Path) -> None:
    text = error_of(folder, "connector: c}", "connector: c, poll: {max_second: 5}}")
    assert "attributes.source.kumo.poll.max_second: there is no such field; did you mean max_seconds?" in text
    write(folder, "logs", RAW.replace("table: TRANSACTIONS", "tabel: TRANSACTIONS"))
    with pytest.raises(ConfigError, match=r"tabel: there is no such field; did you mean table\?"):
        DefinitionsIndex(folder).raw_logs()


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("at: 13:30", 'at: 13:30 without quotes is the number 810; write "13:30"'),
        ("time_zone: NO", 'time_zone: NO without quotes is the truth value False; write "NO"'),
    ],
)
def test_a_text_that_yaml_takes_for_something_else_is_to_be_quoted(folder: Path, written: str, message: str) -> None:
    assert message in error_of(folder, "{start: 2017-11-01}", f"\n    start: 2017-11-01\n    {written}")


def test_a_key_that_is_written_twice_is_refused_with_both_lines(folder: Path) -> None:
    text = error_of(folder, "  schedule:", "  top_k: 5\n  top_k: 6\n  schedule:")
    assert re.search(r"'top_k' is written twice, in lines (\d+) and \d+", text)
    text = error_of(folder, "connector: c}", "connector: c, connector: d}")
    assert "'connector' is written twice" in text


def test_a_date_that_does_not_exist_is_an_error_of_its_own_file(folder: Path) -> None:
    write(folder, "bad", QUERY.replace("2017-11-01", "2017-02-30"))
    with pytest.raises(ConfigError, match=r"bad/defs\.yaml: a date or number that does not exist: day is out of range"):
        DefinitionsIndex(folder).query("bad")


def test_raw_logs_refuse_identifiers_that_are_not(folder: Path) -> None:
    write(folder, "evil", RAW.replace("TRANSACTIONS", "'T; DROP TABLE X'"))
    with pytest.raises(ConfigError, match="table"):
        DefinitionsIndex(folder).raw_logs()


def test_what_ships_is_valid() -> None:
    index = DefinitionsIndex(Path(__file__).parents[2] / "kumo_assets" / "defs")
    for name in index.names():
        index.raw_sources(index.query(name))
