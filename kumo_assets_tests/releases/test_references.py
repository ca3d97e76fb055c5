"""Tables of other releases in a `postprocess.sql`: which one a name stands for, and that nobody retires it meanwhile."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kumo_sandbox.testing.releases import BUCKET, Shop, definition

from kumo_assets.config.environment import Environment
from kumo_assets.documents import Artefact, Opened, Reference, ReferredTable, Retirement, utc_now
from kumo_assets.errors import ReleaseError
from kumo_assets.releases.context import ReleaseContext
from kumo_assets.releases.operations.promote import promote
from kumo_assets.releases.operations.retention import plan
from kumo_assets.releases.operations.retire import retire
from kumo_assets.releases.references import resolve
from kumo_assets_tests.support.memory_aws import Memory


class Tabled(Shop):
    """Releases whose warehouse tables say where they are."""

    def artefact(self, opened: Opened, asset: str, name: str, **details: Any) -> Artefact:
        place = {"database": "D", "schema": "S", "source": "P"} if asset in ("predictions", "postprocessed") else {}
        return super().artefact(opened, asset, name, **(place | details))


class Company:
    """Two queries of one environment, and the Snowflake tables that are gone."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.gone: set[str] = set()
        self.offers, self.spend = self.shop("offers"), self.shop("spend")

    def shop(self, query: str) -> Tabled:
        environment = Environment(name="local", bucket=BUCKET)
        s3, dynamodb = self.memory.s3(), self.memory.dynamodb()
        ctx = ReleaseContext.from_environment(definition(query), environment, s3=s3, dynamodb=dynamodb)
        ctx.trial = lambda seal, sample: {}
        return Tabled(ctx)

    def promoted(self, found: Tabled, *days: str) -> list[str]:
        built = []
        for day in days:
            self.memory.clock.tick()
            built.append(found.build(f"2017-11-{day}"))
            promote(found.ctx, None, by="sensor")
        return built

    def resolve(self, opened: Opened, name: str = "active") -> Reference:
        source = self.offers if name == "active" else self.spend
        return resolve(self.offers.ctx.store, opened, name, source.ctx, self.exists)

    def exists(self, place: ReferredTable) -> bool:
        assert (place.database, place.schema_name) == ("D", "S")
        return place.table not in self.gone

    def retired(self, found: Tabled) -> list[str]:
        return retire(found.ctx, lambda names: None, by="ann", now=self.memory.clock.tick())


@pytest.fixture
def company() -> Company:
    return Company()


def test_a_name_is_resolved_once_and_stays_with_the_release(company: Company) -> None:
    [first] = company.promoted(company.offers, "25")
    opened = company.offers.open("2017-11-26")
    found = company.resolve(opened)
    assert found.source is not None
    assert (found.source.release_id, found.source.query) == (first, "offers")
    assert found.source.table == company.offers.ctx.names.warehouse_table(first, "postprocessed")
    company.promoted(company.offers, "27")
    assert company.resolve(opened) == found
    assert company.offers.ctx.store.reference(opened.release_id, "active") == found


def test_the_table_of_another_query_and_of_an_adopted_artefact(company: Company) -> None:
    [home] = company.promoted(company.spend, "25")
    adopted = {"predictions": home, "postprocessed": home}
    company.memory.clock.tick()
    active = company.spend.build("2017-11-25", adopted=adopted)
    promote(company.spend.ctx, active, by="ann")
    found = company.resolve(company.offers.open(), "query.spend").source
    assert found is not None
    assert (found.release_id, found.home) == (active, home)
    assert found.table == company.spend.ctx.names.warehouse_table(home, "postprocessed")


def test_a_first_release_has_an_empty_active_table_and_no_other_querys(company: Company) -> None:
    opened = company.offers.open()
    assert company.resolve(opened).source is None
    company.promoted(company.offers, "25")
    assert company.resolve(opened).source is None  # as recorded
    with pytest.raises(ReleaseError, match=r"\{\{ query\.spend \}\}.*no release of spend is active.*promote one"):
        company.resolve(opened, "query.spend")


def test_a_pointer_that_somebody_deleted_is_no_first_release(company: Company) -> None:
    company.promoted(company.offers, "25")
    names = company.offers.ctx.names
    company.offers.ctx.objects.delete_many([names.pointer_key])
    with pytest.raises(ReleaseError, match="no release of offers is active"):
        company.resolve(company.offers.open("2017-11-26"))


def test_a_pointer_edited_by_hand_means_what_is_served_or_is_refused(company: Company) -> None:
    first, second = company.promoted(company.offers, "25", "26")
    opened, table = company.offers.open("2017-11-27"), company.offers.ctx.names.dynamodb_table
    company.offers.edit(lambda text: text.replace(f'"table": "{table(second)}"', '"table": "somebodys-table"', 1))
    with pytest.raises(ReleaseError, match="names table somebodys-table, which is of no sealed release"):
        company.resolve(opened)
    company.offers.edit(lambda text: text.replace('"somebodys-table"', f'"{table(first)}-restored"', 1))
    with pytest.raises(ReleaseError, match="of no sealed release"):
        company.resolve(opened)
    company.offers.edit(lambda text: text.replace(f'"{table(first)}-restored"', f'"{table(first)}"', 1))
    found = company.resolve(opened).source
    assert found is not None
    assert found.release_id == first


@pytest.mark.parametrize("how", ["retired", "dropped", "no record"])
def test_a_table_that_is_gone_is_refused_and_nothing_is_recorded(company: Company, how: str) -> None:
    [first] = company.promoted(company.offers, "25")
    ctx, opened = company.offers.ctx, company.offers.open("2017-11-26")
    if how == "retired":
        ctx.store.mark_retiring(Retirement(query="offers", release_id=first, at=utc_now(), by="ann", reason="old"))
    elif how == "dropped":
        company.gone.add(ctx.names.warehouse_table(first, "postprocessed"))
    else:
        ctx.objects.delete_many([ctx.names.release_prefix(first) + "artefacts/postprocessed.json"])
        ctx = company.offers.ctx = company.shop("offers").ctx  # what was read once is kept
    with pytest.raises(ReleaseError, match=r"active.*postprocess\.sql"):
        company.resolve(opened)
    assert ctx.store.reference(opened.release_id, "active") is None


def test_a_recorded_table_that_was_dropped_since_is_refused(company: Company) -> None:
    [first] = company.promoted(company.offers, "25")
    opened = company.offers.open("2017-11-26")
    company.resolve(opened)
    company.gone.add(company.offers.ctx.names.warehouse_table(first, "postprocessed"))
    with pytest.raises(ReleaseError, match=r"is not in Snowflake any more.*--fresh"):
        company.resolve(opened)


def test_what_is_being_read_is_kept_until_the_reader_is_sealed(company: Company) -> None:
    """spend moves on three days while a release of offers is built from its first one's table."""
    [first] = company.promoted(company.spend, "25")
    opened = company.offers.open()
    company.resolve(opened, "query.spend")
    second, *_ = company.promoted(company.spend, "26", "27", "28", "29")
    planned = plan(company.spend.ctx, company.memory.clock.tick())
    assert planned.kept[first].endswith(f"{opened.release_id} of offers, which is being built from its table")
    assert company.retired(company.spend) == [second]
    company.offers.seal(opened)
    assert company.retired(company.spend) == [first]


def test_the_own_active_release_is_kept_too_and_a_retired_reader_keeps_nothing(company: Company) -> None:
    [first] = company.promoted(company.offers, "25")
    opened = company.offers.open("2017-11-26")
    company.resolve(opened)
    second, *_ = company.promoted(company.offers, "27", "28", "29", "30")
    assert company.retired(company.offers) == [second]
    gone = Retirement(query="offers", release_id=opened.release_id, at=utc_now(), by="ann", reason="never sealed")
    company.offers.ctx.store.mark_retired(gone)
    assert first in company.retired(company.offers)


@pytest.mark.parametrize(
    "name", ["readers/note.txt", "readers/offers-20171345-1a2b3c4d", "readers/-", "readers/UP-20171130-1a2b3c4d"]
)
def test_a_stray_object_among_the_notes_protects_nothing_and_stops_nothing(company: Company, name: str) -> None:
    first, *_ = company.promoted(company.offers, "25", "26", "27", "28")
    ctx = company.offers.ctx
    ctx.objects.put(ctx.names.release_prefix(first) + name, b"\xff")
    assert first in company.retired(company.offers)


def test_of_a_resolution_and_a_retirement_at_once_one_gives_way(company: Company) -> None:
    """The mark of the retirement comes between the note and the look: the resolution is refused, and nothing is read that
    goes."""
    [first] = company.promoted(company.spend, "25")
    ctx = company.spend.ctx
    opened = company.offers.open()
    noted = ctx.store.mark_read

    def note_and_be_overtaken(*arguments: Any) -> None:
        noted(*arguments)
        ctx.store.mark_retiring(Retirement(query="spend", release_id=first, at=utc_now(), by="ann", reason="old"))

    ctx.store.mark_read = note_and_be_overtaken  # type: ignore[method-assign]
    with pytest.raises(ReleaseError, match="is retired"):
        company.resolve(opened, "query.spend")


def test_the_documents_names_are_as_the_page_says(company: Company) -> None:
    company.promoted(company.spend, "25")
    opened = company.offers.open()
    company.resolve(opened, "query.spend")
    ctx = company.offers.ctx
    stored = ctx.objects.get(ctx.names.release_prefix(opened.release_id) + "references/query.spend.json")
    assert stored is not None
    document = json.loads(stored.data)
    assert document.keys() == {"schema_version", "query", "release_id", "name", "resolved_at", "source"}
    assert document["source"].keys() == {"query", "release_id", "home", "database", "schema", "table"}
