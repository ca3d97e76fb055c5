"""What the SQL of the gates counts, against the same counted in pandas; and in how few statements. On the sandbox."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kumo_sandbox.snowflake.client import connect
from kumo_sandbox.testing import SandboxHandle

from kumo_assets.config.raw_logs import RawTable
from kumo_assets.errors import WarehouseError
from kumo_assets.gates import count_sql
from kumo_assets.gates.count_sql import count_continuity, count_lists, count_predictions
from kumo_assets.gates.raw.count_sql import Watched, count_raw_log
from kumo_assets.gates.release_diff import Diff, Side
from kumo_assets.gates.release_diff_sql import count_diff, item_names

PAIRS = {"ENTITY": "NUMBER", "CLASS": "NUMBER", "SCORE": "FLOAT"}
LISTS = PAIRS | {"RANK": "NUMBER"}


@dataclass
class Tables:
    """A session, tables to put frames into, and every statement that was sent for counts."""

    connection: Any
    sent: list[str] = field(default_factory=list)

    def put(self, frame: pd.DataFrame, columns: dict[str, str]) -> str:
        """A new table with the frame's rows; its quoted name."""
        name = f'"KUMO"."PUBLIC"."G_{uuid.uuid4().hex[:12].upper()}"'
        cursor = self.connection.cursor()
        cursor.execute(f"CREATE TABLE {name} ({', '.join(f'{column} {kind}' for column, kind in columns.items())})")
        rows = [", ".join(map(_literal, row)) for row in frame[list(columns)].itertuples(index=False)]
        if rows:
            cursor.execute(f"INSERT INTO {name} VALUES {', '.join(f'({row})' for row in rows)}")
        return name

    def rows(self, sql: str) -> Sequence[dict[str, Any]]:
        self.sent.append(sql)
        cursor = self.connection.cursor()
        cursor.execute(sql)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _literal(value: Any) -> str:
    if value is None or value is pd.NaT:
        return "NULL"
    if isinstance(value, str):
        return "'" + value + "'"
    if isinstance(value, datetime):
        return f"'{value:%Y-%m-%d %H:%M:%S}'::TIMESTAMP_NTZ"
    if isinstance(value, float) and not math.isfinite(value):
        return f"'{'NaN' if math.isnan(value) else 'inf' if value > 0 else '-inf'}'::FLOAT"
    return repr(value)


@pytest.fixture(scope="module")
def session(running_sandbox: SandboxHandle) -> Iterator[Any]:
    with connect(running_sandbox.env) as connection:
        yield connection


@pytest.fixture
def tables(session: Any) -> Tables:
    return Tables(session)


def predictions(seed: int, entities: int = 150) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "ENTITY": np.repeat(np.arange(entities), 3).tolist(),
            "CLASS": [int(item) for _ in range(entities) for item in random.choice(40, 3, replace=False)],
            "SCORE": random.normal(size=3 * entities).round(6).tolist(),
        }
    ).astype(object)


def histogram(scores: pd.Series, edges: list[float]) -> list[int]:
    """Counts over (-inf, e1], (e1, e2], ..., (en, inf), NaN in the last."""
    return np.bincount(np.searchsorted(edges, scores.to_numpy(float), side="left"), minlength=len(edges) + 1).tolist()


def test_predictions_are_counted_in_one_statement_and_as_pandas_counts_them(tables: Tables) -> None:
    before, now, fixed = (predictions(seed) for seed in (1, 2, 3))
    baseline = count_predictions(tables.rows, tables.put(before, PAIRS), PAIRS, None)
    assert baseline["histogram"] == histogram(before.SCORE, baseline["edges"])
    reference = count_predictions(tables.rows, tables.put(fixed, PAIRS), PAIRS, None)
    tables.sent.clear()
    name = tables.put(now, PAIRS)
    counts = count_predictions(tables.rows, name, PAIRS, baseline, reference)
    assert [sql.count(name) for sql in tables.sent] == [1]
    assert counts["rows"] == counts["keys"] == 450
    assert counts["entities"] == 150
    assert counts["nulls"] == 0
    assert counts["against"] == histogram(now.SCORE, baseline["edges"])
    assert counts["against_reference"] == histogram(now.SCORE, reference["edges"])
    assert counts["edges"] == baseline["edges"]
    assert (counts["lowest"], counts["highest"]) == (now.SCORE.min(), now.SCORE.max())


def test_repeated_and_null_keys_are_counted_exactly(tables: Tables) -> None:
    frame = predictions(4)
    frame = pd.concat([frame, frame.head(7)], ignore_index=True)
    frame.loc[20, "SCORE"] = None
    frame.loc[30, "CLASS"] = None
    frame.loc[40, "ENTITY"] = None
    counts = count_predictions(tables.rows, tables.put(frame, PAIRS), PAIRS, None)
    assert counts["nulls"] == 3
    assert counts["rows"] - counts["keys"] == 7


def test_hashes_that_collide_are_not_called_repeated_keys(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A statement whose every hash is the same stands for the rare pair of hashes that are."""
    folder = tmp_path_factory.mktemp("sql")
    for path in count_sql._FOLDER.glob("*.sql"):
        (folder / path.name).write_text(path.read_text().replace("HASH(ENTITY, CLASS)", "1"))
    monkeypatch.setattr(count_sql, "_FOLDER", folder)
    counts = count_predictions(tables.rows, tables.put(predictions(5), PAIRS), PAIRS, None)
    assert counts["keys"] == counts["rows"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_finite_number_is_seen(tables: Tables, value: float) -> None:
    frame = predictions(6)
    frame.loc[3, "SCORE"] = value
    counts = count_predictions(tables.rows, tables.put(frame, PAIRS), PAIRS, None)
    assert not counts["finite"]
    lists = frame.assign(RANK=[1, 2, 3] * 150).astype(object)
    assert not count_lists(tables.rows, tables.put(lists, LISTS), 3)["finite"]


def test_an_empty_table_has_counts_of_nothing(tables: Tables) -> None:
    empty = predictions(7).head(0)
    counts = count_predictions(tables.rows, tables.put(empty, PAIRS), PAIRS, None)
    assert (counts["rows"], counts["entities"], counts["lowest"], counts["edges"]) == (0, 0, None, [])
    lists = count_lists(tables.rows, tables.put(empty.assign(RANK=1), LISTS), 3)
    assert (lists["lists"], lists["coverage"], lists["firsts"]) == (0, 0, {})


@pytest.mark.parametrize(
    "columns", [{"ENTITY": "NUMBER", "TARGET_PRED": "FLOAT"}, {"ENTITY": "NUMBER", "SCORE": "FLOAT"}]
)
def test_one_row_per_entity(tables: Tables, columns: dict[str, str]) -> None:
    value = next(name for name in columns if name != "ENTITY")
    frame = pd.DataFrame({"ENTITY": [1, 2, 3, 3, None], value: [0.5, 1.5, 2.5, 3.5, 4.5]}, dtype=object)
    counts = count_predictions(tables.rows, tables.put(frame, columns), columns, None)
    assert (counts["rows"], counts["entities"], counts["nulls"], counts["keys"]) == (5, 3, 1, 4)


def ranked(entities: int = 20, length: int = 5) -> pd.DataFrame:
    return pd.DataFrame(
        [
            (entity, 100 + (entity + rank) % 9, 1.0 / rank, rank)
            for entity in range(entities)
            for rank in range(1, length + 1)
        ],
        columns=list(LISTS),
    ).astype(object)


@pytest.mark.parametrize("top_k", [5, 25], ids=["a column per rank", "a window"])
def test_the_shape_of_lists(tables: Tables, top_k: int) -> None:
    frame = ranked(length=5)
    frame.loc[(frame.ENTITY == 3) & (frame.RANK == 2), "SCORE"] = 9.0  # rises
    frame.loc[(frame.ENTITY == 4) & (frame.RANK == 5), "RANK"] = 6  # a gap
    frame.loc[(frame.ENTITY == 6) & (frame.RANK == 3), "RANK"] = 2  # a repeat, between the right first and last
    frame.loc[(frame.ENTITY == 7) & (frame.RANK == 5), "SCORE"] = None  # no score
    frame = frame[~((frame.ENTITY == 5) & (frame.RANK > 3))]  # short
    counts = count_lists(tables.rows, tables.put(frame, LISTS), top_k)
    expected = {"lists": 20, "misranked": 3, "disordered": 1, "longest": 5, "short": 1 if top_k == 5 else 20}
    assert {name: counts[name] for name in expected} == expected


@pytest.mark.parametrize("top_k", [5, 25], ids=["a column per rank", "a window"])
def test_a_list_of_all_there_is_of_a_closed_set_is_not_short(tables: Tables, top_k: int) -> None:
    frame = ranked(length=3)
    frame["CLASS"] = frame.RANK + 100
    name = tables.put(frame, LISTS)
    counts = count_lists(tables.rows, name, top_k, closed=0)
    assert (counts["full"], counts["short"]) == (3, 0)
    assert count_lists(tables.rows, name, 2, closed=0)["full"] == 2
    assert count_lists(tables.rows, name, top_k)["short"] == counts["lists"]
    name = tables.put(frame[~((frame.ENTITY == 5) & (frame.RANK > 1))], LISTS)
    assert count_lists(tables.rows, name, top_k, closed=0)["short"] == 1


def test_a_class_that_is_gone_from_a_closed_set_leaves_every_list_short(tables: Tables) -> None:
    frame = ranked(length=3)
    frame["CLASS"] = frame.RANK + 100
    counts = count_lists(tables.rows, tables.put(frame, LISTS), 5, closed=4)
    assert (counts["full"], counts["short"]) == (4, counts["lists"])


def test_classes_first_places_and_unknown_items(tables: Tables) -> None:
    frame = ranked()
    catalogue = tables.put(pd.DataFrame({"ITEM": ["100", "101", "102", "103"]}), {"ITEM": "VARCHAR"})
    name = tables.put(frame, LISTS)
    tables.sent.clear()
    counts = count_lists(tables.rows, name, 5, (catalogue, '"ITEM"'))
    assert sum(sql.count(name) for sql in tables.sent) == 2
    assert counts["classes"] == frame.CLASS.astype(str).value_counts().to_dict()
    assert counts["firsts"] == frame[frame.RANK == 1].CLASS.astype(str).value_counts().to_dict()
    assert (counts["coverage"], counts["served"]) == (9, 100)
    unknown = frame[frame.CLASS > 103]
    assert (counts["unknown"], counts["unknown_classes"]) == (len(unknown), unknown.CLASS.nunique())
    assert set(counts["unknown_named"]) <= set(unknown.CLASS.astype(str))


def test_the_unknown_are_named_even_when_the_list_of_classes_is_cut(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(count_sql, "MOST_CLASSES", 2)
    frame = ranked()
    rare = frame.CLASS.astype(str).value_counts().index[-1]
    known = sorted(set(frame.CLASS.astype(str)) - {rare})
    catalogue = tables.put(pd.DataFrame({"ITEM": known}), {"ITEM": "VARCHAR"})
    counts = count_lists(tables.rows, tables.put(frame, LISTS), 5, (catalogue, '"ITEM"'))
    assert len(counts["classes"]) == 2
    assert counts["unknown_named"] == [rare]


@pytest.mark.parametrize("sampled", [False, True])
def test_continuity_with_the_active_table(tables: Tables, monkeypatch: pytest.MonkeyPatch, sampled: bool) -> None:
    monkeypatch.setattr(count_sql, "SAMPLED_ENTITIES", 30)
    old, new = ranked(120), ranked(120)
    new = new[new.ENTITY % 10 != 0]  # a tenth is lost
    new.loc[new.RANK == 5, "CLASS"] = 999  # a fifth of each list changes
    names = [tables.put(frame, LISTS) for frame in (new, old)]
    counts = count_continuity(tables.rows, *names, lists=True, entities=120 if sampled else 0)
    assert counts["sample"] == (4 if sampled else 1)
    if not sampled:
        assert counts == {"old": 120, "lost": 12, "entries": 540, "changed": 108, "sample": 1}
    assert 0 <= counts["lost"] < 0.4 * counts["old"] <= 0.4 * 120
    assert counts["changed"] * 5 == counts["entries"]
    single = count_continuity(tables.rows, *names, lists=False)
    assert (single["old"], single["lost"]) == (120, 12)
    assert count_continuity(tables.rows, *names, lists=True, alike=True) == count_continuity(
        tables.rows, *names, lists=True
    )


def test_a_changed_type_asks_the_same_sample_of_entities(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(count_sql, "SAMPLED_ENTITIES", 30)
    frame = ranked(120)
    texts = frame.assign(ENTITY=frame.ENTITY.astype(str), CLASS=frame.CLASS.astype(str)).astype(object)
    names = [tables.put(texts, LISTS | {"ENTITY": "VARCHAR", "CLASS": "VARCHAR"}), tables.put(frame, LISTS)]
    for lists in (True, False):
        counts = count_continuity(tables.rows, *names, lists=lists, entities=120)
        assert counts["sample"] == 4
        assert 0 < counts["old"] < 120
        assert (counts["lost"], counts["changed"]) == (0, 0)


def side(release: str, entities: int = 0) -> Side:
    return Side(release, "2017-11-28", "", entities, 0, None, None, None, {})


@pytest.mark.parametrize("alike", [True, False])
def test_a_diff_counts_what_pandas_counts_and_what_the_gates_count(tables: Tables, alike: bool) -> None:
    old, new = ranked(120), ranked(120)
    new = pd.concat([new[new.ENTITY % 10 != 0], ranked(130)[lambda frame: frame.ENTITY >= 120]])  # 12 lost, 10 gained
    new.loc[(new.ENTITY % 4 == 1) & (new.RANK == 5), "CLASS"] = 999
    swapped = (new.ENTITY % 4 == 2) & new.RANK.isin([1, 2])
    new.loc[swapped, "RANK"] = 3 - new[swapped].RANK
    before, after = tables.put(old, LISTS), tables.put(new, LISTS)
    diff = count_diff(tables.rows, Diff("q", side("a"), side("b")), before, after, lists=True, alike=alike)
    both = sorted(set(old.ENTITY) & set(new.ENTITY))
    lists = [
        {entity: list(of.sort_values("RANK").CLASS) for entity, of in frame.groupby("ENTITY")} for frame in (old, new)
    ]
    same = sum(lists[0][entity] == lists[1][entity] for entity in both)
    classes = sum(set(lists[0][entity]) == set(lists[1][entity]) for entity in both)
    joined = old.merge(new, on=["ENTITY", "CLASS"])
    assert (diff.lost, diff.gained) == (12 / 120, 10 / 118)
    assert (diff.unchanged, diff.same_classes) == (same / len(both), classes / len(both))
    assert same < classes < len(both)
    assert diff.moved == (joined.RANK_x - joined.RANK_y).abs().mean()
    gate = count_continuity(tables.rows, after, before, lists=True, alike=alike)
    assert diff.lost == gate["lost"] / gate["old"]
    assert diff.changed == gate["changed"] / gate["entries"]
    assert len(diff.examples) == 20
    for example in diff.examples:
        for shown, known in ((example.before, lists[0]), (example.after, lists[1])):
            assert [label for label, _ in shown] == [str(label) for label in known.get(int(example.entity), [])]


def test_names_of_a_few_classes_from_the_catalogue(tables: Tables) -> None:
    frame = pd.DataFrame({"ITEM": [100, 101, 102], "NAME": ["milk", None, "tea"]})
    catalogue = tables.put(frame, {"ITEM": "NUMBER", "NAME": "VARCHAR"})
    assert item_names(tables.rows, catalogue, '"ITEM"', '"NAME"', ["100", "101", "it's"]) == {"100": "milk"}


def test_a_diff_of_numbers_and_of_a_sample(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = {"ENTITY": "NUMBER", "TARGET_PRED": "FLOAT"}
    old = pd.DataFrame({"ENTITY": range(100), "TARGET_PRED": [float(n) for n in range(100)]})
    new = pd.DataFrame({"ENTITY": range(10, 110), "TARGET_PRED": [float(n + (n % 2) * 3) for n in range(10, 110)]})
    names = [tables.put(frame, columns) for frame in (old, new)]
    diff = count_diff(tables.rows, Diff("q", side("a"), side("b")), *names, lists=False)
    assert (diff.lost, diff.gained, diff.unchanged) == (0.1, 0.1, 0.5)
    assert (diff.change, diff.absolute_change) == (1.5, 1.5)
    assert {len(entry) for example in diff.examples for entry in (*example.before, *example.after)} == {1}
    monkeypatch.setattr(count_sql, "SAMPLED_ENTITIES", 30)
    sampled = count_diff(tables.rows, Diff("q", side("a"), side("b")), *names, lists=False, entities=120)
    assert sampled.sample == 4
    assert 0 < len(sampled.examples) <= 20


END = datetime(2017, 11, 29, tzinfo=UTC)
LOG = {"SOLD_AT": "TIMESTAMP_NTZ", "AMOUNT": "FLOAT", "SHOP": "VARCHAR", "BASKET": "NUMBER"}


def log_of(tables: Tables, frame: pd.DataFrame, event_time: str | None = "SOLD_AT", **more: Any) -> Watched:
    raw = RawTable(table="T", event_time=event_time, **more)
    return Watched("sales", tables.put(frame, LOG), raw, LOG, ["AMOUNT", "SHOP"], "BASKET")


def sales(
    amount: Callable[[int], float | None] = lambda n: float(n % 50), shop: str = "S", days: int = 3
) -> pd.DataFrame:
    start = datetime(2017, 11, 27)
    rows = [(start + timedelta(minutes=20 * n), amount(n), f"{shop}{n % 4}", n // 5) for n in range(days * 24 * 3)]
    return pd.DataFrame(rows, columns=list(LOG), dtype=object)


def test_a_raw_log_is_counted_over_the_partitions_day_alone_in_one_scan(tables: Tables) -> None:
    frame = sales()
    log = log_of(tables, frame)
    day = frame[(datetime(2017, 11, 28) <= frame.SOLD_AT) & (datetime(2017, 11, 29) > frame.SOLD_AT)]
    first = count_raw_log(tables.rows, log, END - timedelta(days=1), END, None)
    assert first["rows"] == len(day)
    assert first["lag_minutes"] == (datetime(2017, 11, 29) - day.SOLD_AT.max()).total_seconds() / 60
    amount, shop = first["columns"]["AMOUNT"], first["columns"]["SHOP"]
    assert amount["histogram"] == [*histogram(day.AMOUNT, amount["edges"]), 0]
    assert amount["units"] == day.BASKET.nunique()
    assert shop["values"] == day.SHOP.value_counts().to_dict()
    tables.sent.clear()
    again = count_raw_log(tables.rows, log, END - timedelta(days=1), END, first, first)
    assert (
        again["columns"]["AMOUNT"]["against"] == again["columns"]["AMOUNT"]["against_reference"] == amount["histogram"]
    )
    assert len(tables.sent) == 2  # all numbers in one scan, and one for the column of text


def test_nulls_of_a_raw_column_have_a_bin_of_their_own(tables: Tables) -> None:
    first = count_raw_log(tables.rows, log_of(tables, sales()), END - timedelta(days=1), END, None)
    half = log_of(tables, sales(lambda n: None if n % 2 else float(n % 50)))
    counts = count_raw_log(tables.rows, half, END - timedelta(days=1), END, first)
    against = counts["columns"]["AMOUNT"]["against"]
    assert sum(against) == counts["rows"]
    assert 0.4 < against[-1] / counts["rows"] < 0.6


def test_a_day_is_cut_in_the_time_zone_its_events_are_stored_in(tables: Tables) -> None:
    frame = sales()
    log = log_of(tables, frame, event_time_zone="America/New_York")
    counts = count_raw_log(tables.rows, log, END - timedelta(days=1), END, None)
    local = frame[(datetime(2017, 11, 27, 19) <= frame.SOLD_AT) & (datetime(2017, 11, 28, 19) > frame.SOLD_AT)]
    assert counts["rows"] == len(local)
    assert 0 <= counts["lag_minutes"] <= 20


def test_a_date_means_the_end_of_its_day(tables: Tables) -> None:
    frame = pd.DataFrame({"SOLD_ON": ["2017-11-27", "2017-11-28"]})
    log = Watched(
        "sales", tables.put(frame, {"SOLD_ON": "DATE"}), RawTable(table="T", event_time="SOLD_ON"), {"SOLD_ON": "DATE"}
    )
    counts = count_raw_log(tables.rows, log, END - timedelta(days=1), END, None)
    assert (counts["rows"], counts["lag_minutes"]) == (1, 0.0)


def test_an_empty_day_and_a_table_that_is_no_stream(tables: Tables) -> None:
    empty = count_raw_log(
        tables.rows, log_of(tables, sales()), END + timedelta(days=30), END + timedelta(days=31), None
    )
    assert (empty["rows"], empty["lag_minutes"]) == (0, None)
    still = count_raw_log(tables.rows, log_of(tables, sales(), None), END - timedelta(days=1), END, None)
    assert still["rows"] == len(sales())
    assert "lag_minutes" not in still


def test_a_watched_column_that_does_not_exist_is_named_with_those_that_do(tables: Tables) -> None:
    log = Watched("sales", tables.put(sales(), LOG), RawTable(table="T"), LOG, ["AMOUNTS"])
    with pytest.raises(WarehouseError, match=r"no column AMOUNTS; it has SOLD_AT, AMOUNT, SHOP, BASKET"):
        count_raw_log(tables.rows, log, END - timedelta(days=1), END, None)
