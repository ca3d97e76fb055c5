"""How many digits of a float Snowflake writes as text; DuckDB writes the shortest text that reads back exactly.

Snowflake documents no number of digits. The worst that is reported for `TO_VARCHAR(<float>)` and a cast is 10, and with
the format 'TME' 17 are kept: both are assumptions of docs/assumptions.md. So SQL whose floats survive here survives there.
"""

from __future__ import annotations

from typing import Any

from sqlglot import Expr, exp

# In a database that fakesnow attaches beside every other one, and that a session can always name.
_HOME = "_fs_global.main"
PLAIN, EXACT = f"{_HOME}.sandbox_plain", f"{_HOME}.sandbox_exact"

# `typeof` is a constant once a column's type is known, so that other types pay nothing. To cast to text and back makes
# the macro compile for types that no number can be made of.
_DOUBLE = "TRY_CAST(CAST(x AS VARCHAR) AS DOUBLE)"
_IS_FLOAT = "typeof(x) IN ('DOUBLE', 'FLOAT')"
MACROS = f"""
CREATE OR REPLACE MACRO {PLAIN}(x) AS
    CASE WHEN {_IS_FLOAT} THEN
        CASE WHEN isfinite({_DOUBLE}) THEN printf('%.10g', {_DOUBLE})
             WHEN isnan({_DOUBLE}) THEN 'NaN' ELSE CAST(x AS VARCHAR) END
    ELSE CAST(x AS VARCHAR) END;
CREATE OR REPLACE MACRO {EXACT}(x) AS
    CASE WHEN NOT isfinite({_DOUBLE}) THEN CAST(x AS VARCHAR)
    ELSE regexp_replace(printf('%.16E', {_DOUBLE}), '\\.?0*E\\+?(-?)0*(\\d)', 'E\\1\\2') END;
"""
_TEXTS = (exp.DataType.Type.VARCHAR, exp.DataType.Type.TEXT, exp.DataType.Type.CHAR, exp.DataType.Type.NVARCHAR)
# What `||` may be given that is no text yet.
_VALUES = (exp.Column, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Paren, exp.Neg, exp.AggFunc, exp.Round)


def install(duckdb: Any) -> None:
    """Make the two macros, once for a store."""
    duckdb.execute(MACROS)


def as_snowflake_writes(expression: Expr) -> Expr:
    """A statement ready for DuckDB, with each conversion to text written as one of the macros."""
    return expression.transform(_converted, copy=False)


def _converted(node: Expr) -> Expr:
    if isinstance(node, exp.ToChar):
        form = node.args.get("format")
        if form is None:
            return exp.Anonymous(this=PLAIN, expressions=[node.this])
        if isinstance(form, exp.Literal) and form.name.upper() == "TME":
            return exp.Anonymous(this=EXACT, expressions=[node.this])
    elif isinstance(node, exp.Cast) and node.to.this in _TEXTS and not isinstance(node.this, exp.Literal):
        if isinstance(node.this, _VALUES):
            node.set("this", exp.Anonymous(this=PLAIN, expressions=[node.this]))
    elif isinstance(node, exp.ByteLength):
        # DuckDB's own OCTET_LENGTH takes no text.
        text = exp.Cast(this=node.this, to=exp.DataType.build("VARCHAR"))
        return exp.Anonymous(this="strlen", expressions=[text])
    elif isinstance(node, exp.DPipe):
        for side in ("this", "expression"):
            if isinstance(node.args[side], _VALUES):
                node.set(side, exp.Anonymous(this=PLAIN, expressions=[node.args[side]]))
    elif isinstance(node, exp.Concat):
        given = node.expressions
        node.set(
            "expressions",
            [exp.Anonymous(this=PLAIN, expressions=[item]) if isinstance(item, _VALUES) else item for item in given],
        )
    return node
