"""A query's own gates: found by their files, judged in SQL or Python, and never a pass when anything is odd."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.query import PredictiveQuerySpec
from kumo_assets.errors import ConfigError, WarehouseError
from kumo_assets.gates import Release
from kumo_assets.gates.own import gates_of, judge_own, own_gates, schema_values

EXAMPLES = Path(__file__).parents[2] / "examples" / "gates"


def definition(folder: Path, **gates: Any) -> QueryDefinition:
    spec = PredictiveQuerySpec.model_validate(
        {
            "owners": ["team:x"],
            "raw_logs": ["transactions"],
            "source": {"kumo": {"predictive_query_id": "q", "connector": "c"}},
            "schedule": {"start": "2017-11-01"},
            "gates": gates,
        }
    )
    return QueryDefinition(name="q1", folder=folder, spec=spec)


def release(rows: Callable[[str], Any] = lambda sql: [], active: str | None = '"D"."S"."OLD"') -> Release:
    return Release("q1", "2017-11-30", "20171130-1a2b3c4d", '"D"."S"."P"', '"D"."S"."L"', active, active, rows)


VALUES = schema_values("D", "S", "20171130-1a2b3c4d", 5)


@pytest.fixture
def gate(tmp_path: Path) -> Callable[[str, str], Path]:
    def write(name: str, text: str) -> Path:
        (tmp_path / "gates").mkdir(exist_ok=True)
        path = tmp_path / "gates" / name
        path.write_text(text)
        return path

    return write


def test_files_in_the_folder_are_gates_and_yaml_sets_their_mode_and_asset(gate: Any, tmp_path: Path) -> None:
    gate("basket.sql", "SELECT 1")
    gate("segments.py", "")
    gate("dead.sql", "SELECT 1")
    gate("_helper.py", "")
    gate("notes.txt", "")
    own = {"basket": {"mode": "warn", "asset": "predictions"}, "dead": {"mode": False}}
    found = gates_of(definition(tmp_path, own=own))
    assert found["basket"] == {"asset": "predictions", "mode": "warn"}
    assert found["segments"] == {"asset": "postprocessed", "mode": "block"}
    assert not found.keys() & {"dead", "_helper", "notes"}
    assert "volume" in found


@pytest.mark.parametrize(
    ("files", "own", "words"),
    [
        (["volume.sql"], {}, "taken"),
        (["import_complete.py"], {}, "taken"),
        (["a gate.sql"], {}, "does not match"),
        (["same.sql", "same.py"], {}, "taken"),
        ([], {"gone": {}}, "names gone, which has no file"),
    ],
    ids=["built-in", "import", "bad name", "twice", "no file"],
)
def test_wrong_names_are_refused_with_what_is_right(
    gate: Any, tmp_path: Path, files: list[str], own: Any, words: str
) -> None:
    for name in files:
        gate(name, "SELECT 1")
    with pytest.raises(ConfigError, match=words):
        own_gates(definition(tmp_path, own=own))


def test_a_sql_gate_sees_the_releases_tables_and_its_row_is_the_verdict(gate: Any) -> None:
    asked: list[str] = []

    def rows(sql: str) -> list[dict[str, Any]]:
        asked.append(sql)
        return [{"PASSED": False, "VALUE": 0.25, "MESSAGE": "a quarter is missing", "WORST_SHOP": "S1"}]

    path = gate(
        "basket.sql",
        "SELECT * FROM {{ postprocessed }} JOIN {{ active_postprocessed }} JOIN {{ predictions }} "
        "WHERE DAY = {{ partition }} AND N <= {{ top_k }};",
    )
    judgement = judge_own(path, release(rows), VALUES)
    assert asked == [
        'SELECT * FROM "D"."S"."L" JOIN "D"."S"."OLD" JOIN "D"."S"."P" WHERE DAY = \'2017-11-30\' AND N <= 5'
    ]
    assert (judgement.severity, judgement.value, judgement.message) == ("error", 0.25, "a quarter is missing")
    assert judgement.evidence == {"worst_shop": "S1"}


def test_a_sql_gate_against_the_active_release_is_a_bootstrap_when_there_is_none(gate: Any) -> None:
    judgement = judge_own(gate("g.sql", "SELECT * FROM {{ active_postprocessed }}"), release(active=None), VALUES)
    assert (judgement.severity, judgement.baseline) == ("ok", {"kind": "bootstrap"})


GOOD = {"PASSED": True, "VALUE": 1, "MESSAGE": "fine"}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "returned 0 rows"),
        ([GOOD, GOOD], "returned 2 rows"),
        ([{"PASSED": True, "VALUE": 1}], "no column MESSAGE"),
        ([GOOD | {"PASSED": None}], "PASSED is None"),
        ([GOOD | {"PASSED": "yes"}], "PASSED is 'yes'"),
        ([GOOD | {"VALUE": "much"}], "ValueError"),
        (WarehouseError("ask", found="no such column"), "no such column"),
    ],
)
def test_a_sql_gate_that_does_not_answer_plainly_does_not_pass(gate: Any, rows: Any, words: str) -> None:
    def answer(_: str) -> Any:
        if isinstance(rows, Exception):
            raise rows
        return rows

    judgement = judge_own(gate("g.sql", "SELECT 1"), release(answer), VALUES)
    assert judgement.severity == "error"
    assert words in judgement.message


HEAD = "from kumo_assets.gates import Outcome\n"


@pytest.mark.parametrize(
    ("text", "severity", "words"),
    [
        (HEAD + "def check(release): return Outcome(True, 3, release.partition)", "ok", "2017-11-30"),
        (HEAD.replace("gates", "gates.own") + "def check(release): return Outcome(True)", "ok", "passed"),  # as of 0.1
        (HEAD + "def check(release): return Outcome(False, 3)", "error", "did not pass"),
        (HEAD + "def check(release): return Outcome(False, warn=True, message='hm')", "warn", "hm"),
        (HEAD + "def check(release): return Outcome(release.frame('SELECT 1').empty, 0)", "ok", "passed"),
        (HEAD + "def check(release): return Outcome(None)", "error", "returns kumo_assets.gates.Outcome"),
        ("def check(release): return True", "error", "check() returned bool"),
        ("def check(release): ...", "error", "check() returned NoneType"),
        ("def check(): ...", "error", "TypeError"),
        ("check = 1 / 0", "error", "ZeroDivisionError"),
        ("def chek(release): ...", "error", "AttributeError"),
        ("def check(", "error", "SyntaxError"),
    ],
)
def test_a_python_gate(gate: Any, text: str, severity: str, words: str) -> None:
    judgement = judge_own(gate("g.py", text), release(), VALUES)
    assert (judgement.severity, words in judgement.message) == (severity, True), judgement.message


def test_the_examples_of_the_documentation_are_well_formed_gates(tmp_path: Path) -> None:
    """Great Expectations and Evidently are no dependency, so this only shows that their absence blocks."""
    names = sorted(path.name for path in EXAMPLES.glob("*.*") if path.suffix in (".sql", ".py"))
    assert names == ["basket_departments.sql", "evidently_drift.py", "great_expectations.py"]
    for name in ("evidently_drift.py", "great_expectations.py"):
        judgement = judge_own(EXAMPLES / name, release(), VALUES)
        assert judgement.severity == "error"
        assert "ModuleNotFoundError" in judgement.message
