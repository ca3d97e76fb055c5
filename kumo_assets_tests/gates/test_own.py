"""A query's own gates: found by their files, judged in SQL or Python, and never a pass when anything is odd."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from kumo_assets.config.load import QueryDefinition
from kumo_assets.config.query import PredictiveQuerySpec
from kumo_assets.documents import Verdict
from kumo_assets.errors import ConfigError, WarehouseError
from kumo_assets.gates import Release
from kumo_assets.gates.judgement import to_verdict
from kumo_assets.gates.own import check_own_gates, gates_of, judge_own, own_gates, schema_values
from kumo_assets.gates.reporting import check_result
from kumo_assets_tests.support.opened import OPENED

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


NUMPY = "import numpy as np\n" + HEAD


def test_values_of_numpy_are_plain_numbers_in_the_verdict(gate: Any) -> None:
    text = NUMPY + (
        "def check(release):\n"
        "    return Outcome(np.bool_(True), np.float64(1.5), evidence={'n': np.int64(3), 'share': np.float32(0.5), "
        "'many': np.arange(2), 'nested': {'a': [np.float64('nan')]}}, bars={'x': (None, np.int64(2))})"
    )
    judgement = judge_own(gate("g.py", text), release(), VALUES)
    assert (judgement.severity, judgement.value) == ("ok", 1.5), judgement.message
    assert judgement.evidence == {"n": 3, "share": 0.5, "many": [0, 1], "nested": {"a": ["nan"]}}
    assert stored(judgement).bars == {"x": [None, 2.0]}


def stored(judgement: Any) -> Verdict:
    """The verdict of a judgement, as it is read back from its document."""
    verdict = to_verdict(judgement, OPENED, "mine", "postprocessed", "block", "run")
    return Verdict.from_json(verdict.to_json(), "here")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("import sys; sys.exit(0)", "SystemExit: 0"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("raise type('Panic', (BaseException,), {})('a library of Rust')", "Panic: a library of Rust"),
        ("raise type('Mute', (Exception,), {'__str__': lambda self: 1 / 0})()", "Mute"),
        ("loop = {}; loop['a'] = loop; return Outcome(True, evidence=loop)", "RecursionError"),
        ("return Outcome(True, evidence={'a': b'\\xff'})", "UnicodeDecodeError"),
        ("return Outcome(True, evidence={'a': '\\ud800'})", "UnicodeEncodeError"),
        ("return Outcome(True, message='\\udfff')", "UnicodeEncodeError"),
        ("return Outcome(True, evidence={'a': 10 ** 5000})", "ValueError"),
        ("return Outcome(True, evidence=[1])", "AttributeError"),
        ("return Outcome(True, 10 ** 400)", "OverflowError"),
        ("return Outcome(True, bars={'x': (1, 2, 3)})", "ValueError"),
        ("return Outcome(True, bars={'x': ('a', 2)})", "ValueError"),
        ("return Outcome(passed='yes')", "`passed` is 'yes'"),
    ],
)
def test_whatever_a_python_gate_does_is_its_own_error(gate: Any, body: str, words: str) -> None:
    text = HEAD + "def check(release):\n    " + body
    judgement = judge_own(gate("g.py", text), release(), VALUES)
    assert judgement.severity == "error"
    assert words in judgement.message
    assert stored(judgement).blocks


@pytest.mark.parametrize("bars", [{"x": [1, 2, 3]}, {"x": [10**400, 2]}, 5, {"x": 1}])
def test_evidence_that_is_named_as_a_plot_is_no_plot_and_stops_no_gate(gate: Any, bars: Any) -> None:
    judgement = judge_own(
        gate("g.py", HEAD + f"def check(r): return Outcome(True, evidence={{'bars': {bars}}})"), release(), VALUES
    )
    assert check_result(dg.AssetKey("a"), stored(judgement)).passed


def test_a_person_who_stops_the_run_is_no_verdict(gate: Any) -> None:
    for body in ("raise KeyboardInterrupt", "import dagster; raise dagster.DagsterExecutionInterruptedError"):
        with pytest.raises((KeyboardInterrupt, dg.DagsterExecutionInterruptedError)):
            judge_own(gate("g.py", f"def check(release):\n    {body}"), release(), VALUES)


@pytest.mark.parametrize(
    ("text", "asset", "words"),
    [
        ("SELECT * FROM {{ predicted }}", "postprocessed", r"mine\.sql: unknown placeholder \{\{ predicted \}\}"),
        ("SELECT * FROM {{ postprocessed }}", "predictions", "unknown placeholder"),
        ("SELECT 1; SELECT 2", "postprocessed", "a second statement"),
        ("-- to come", "postprocessed", "it is empty"),
    ],
)
def test_a_sql_gate_that_would_block_every_release_is_refused_when_definitions_load(
    gate: Any, tmp_path: Path, text: str, asset: str, words: str
) -> None:
    gate("mine.sql", text)
    with pytest.raises(ConfigError, match=words):
        check_own_gates(definition(tmp_path, own={"mine": {"asset": asset}}))
    check_own_gates(definition(tmp_path, own={"mine": {"asset": asset, "mode": "off"}}))


def test_the_examples_of_the_documentation_are_well_formed_gates(tmp_path: Path) -> None:
    """Great Expectations and Evidently are no dependency, so this only shows that their absence blocks."""
    names = sorted(path.name for path in EXAMPLES.glob("*.*") if path.suffix in (".sql", ".py"))
    assert names == ["basket_departments.sql", "evidently_drift.py", "great_expectations.py"]
    for name in ("evidently_drift.py", "great_expectations.py"):
        judgement = judge_own(EXAMPLES / name, release(), VALUES)
        assert judgement.severity == "error"
        assert "ModuleNotFoundError" in judgement.message
