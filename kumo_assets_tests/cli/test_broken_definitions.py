"""A broken definition prints the sentence that says what is wrong, ends with 2, and stops no other query (rule 10).

Dagster loads a real project here, whose module and folders are written for each test. Nothing outside is asked.
"""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from kumo_assets.cli.loading import daily_job
from kumo_assets.config.index import DefinitionsIndex
from kumo_assets.errors import ConfigError
from kumo_assets_tests.cli.conftest import Done, kumo_assets
from kumo_assets_tests.support.definitions import QUERY, RAW

MODULE = """
from pathlib import Path
import dagster as dg
from kumo_assets.definitions import shared_definitions

@dg.definitions
def defs():
    own = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
    return dg.Definitions.merge(shared_definitions(), own)
"""
SELECT = "SELECT ENTITY, CLASS, SCORE, 1 AS RANK FROM {{ predictions }}"


class Project:
    """A Dagster project of one good query, `offers`, and whatever a test writes."""

    def __init__(self, root: Path) -> None:
        self.package = f"acme_{uuid.uuid4().hex[:8]}"
        self.defs = root / self.package / "defs"
        (root / "pyproject.toml").write_text(f'[tool.dg.project]\nroot_module = "{self.package}"\n')
        self.write("offers/defs.yaml", QUERY)
        self.write("logs/defs.yaml", RAW)
        self.write("../__init__.py", "")
        self.write("../definitions.py", MODULE)

    def write(self, path: str, text: str | bytes) -> Path:
        file = self.defs / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return file

    def job(self, query: str = "offers") -> str:
        index = DefinitionsIndex(self.defs)
        return daily_job(index, index.query(query)).name


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name, value in {"KUMO_ASSETS_ENV": "broken", "KUMO_ASSETS_BUCKET": "no-such-bucket"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("KUMO_ASSETS_DEFS", raising=False)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return Project(tmp_path)


BROKEN: dict[str, tuple[dict[str, str | bytes], str]] = {
    "unknown raw log": (
        {"bad/defs.yaml": QUERY.replace("[transactions]", "[product]")},
        "raw_logs names 'product', which no RawLogs definition has",
    ),
    "unknown field": ({"bad/defs.yaml": QUERY.replace("raw_logs:", "rawlogs:")}, "attributes.rawlogs"),
    "not YAML": ({"bad/defs.yaml": "type: ["}, "not YAML"),
    "not UTF-8": ({"bad/defs.yaml": b"type: \xff"}, "can't decode byte 0xff"),
    "no such day": ({"bad/defs.yaml": QUERY.replace("2017-11-01", "2017-02-30")}, "day is out of range"),
    "no such cron": (
        {"bad/defs.yaml": QUERY.replace("connector: c}", "connector: c, training: {schedule: '61 4 * * 0'}}")},
        "'61 4 * * 0' is not a cron schedule",
    ),
    "no bounds": ({"bad/defs.yaml": QUERY + "  stale_after_hours: .inf\n"}, "attributes.stale_after_hours"),
    "unknown placeholder": (
        {"bad/defs.yaml": QUERY, "bad/postprocess.sql": SELECT + " WHERE {{ produkts }}"},
        "unknown placeholder {{ produkts }}",
    ),
    "unknown query": (
        {"bad/defs.yaml": QUERY, "bad/postprocess.sql": SELECT + ", {{ query.spend }}"},
        "{{ query.spend }}: 'spend': no folder of that name",
    ),
    "several statements": (
        {"bad/defs.yaml": QUERY, "bad/postprocess.sql": SELECT + "; DROP TABLE X"},
        "a second statement follows",
    ),
    "empty SQL": ({"bad/defs.yaml": QUERY, "bad/postprocess.sql": "-- later\n"}, "it is empty"),
    "SQL not UTF-8": ({"bad/defs.yaml": QUERY, "bad/postprocess.sql": b"SELECT '\xff'"}, "can't decode byte 0xff"),
    "view's placeholder": (
        {"bad/defs.yaml": QUERY, "bad/preprocess.sql": "SELECT * FROM {{ clicks }}"},
        "unknown placeholder {{ clicks }}",
    ),
    "gate's placeholder": (
        {"bad/defs.yaml": QUERY, "bad/gates/mine.sql": "SELECT * FROM {{ predicted }}"},
        "unknown placeholder {{ predicted }}",
    ),
    "gate's name": ({"bad/defs.yaml": QUERY, "bad/gates/volume.sql": "SELECT 1"}, "its name is taken"),
    "folder's name": ({"Bad-Query/defs.yaml": QUERY}, "a query has its folder's name"),
    "two of one name": ({"a/bad/defs.yaml": QUERY, "b/bad/defs.yaml": QUERY}, "it is defined 2 times"),
    "other raw logs": ({"bad/defs.yaml": RAW.replace("schema: RAW", "schema: 'a b'")}, "attributes.schema"),
    "raw logs twice": (
        {"x/defs.yaml": RAW.replace("transactions", "t2"), "y/defs.yaml": RAW.replace("transactions", "t2")},
        "'t2': it is defined 2 times",
    ),
    "no such type": ({"bad/defs.yaml": "type: acme.Nothing\n"}, "No module named 'acme'"),
}


LOADED = ("unknown raw log", "not YAML", "no such day", "unknown placeholder", "two of one name", "no such type")


@pytest.mark.parametrize("kind", LOADED)
def test_a_broken_definition_is_named_and_another_query_still_has_its_job(
    project: Project, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    files, words = BROKEN[kind]
    for path, text in files.items():
        project.write(path, text)
    assert project.job() == "offers_daily"
    told = capsys.readouterr().err
    assert words in told
    assert "Working on offers alone" in told


def test_of_many_broken_definitions_each_is_named(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    for number, (files, _) in enumerate(BROKEN.values()):
        for path, text in files.items():
            project.write(path.replace("bad/", f"bad{number}/"), text)
    assert project.job() == "offers_daily"
    told = capsys.readouterr().err
    assert [kind for kind, (_, words) in BROKEN.items() if words not in told] == ["no such type"]


NO_QUERY = ("other raw logs", "raw logs twice", "no such type")


@pytest.mark.parametrize("kind", [kind for kind in BROKEN if kind not in NO_QUERY])
def test_building_the_broken_query_ends_with_2_and_the_sentence(project: Project, kind: str) -> None:
    files, words = BROKEN[kind]
    for path, text in files.items():
        project.write(path, text)
    name = "Bad-Query" if kind == "folder's name" else "bad"
    done: Done = kumo_assets("materialize", name, "--partition", "2017-11-02")
    assert done.status == 2, done.err
    wanted = words if kind != "folder's name" else "query name"
    assert wanted in done.err
    assert "ComponentTreeException" not in done.err


def test_raw_logs_that_are_wrong_stop_only_the_queries_that_name_them(project: Project) -> None:
    project.write("wrong/defs.yaml", RAW.replace("schema: RAW", "schema: 'a b'").replace("transactions", "clicks"))
    project.write("needy/defs.yaml", QUERY.replace("[transactions]", "[clicks]"))
    assert project.job() == "offers_daily"
    with pytest.raises(
        ConfigError, match=r"'clicks', which no RawLogs definition has.*wrong/defs\.yaml: line \d+, attributes\.schema"
    ):
        project.job("needy")


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("import no_such_module_anywhere", "ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        ("raise RuntimeError('our own\\nassets are broken')", "RuntimeError: our own assets are broken"),
        ("definitions = 1", "it has no `defs`"),
    ],
)
def test_a_project_that_does_not_load_for_its_own_code_is_a_sentence_too(
    project: Project, module: str, words: str
) -> None:
    project.write("../definitions.py", module)
    done = kumo_assets("materialize", "offers", "--partition", "2017-11-02")
    assert done.status == 2, done.err
    assert words in done.err


def test_a_project_without_a_fault_is_loaded_whole(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert project.job() == "offers_daily"
    assert "alone" not in capsys.readouterr().err
