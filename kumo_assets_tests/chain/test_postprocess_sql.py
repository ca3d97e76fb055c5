"""Business rules in `postprocess.sql`, from raw logs, the release's own day and other releases' tables; and what is refused
before the source is paid for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg

from kumo_assets.components.predictive_query import build_query
from kumo_assets.components.raw_logs import build_raw_logs
from kumo_assets.config.index import DefinitionsIndex
from kumo_assets.definitions import shared_definitions
from kumo_assets.documents import Reference
from kumo_assets_tests.chain.conftest import DAY, NEXT_DAY, Chain, failure, steps, written

DOCS = Path(__file__).parents[2] / "docs" / "sql.md"
QUIET_GATES = ("list_shape", "class_share", "top_item", "coverage", "overlap", "entities_lost", "score_drift", "volume")


def example(title: str) -> str:
    """The SQL under a heading of the documentation's page."""
    return DOCS.read_text().split(f"### {title}")[1].split("```sql\n")[1].split("```")[0]


def gentle(spec: dict[str, Any]) -> None:
    spec.update(gates={name: {"mode": "warn"} for name in QUIET_GATES})


def query(chain: Chain, folder: Path, name: str, sql: str, *others: Chain) -> Chain:
    """A query of the same environment, whose SQL may name these others."""
    definition = written(chain, folder / name, name, sql=sql, change=gentle).definition
    index = DefinitionsIndex(folder / name)
    definitions = dg.Definitions.merge(
        build_query(definition, index.raw_sources(definition), {one.definition.name: one.definition for one in others}),
        build_raw_logs("raw_logs", index.raw_logs()["raw_logs"]),
        shared_definitions(),
    )
    return Chain(chain.handle, chain.instance, definition, definitions, chain.environment)


def reference(chain: Chain, release: str, name: str) -> Reference:
    found = chain.ctx().store.reference(release, name)
    assert found is not None
    return found


def lists(chain: Chain, release: str) -> list[tuple[Any, ...]]:
    name = chain.ctx().names.warehouse_table(release, "postprocessed")
    return chain.sql(f'SELECT ENTITY, CLASS, RANK FROM "KUMO"."PUBLIC"."{name}"')


def test_what_was_bought_yesterday_and_what_is_shown_already_are_left_out(chain: Chain, tmp_path: Path) -> None:
    """The examples of docs/sql.md, over two days; and a second query that looks at the first one's active table."""
    offers = query(
        chain, tmp_path, "offers", example("Leave out what was bought yesterday, and change the first place")
    )
    first = offers.run(DAY)
    assert first.success, offers.why(first)
    early = offers.release(first)
    assert reference(offers, early, "active").source is None  # a first release
    bought = {
        tuple(row)
        for row in chain.sql(
            'SELECT DISTINCT HOUSEHOLD_ID, PRODUCT_ID FROM "KUMO"."RAW"."TRANSACTIONS" '
            f"WHERE TRANSACTION_TIMESTAMP::DATE = '{DAY}'"
        )
    }
    assert bought
    before = lists(offers, early)
    assert not bought & {(entity, klass) for entity, klass, _ in before}
    assert offers.promote().success
    second = offers.run(NEXT_DAY)
    assert second.success, offers.why(second, NEXT_DAY)
    late = offers.release(second, NEXT_DAY)
    source = reference(offers, late, "active").source
    assert source is not None
    assert (source.release_id, source.table) == (early, offers.ctx().names.warehouse_table(early, "postprocessed"))
    shown = {(entity, klass) for entity, klass, rank in before if rank == 1}
    assert not shown & {(entity, klass) for entity, klass, _ in lists(offers, late)}
    emails = query(chain, tmp_path, "emails", example("Never say the same as another list"), offers)
    result = emails.run(DAY)
    assert result.success, emails.why(result)
    said = {(entity, klass) for entity, klass, _ in before}
    assert not said & {(entity, klass) for entity, klass, _ in lists(emails, emails.release(result))}
    assert offers.ctx().objects.exists(
        offers.ctx().names.release_prefix(early) + f"readers/emails-{emails.release(result)}"
    )


def test_sql_that_does_not_compile_or_means_nothing_yet_is_refused_before_the_job(chain: Chain, tmp_path: Path) -> None:
    select = "SELECT ENTITY, CLASS, SCORE, 1 AS RANK FROM {{ predictions }}"
    spend = query(chain, tmp_path, "spend", select)
    for name, sql, words in (
        ("column", select.replace("SCORE", "SKORE"), "SKORE"),
        ("table", select + " JOIN {{ database }}.RAW.NO_SUCH_TABLE USING (CLASS)", "NO_SUCH_TABLE"),
        ("shape", "SELECT ENTITY, CLASS, SCORE FROM {{ predictions }}", "no column RANK"),
        ("active", select + " JOIN {{ active }} USING (ENTITY, NONSENSE)", "NONSENSE"),
        (
            "other",
            select + " WHERE CLASS NOT IN (SELECT CLASS FROM {{ query.spend }})",
            "no release of spend is active",
        ),
    ):
        broken = query(chain, tmp_path, f"q_{name}", sql, spend)
        result = broken.run(DAY)
        assert not result.success
        assert words in failure(result), failure(result)
        assert steps(result) == set()
    assert chain.kumo_jobs() == []
