"""How a row is decided, how values are compared, and which names nobody else may have."""

from __future__ import annotations

from pathlib import Path

import pytest

from kumo_assets.assets.definition_check import demand_usable
from kumo_assets.config.index import DefinitionsIndex
from kumo_assets.errors import ConfigError
from kumo_assets.proving.assumptions import AREAS
from kumo_assets.proving.cost import estimate, in_words
from kumo_assets.proving.report import Differs, NotTried, Report
from kumo_assets.proving.values import (
    BREAKS,
    LONGEST,
    TOP_K,
    broken_lists,
    csv_object,
    decoded,
    differences,
    items_of,
    plain_lists,
    read_csv,
)


@pytest.mark.parametrize(
    ("raised", "outcome"),
    [
        (None, "holds"),
        (Differs("another value"), "differs"),
        (NotTried("nobody asked"), "not tried"),
        (ConfigError("do", found="a setting is wrong"), "differs"),
        (OSError("the network is away"), "differs"),
    ],
    ids=["nothing", "differs", "not-tried", "ours", "any"],
)
def test_what_a_row_raises_is_its_outcome(raised: Exception | None, outcome: str) -> None:
    report = Report()
    with report.trying("s3-clock") as trial:
        trial.seen = "fine"
        if raised is not None:
            raise raised
    assert report.rows["s3-clock"].outcome == outcome
    assert report.holds("s3-clock") is (outcome == "holds")


def test_interruption_is_no_outcome() -> None:
    report = Report()
    with pytest.raises(KeyboardInterrupt), report.trying("s3-clock"):
        raise KeyboardInterrupt
    assert report.rows == {}


def test_secrets_are_not_in_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUMO_API_KEY", "abcdefghijklmnopqrstuvwxyz0123456789")
    report = Report()
    with report.trying("kumo-reached"):
        raise OSError("refused: key abcdefghijklmnopqrstuvwxyz0123456789")
    assert "abcdefghijklmnopqrstuvwxyz0123456789" not in report.rows["kumo-reached"].seen


def test_rows_have_what_is_awkward() -> None:
    plain, broken = plain_lists(), broken_lists()
    assert len(plain) > 200
    assert {"NULL", "007", "\\N", LONGEST} <= plain.keys()
    assert len(LONGEST.encode()) == 2048
    assert set(BREAKS) == broken.keys()
    assert not any("\n" in entity or "\r" in entity for entity in plain)
    classes = {name for pairs in plain.values() for name, _ in pairs}
    scores = {repr(score) for pairs in plain.values() for _, score in pairs}
    assert set(BREAKS) | {"", "😀 emoji 👩‍👩‍👧"} <= classes
    assert {"0.30000000000000004", "0.3333333333333333", "1e-17", "1e+308", "-0.0"} <= scores
    for pairs in (*plain.values(), *broken.values()):
        assert 1 <= len(pairs) <= TOP_K
        assert len({name for name, _ in pairs}) == len(pairs)


def test_objects_written_here_read_back_as_they_were() -> None:
    lists = plain_lists() | broken_lists()
    assert differences(lists, decoded(dict(read_csv(csv_object(items_of(lists).items()))))) == []


@pytest.mark.parametrize(
    ("found", "word"),
    [
        ({"a": (("x", 0.3),)}, "0.3)"),
        ({}, "missing"),
        ({"a": (("x", 0.1 + 0.2),), "b": ()}, "was not written"),
        ({"a": (("x", 0.1 + 0.2), ("y", 1.0))}, "instead of"),
    ],
    ids=["digits", "missing", "more", "longer"],
)
def test_each_difference_is_seen(found: dict[str, object], word: str) -> None:
    (line,) = differences({"a": (("x", 0.1 + 0.2),)}, found)
    assert word in line


def test_estimate_is_of_what_was_asked_for() -> None:
    whole = estimate(AREAS)
    assert 0 < whole["together"] < 1
    assert "Snowflake" not in estimate(["s3", "dynamodb"])
    assert in_words(whole).startswith("estimated cost: ")


def test_no_query_is_named_proof(tmp_path: Path) -> None:
    for name in ("proof", "proofs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "defs.yaml").write_text(
            "type: kumo_assets.components.PredictiveQuery\n"
            "attributes:\n"
            "  owners: ['team:tests']\n"
            "  raw_logs: []\n"
            "  source: {table: {table: PREDICTIONS, complete: {control: {table: T, where: 'TRUE'}}}}\n"
            "  schedule: {start: 2017-11-01}\n"
        )
    index = DefinitionsIndex(tmp_path)
    with pytest.raises(ConfigError, match="reserved"):
        demand_usable(index, index.query("proof"))
    demand_usable(index, index.query("proofs"))
