"""The shipped examples in a DAGs folder, loaded by Airflow's own loader, with the variable KUMO_AIRFLOW_QUERIES in every
state it can be in. Not configured is a warning; configured wrongly is an import error. Neither takes other DAGs away."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

try:  # Airflow 3
    from airflow.dag_processing.dagbag import DagBag
except ImportError:  # Airflow 2.11
    from airflow.models.dagbag import DagBag

EXAMPLES = Path(__file__).parents[2] / "dags"
WRITTEN_BY_HAND = ["next_best_product", "next_best_product_rollback", "next_best_product_steps"]
QUERY = {
    "name": "q",
    "job": "q_daily",
    "time_zone": "UTC",
    "schedule_at": "02:30",
    "schedule_owner": "airflow",
    "start": "2017-11-01",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLES, tmp_path / "dags", ignore=shutil.ignore_patterns("__pycache__")))


def load(folder: Path) -> tuple[list[str], dict[str, str]]:
    """The ids of the folder's DAGs, and each file's import error as the last line of it that Airflow shows."""
    bag = DagBag(str(folder))
    errors = {Path(file).name: text.strip().splitlines()[-1] for file, text in bag.import_errors.items()}
    return sorted(bag.dags), errors


@pytest.mark.parametrize("value", [None, "", "  "])
def test_variable_that_is_not_set_gives_no_dags_and_one_warning(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, value: str | None
) -> None:
    monkeypatch.delenv("KUMO_AIRFLOW_QUERIES", raising=False)
    if value is not None:
        monkeypatch.setenv("KUMO_AIRFLOW_QUERIES", value)
    assert load(folder) == (WRITTEN_BY_HAND, {})
    (warning,) = (record for record in caplog.records if record.levelno >= logging.WARNING)
    assert warning.levelno == logging.WARNING
    assert "KUMO_AIRFLOW_QUERIES is not set" in warning.getMessage()
    assert "kumo-assets queries --json" in warning.getMessage()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (None, "No such file or directory"),
        ("", "it is empty"),
        (" \n", "it is empty"),
        ("[{", "it is not JSON: Expecting property name"),
        ("- name: q\n", "it is not JSON"),
        (b"\xff\xfe[]", "it is not JSON"),
        ({"name": "q"}, "it is not a JSON list"),
        (["q"], "entry 1 is not an object with a name"),
        ([QUERY, {"time_zone": "UTC"}], "entry 2 is not an object with a name"),
        (
            [QUERY, {"name": "r", "job": "r_daily", "start": None}],
            "the entry of r has no time_zone, schedule_at, schedule_owner, start",
        ),
    ],
)
def test_file_that_cannot_be_used_is_an_import_error_that_names_variable_and_file(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any, found: str
) -> None:
    file = tmp_path / "queries.json"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        file.write_text(content if isinstance(content, str) else json.dumps(content))
    monkeypatch.setenv("KUMO_AIRFLOW_QUERIES", str(file))
    dags, errors = load(folder)
    assert (dags, list(errors)) == (WRITTEN_BY_HAND, ["kumo_all_queries.py"])
    error = errors["kumo_all_queries.py"]
    assert f"Could not read the queries from {file}, which KUMO_AIRFLOW_QUERIES names: {found}" in error
    assert "set KUMO_AIRFLOW_QUERIES to the path of a file written by: kumo-assets queries --json" in error


def test_folder_instead_of_a_file_is_an_import_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUMO_AIRFLOW_QUERIES", str(folder))
    _, errors = load(folder)
    assert "Is a directory" in errors["kumo_all_queries.py"]


def test_good_file_gives_its_dags_and_a_broken_query_is_only_logged(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "queries.json"
    monkeypatch.setenv("KUMO_AIRFLOW_QUERIES", str(file))
    file.write_text("[]")  # a project without queries is no error
    assert load(folder) == (WRITTEN_BY_HAND, {})
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    file.write_text(json.dumps([QUERY, {"name": "r", "error": "defs.yaml: top_k"}]))
    assert load(folder) == (["kumo_q", *WRITTEN_BY_HAND], {})
    (logged,) = (record for record in caplog.records if record.levelno >= logging.WARNING)
    assert "defs.yaml: top_k" in logged.getMessage()
