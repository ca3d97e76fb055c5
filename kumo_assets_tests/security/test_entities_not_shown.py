"""`show_entities: false`: no entity and no entity's predictions in metadata, verdicts, errors or notifications. What a whole
run shows of its artefacts is in `chain/test_daily_path.py`."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from kumo_sandbox.testing import SandboxHandle
from kumo_sandbox.testing.releases import definition
from kumo_serving.errors import TimedOut

from kumo_assets.assets import s3_export
from kumo_assets.assets.ui import preview
from kumo_assets.config.query import NOT_SHOWN
from kumo_assets.documents import SampledItem
from kumo_assets.errors import ExportError, ReleaseError, WarehouseError
from kumo_assets.gates import Release
from kumo_assets.gates.import_complete import ImportEvidence, judge_import
from kumo_assets.gates.own import judge_own
from kumo_assets.releases.operations.promote import promote
from kumo_assets.resources.snowflake import connect
from kumo_assets.resources.snowflake_settings import resource_outside_dagster
from kumo_assets_tests.support.memory_shop import memory_shop
from kumo_assets_tests.support.opened import OPENED

ANN = "ann@example.org"
HIDDEN = {"show_entities": False}


def test_rows_for_a_preview_are_not_even_asked_for() -> None:
    asked: list[int] = []

    def rows() -> list[dict[str, object]]:
        asked.append(1)
        return [{"ENTITY": ANN}]

    assert ANN in str(preview(definition("q1"), rows).value)
    assert ANN not in str(preview(definition("q1", **HIDDEN), rows).value)
    assert len(asked) == 1


@pytest.mark.parametrize("shown", [True, False])
def test_the_imports_verdict_counts_what_differs_and_names_it_only_where_it_may(shown: bool) -> None:
    evidence = ImportEvidence(1, 1, 1, 1, 0, "COMPLETED", "", 1, [ANN], "t")
    verdict = judge_import(evidence, opened=OPENED, run_id="r", show_entities=shown)
    assert verdict.blocks
    assert "1 of 1 sampled items differ" in verdict.message
    assert (ANN in verdict.model_dump_json()) == shown
    assert (NOT_SHOWN in verdict.model_dump_json()) != shown


@pytest.mark.parametrize("shown", [True, False])
def test_a_trial_lookup_that_fails_says_why(shown: bool) -> None:
    # An error shows a key of any length cut, so that looking for the whole one would not find it.
    key = ANN * 20
    shop = memory_shop(show_entities=shown)
    release = shop.build()
    table = shop.ctx.names.dynamodb_table(release)
    error = TimedOut("look up", to=f"{key!r:.80} in {table}", found="no answer within 50 ms", next="try again")
    for words, reason in ((str(error), "no answer within 50 ms"), (f"Miss(entity={key!r})", "")):
        shop.ctx.trial = lambda seal, sample, words=words: {key: words}  # type: ignore[misc]
        with pytest.raises(ReleaseError, match="trial lookups") as failed:
            promote(shop.ctx, None, by="sensor")
        assert reason in str(failed.value)
        assert (ANN in str(failed.value)) == shown


@pytest.mark.parametrize("shown", [True, False])
@pytest.mark.parametrize(
    "text",
    [
        f"import kumo_assets.gates as g\ndef check(r):\n    raise ValueError('{ANN}')",
        "import kumo_assets.gates as g\ndef check(r):\n    return g.Outcome(False, 1.0, 'worst of all',"
        f" evidence={{'worst': '{ANN}', 'rows': [7]}}, segment='{ANN}', bars={{'{ANN}': (None, 1.0)}})",
    ],
    ids=["raises", "judges"],
)
def test_an_own_gate_keeps_its_message_and_no_more(tmp_path: Path, text: str, shown: bool) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text)
    release = Release("q1", "2017-11-30", "20171130-1a2b3c4d", "P", "L", None, None, lambda sql: [])
    judged = judge_own(path, release, {}, shown)
    assert judged.severity == "error"
    assert ("ValueError" in judged.message) or judged.message == "worst of all"
    assert (ANN in str(judged)) == shown


@pytest.mark.parametrize("shown", [True, False])
def test_an_error_about_a_value_of_the_data_does_not_quote_it(sandbox: SandboxHandle, shown: bool) -> None:
    with connect(resource_outside_dagster(), show_values=shown) as warehouse:
        with pytest.raises(WarehouseError, match="100035") as failed:
            warehouse.rows(f"SELECT CAST(column1 AS NUMBER) AS N FROM VALUES ('{ANN}')", doing="post-process")
        assert (ANN in "".join(traceback.format_exception(failed.value))) == shown
        with pytest.raises(WarehouseError, match=r"(?i)no_such_column"):  # an error of the SQL itself is shown whole
            warehouse.rows("SELECT NO_SUCH_COLUMN FROM VALUES (1)")


@pytest.mark.parametrize("shown", [True, False])
def test_an_item_that_lost_digits_is_not_named(shown: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    class Rows:
        def rows(self, sql: str, *, doing: str) -> list[dict[str, object]]:
            return [{"e": ANN, "p": '[["milk",0.1]]'}] if doing.startswith("sample") else [{"e": ANN, "s": 0.123}]

    spec = definition("q1", show_entities=shown).spec
    with pytest.raises(ExportError, match="does not have the table's scores") as failed:
        s3_export.taken_sample(Rows(), '"T"', 1, spec, "20171130-1a2b3c4d", "FLOAT")  # type: ignore[arg-type]
    assert (ANN in str(failed.value)) == shown
    assert ("milk" in str(failed.value)) == shown


def test_a_sampled_item_is_shown_as_the_rows_of_a_table_are() -> None:
    from kumo_assets.assets.ui import sample_preview

    sample = [SampledItem(entity=ANN, p="[]")]
    assert ANN in str(sample_preview(definition("q1"), sample).value)
    assert ANN not in str(sample_preview(definition("q1", **HIDDEN), sample).value)
