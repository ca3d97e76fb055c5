"""From a name to its folder: nested ones are found, two of one name are refused, and no broken file stops another query."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kumo_assets.config import index as index_module
from kumo_assets.config.index import DefinitionsIndex
from kumo_assets.config.yaml_file import read_mapping
from kumo_assets.errors import ConfigError
from kumo_assets_tests.support.definitions import QUERY, RAW


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One query at the top, one two folders deep, and the raw logs in a folder beside the second's parent."""
    write(tmp_path, "good", QUERY)
    write(tmp_path, "growth/emails/offers", QUERY)
    write(tmp_path, "shared/logs", RAW)
    return tmp_path


def write(folder: Path, where: str, text: str) -> Path:
    path = folder / where / "defs.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def tables(folder: Path, *names: str) -> list[str]:
    """The tables of raw logs that a query names, through an index of this call's own."""
    index = DefinitionsIndex(folder)
    query = index.query("good")
    query.spec.raw_logs[:] = names
    return [source.table.table for source in index.raw_sources(query).values()]


def test_a_nested_query_is_listed_found_and_has_its_raw_logs(folder: Path) -> None:
    index = DefinitionsIndex(folder)
    assert index.names() == ["good", "offers"]
    found = index.query("offers")
    assert (found.name, found.folder) == ("offers", folder / "growth" / "emails" / "offers")
    assert list(index.raw_sources(found)) == ["transactions"]
    assert list(index.raw_logs()) == ["logs"]


def test_two_folders_of_one_name_are_refused_with_both_paths_and_stop_no_other_query(folder: Path) -> None:
    write(folder, "risk/offers", QUERY)
    index = DefinitionsIndex(folder)
    with pytest.raises(
        ConfigError, match=r"'offers'.*2 times.*growth/emails/offers/defs\.yaml.*risk/offers/defs\.yaml"
    ):
        index.query("offers")
    assert index.names() == ["good", "offers"]
    assert index.query("good").name == "good"


def test_a_broken_file_of_the_same_name_may_be_the_query_and_is_refused_too(folder: Path) -> None:
    write(folder, "risk/offers", "type: [")
    with pytest.raises(ConfigError, match=r"2 times.*risk/offers"):
        DefinitionsIndex(folder).query("offers")


def test_raw_logs_in_a_folder_named_as_a_query_are_no_second_query(folder: Path) -> None:
    write(folder, "logs/good", RAW.replace("transactions:", "clicks:"))
    assert DefinitionsIndex(folder).query("good").folder == folder / "good"


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (b"type: [", "not YAML"),
        (b"type: x\nsince: 2017-02-30", "day is out of range"),
        (b"\xff\xfe", "UTF-8"),
        (b"- 1", "no mapping"),
    ],
)
def test_a_broken_file_is_listed_and_leaves_the_others_readable(folder: Path, broken: bytes, words: str) -> None:
    write(folder, "growth/broken", "").write_bytes(broken)
    index = DefinitionsIndex(folder)
    with pytest.raises(ConfigError, match=words):
        index.query("broken")
    assert index.names() == ["broken", "good", "offers"]
    assert list(index.raw_sources(index.query("good"))) == ["transactions"]


def test_links_that_lead_nowhere_or_back_up_stop_no_other_query(folder: Path) -> None:
    (folder / "growth" / "loop").symlink_to(folder / "growth")
    (folder / "dangling").symlink_to(folder / "nowhere")
    (folder / "gone").mkdir()
    (folder / "gone" / "defs.yaml").symlink_to(folder / "nowhere")
    index = DefinitionsIndex(folder)
    assert index.names() == ["gone", "good", "offers"]
    with pytest.raises(ConfigError, match="gone"):
        index.query("gone")
    assert index.query("offers").name == "offers"


def test_a_linked_folder_is_a_definition_and_a_hidden_one_is_not(folder: Path, tmp_path_factory: Any) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write(elsewhere, "linked", QUERY)
    (folder / "risk").symlink_to(elsewhere)
    write(folder, ".hidden/secret", QUERY)
    assert DefinitionsIndex(folder).names() == ["good", "linked", "offers"]


def test_reading_one_query_opens_no_other_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = _opened(monkeypatch)
    DefinitionsIndex(folder).query("offers")
    assert opened == [folder / "growth" / "emails" / "offers" / "defs.yaml"]


def test_one_index_parses_each_file_once_whatever_it_is_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = _opened(monkeypatch)
    index = DefinitionsIndex(folder)
    for name in index.names() * 2:
        index.demand_unique(name)
        index.raw_sources(index.query(name))
    assert sorted(opened) == sorted(folder.rglob("defs.yaml"))


def _opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    opened: list[Path] = []

    def read(path: Path) -> dict[str, Any]:
        opened.append(path)
        return read_mapping(path)

    monkeypatch.setattr(index_module, "read_mapping", read)
    return opened


def test_an_unknown_query_names_the_known_ones(folder: Path) -> None:
    with pytest.raises(ConfigError, match="use one of: good, offers"):
        DefinitionsIndex(folder).query("nope")


def test_unknown_raw_logs_are_named_with_the_known_ones_and_with_what_could_not_be_read(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"'clicks'.*transactions") as caught:
        tables(folder, "transactions", "clicks")
    assert str(folder / "good" / "defs.yaml") in str(caught.value)
    broken = write(folder, "broken", "type: [")
    with pytest.raises(ConfigError, match=rf"'clicks'.*cannot be read: {broken}"):
        tables(folder, "clicks")


def test_two_definitions_of_one_raw_log_are_refused_with_both_paths(folder: Path) -> None:
    write(folder, "more", RAW)
    with pytest.raises(ConfigError, match=r"'transactions'.*more/defs\.yaml.*shared/logs/defs\.yaml"):
        tables(folder, "transactions")


def test_two_folders_of_raw_logs_of_one_name_are_refused_with_both_paths(folder: Path) -> None:
    write(folder, "risk/logs", RAW.replace("transactions:", "clicks:"))
    with pytest.raises(ConfigError, match=r"'logs'.*risk/logs.*shared/logs"):
        DefinitionsIndex(folder).raw_logs()


def test_raw_logs_written_changed_or_taken_away_are_seen_by_the_next_index(folder: Path) -> None:
    before = tables(folder, "transactions")
    write(folder, "more", RAW.replace("transactions:", "clicks:"))
    assert tables(folder, "transactions", "clicks") == [*before, *before]
    write(folder, "more", RAW.replace("transactions:", "views:"))
    assert tables(folder, "views") == before
    with pytest.raises(ConfigError, match="clicks"):
        tables(folder, "clicks")
    (folder / "more" / "defs.yaml").unlink()
    with pytest.raises(ConfigError, match="views"):
        tables(folder, "views")
