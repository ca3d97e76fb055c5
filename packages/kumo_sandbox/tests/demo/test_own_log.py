"""A user's own log: what is accepted, and what each mistake is answered with."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest
from kumo_sandbox.demo.own_project import query_name
from kumo_sandbox.demo.plan import days_to_run, first_day, late_tolerance_minutes
from kumo_sandbox.grocery import Columns, EventLog, LogError, catalogue, own_log

MAPPED = Columns("user", "sku", "at", "label")


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    """60 days of orders: 20 users, 10 skus, some anonymous, some returned."""
    file = tmp_path / "web orders.parquet"
    duckdb.execute(
        f"""COPY (
          SELECT CASE WHEN i % 11 = 0 THEN NULL ELSE 'u' || (i % 20) END AS "user", 's' || (i % 10) AS sku,
                 TIMESTAMP '2024-01-01 10:00:00' + INTERVAL (i % 60) DAY AS at, i % 5 - 1 AS qty,
                 'Thing ' || (i % 10) AS label
          FROM range(1200) t(i)) TO '{file}' (FORMAT parquet)"""
    )
    return file


def test_columns_are_mapped_and_anonymous_rows_left_out(orders: Path) -> None:
    log = own_log(orders, MAPPED)
    rows = log.database.execute("SELECT COUNT(*), COUNT(ENTITY_ID), MIN(EVENT_TIME) FROM events").fetchone()
    assert rows is not None
    assert rows[0] == rows[1] == 1200 - 110
    assert catalogue(log)["s3"].name == "Thing 3"
    assert log.days == (date(2024, 1, 1), date(2024, 2, 29))


def test_filter_leaves_returned_rows_out(orders: Path) -> None:
    kept = own_log(orders, MAPPED, "qty > 0").database.execute("SELECT COUNT(*) FROM events").fetchone()
    every = own_log(orders, MAPPED).database.execute("SELECT COUNT(*) FROM events").fetchone()
    assert kept is not None
    assert every is not None
    assert 0 < kept[0] < every[0]


def test_csv_and_columns_spelt_in_another_case_are_read(tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    file.write_text("User_Id,ITEM,When\n1,a,2024-03-01 10:00:00\n2,b,2024-03-02 11:00:00\n")
    log = own_log(file, Columns("user_id", "item", "when"))
    assert log.database.execute("SELECT ENTITY_ID, ITEM_ID FROM events ORDER BY 1").fetchall() == [(1, "a"), (2, "b")]
    assert [column.type for column in log.events.columns] == ["NUMBER", "VARCHAR", "TIMESTAMP_NTZ"]


def test_times_with_a_zone_become_utc(tmp_path: Path) -> None:
    file = tmp_path / "zoned.parquet"
    duckdb.execute(
        "COPY (SELECT 1 AS entity_id, 2 AS item_id, '2024-03-01 01:00:00+02:00'::TIMESTAMPTZ AS timestamp) "
        f"TO '{file}' (FORMAT parquet)"
    )
    found = own_log(file, Columns()).database.execute("SELECT EVENT_TIME::VARCHAR FROM events").fetchone()
    assert found == ("2024-02-29 23:00:00",)


@pytest.mark.parametrize(
    ("columns", "row_filter", "words"),
    [
        (Columns(), None, ["'entity_id' (--entity-column)", "user, sku, at, qty, label"]),
        (Columns("user", "product", "at"), None, ["'product' (--item-column)", "user, sku, at, qty, label"]),
        (Columns("user", "sku", "label"), None, ["--time-column", "'Thing ", "no time"]),
        (Columns("user", "sku", "qty"), None, ["--time-column", "BIGINT"]),
        (MAPPED, "quantity > 0", ["--filter", "quantity", "columns: user, sku"]),
        (MAPPED, "qty >", ["--filter", "syntax error"]),
    ],
)
def test_wrong_option_is_named_with_what_was_found(
    orders: Path, columns: Columns, row_filter: str | None, words: list[str]
) -> None:
    with pytest.raises(LogError) as caught:
        own_log(orders, columns, row_filter)
    assert caught.value.exit_status == 2
    for word in words:
        assert word in str(caught.value)


def test_wrong_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "log.xlsx").write_text("x")
    (tmp_path / "broken.parquet").write_text("x")
    for name, words in (("absent.parquet", "no such file"), ("log.xlsx", ".xlsx"), ("broken.parquet", "whole")):
        with pytest.raises(LogError, match=words):
            own_log(tmp_path / name, Columns())


def test_filter_that_leaves_nothing_is_said(orders: Path) -> None:
    with pytest.raises(LogError, match="no row is left"):
        _ = own_log(orders, MAPPED, "qty > 100").days


def test_days_run_leave_time_after_them_to_see_what_followed(orders: Path) -> None:
    log = own_log(orders, MAPPED)
    first = first_day(log, 3, grocery=False)
    days = days_to_run(log, 3, None, first)
    assert len(days) == 3
    assert (log.days[1] - days[-1]).days == 59 // 5


def test_log_too_short_to_run_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "short.csv"
    file.write_text("entity_id,item_id,timestamp\n1,a,2024-03-01 10:00:00\n1,a,2024-03-05 10:00:00\n")
    with pytest.raises(LogError, match="7 days of history"):
        first_day(own_log(file, Columns()), 3, grocery=False)


def test_log_of_dates_is_given_a_days_tolerance(tmp_path: Path) -> None:
    file = tmp_path / "dates.csv"
    file.write_text("entity_id,item_id,timestamp\n" + "".join(f"1,a,2024-03-{day:02d}\n" for day in range(1, 31)))
    assert late_tolerance_minutes(own_log(file, Columns()), [date(2024, 3, 20)]) >= 24 * 60


def test_query_is_named_after_the_file(orders: Path, tmp_path: Path) -> None:
    assert query_name(own_log(orders, MAPPED)) == "web_orders_next_item"
    digits = tmp_path / "2024.csv"
    digits.write_text("entity_id,item_id,timestamp\n1,a,2024-03-01\n")
    assert query_name(own_log(digits, Columns())) == "log_2024_next_item"


def test_demo_goes_on_with_the_day_after_the_active_one(grocery: EventLog) -> None:
    first = first_day(grocery, 3, grocery=True)
    assert days_to_run(grocery, 3, None, first) == [date(2017, 11, 28) + timedelta(days=n) for n in range(3)]
    assert days_to_run(grocery, 2, date(2017, 11, 30), first) == [date(2017, 12, 1), date(2017, 12, 2)]


def test_last_day_of_the_log_is_built_again_when_none_is_left(grocery: EventLog) -> None:
    assert days_to_run(grocery, 3, date(2017, 12, 30), date(2017, 11, 28)) == [date(2017, 12, 31)]
    assert days_to_run(grocery, 3, date(2017, 12, 31), date(2017, 11, 28)) == [date(2017, 12, 31)]


def test_default_tolerance_for_late_logs_covers_the_grocery_days(grocery: EventLog) -> None:
    assert late_tolerance_minutes(grocery, [date(2017, 11, 28) + timedelta(days=n) for n in range(12)]) == 60


def test_day_on_which_nothing_happened_is_passed_over(tmp_path: Path, grocery: EventLog) -> None:
    file = tmp_path / "weekly.csv"
    sundays = [date(2024, 1, 7) + timedelta(weeks=week) for week in range(10)]
    file.write_text("entity_id,item_id,timestamp\n" + "".join(f"1,a,{day} 23:30:00\n" for day in sundays))
    log = own_log(file, Columns())
    assert days_to_run(log, 2, None, sundays[4] - timedelta(days=2)) == sundays[4:6]
    # Nothing is left between the active day and the log's end: its last busy day is built again.
    assert days_to_run(log, 2, sundays[8], sundays[0]) == [sundays[8]]
    # The grocery shops were closed on Christmas Day.
    assert date(2017, 12, 25) not in days_to_run(grocery, 5, date(2017, 12, 22), date(2017, 11, 28))
