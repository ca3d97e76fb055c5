"""What the stand-in writes of a float as text: no more digits than Snowflake may, and those it must with TME."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.sandbox

PI = "3.141592653589793::FLOAT"


@pytest.mark.parametrize(
    "form",
    [
        "TO_VARCHAR(X)",
        "TO_CHAR(X)",
        "CAST(X AS VARCHAR)",
        "X::STRING",
        "X || ''",
        "CONCAT(X, '')",
        "LISTAGG(TO_VARCHAR(X))",
    ],
)
def test_a_float_loses_digits_however_it_becomes_text(cursor: Any, form: str) -> None:
    assert cursor.execute(f"SELECT {form} FROM (SELECT {PI} AS X)").fetchall() == [("3.141592654",)]


@pytest.mark.parametrize("value", [0.1, -2.5e-7, 1e300, 100.0, 0.0, 1 / 3, 0.1 + 0.2, 5e-324, 1.7976931348623157e308])
def test_tme_keeps_the_double_and_is_json(cursor: Any, value: float) -> None:
    import json

    ((text,),) = cursor.execute(f"SELECT TO_VARCHAR('{value!r}'::FLOAT, 'TME')").fetchall()
    assert json.loads(text) == value
    assert "E" in text


def test_other_types_are_written_as_before(cursor: Any) -> None:
    asked = (
        "TO_VARCHAR(7), TO_VARCHAR(1.50), TO_VARCHAR('x'), TO_VARCHAR(NULL), TO_VARCHAR('2020-01-01'::DATE), 7 || 'x'"
    )
    assert cursor.execute(f"SELECT {asked}").fetchall() == [("7", "1.50", "x", None, "2020-01-01", "7x")]
