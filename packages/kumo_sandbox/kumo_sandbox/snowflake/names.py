"""Names as Snowflake finds them: a name in quotes in exactly its case, any other in upper case. DuckDB ignores case.

A statement is checked before DuckDB sees it. Only a name that exists in another case, and not in its own, is refused:
what exists in no case at all DuckDB refuses by itself. Two objects whose names differ in case alone can live side by
side in Snowflake and not here, so to make the second one is refused as well. Source: Snowflake, "Identifier requirements".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from snowflake.connector.errors import ProgrammingError
from sqlglot import Expr, exp
from sqlglot.errors import OptimizeError
from sqlglot.optimizer.scope import Scope, traverse_scope

# What a query's columns are when something in it cannot be known here: then none is refused.
UNKNOWN = None
Columns = list[str] | None


@dataclass
class Catalogue:
    """What the store has, asked at most once a statement: exact names of the tables, views and columns."""

    duckdb: Any
    database: str
    schema: str
    _known: dict[str, dict[tuple[str, str, str], list[str]]] = field(default_factory=dict)

    def alike(self, table: exp.Table) -> dict[tuple[str, str, str], list[str]]:
        """(database, schema, name) -> columns, of every object whose name differs from this table's in case at most."""
        place = (table.catalog or self.database, table.db or self.schema)
        name = table.name.lower()
        if name not in self._known:
            rows = self.duckdb.execute(
                "SELECT database_name, schema_name, table_name, column_name FROM duckdb_columns() "
                "WHERE NOT internal AND lower(table_name) = ? ORDER BY 1, 2, 3, column_index",
                [name],
            ).fetchall()
            found: dict[tuple[str, str, str], list[str]] = {}
            for database, schema, exact, column in rows:
                found.setdefault((database, schema, exact), []).append(column)
            self._known[name] = found
        wanted = tuple(part.lower() for part in place)
        temporary = not table.db
        return {
            key: columns
            for key, columns in self._known[name].items()
            if (key[0].lower(), key[1].lower()) == wanted or (temporary and key[0] == "temp")
        }

    def columns(self, table: exp.Table) -> Columns:
        """The columns of a table or view; UNKNOWN when there is none of that name."""
        exact = (table.catalog or self.database, table.db or self.schema, table.name)
        for key, columns in self.alike(table).items():
            if key == exact or (key[0] == "temp" and key[2] == exact[2]):
                return columns
        return UNKNOWN

    def in_another_case(self, table: exp.Table) -> bool:
        """Whether the table exists, but not under exactly this name."""
        return bool(self.alike(table)) and self.columns(table) is UNKNOWN

    def place_in_another_case(self, kind: str, name: str, database: str) -> bool:
        """The same of a schema or a database."""
        column, more = ("database_name", "") if kind == "DATABASE" else ("schema_name", " AND lower(database_name) = ?")
        rows = self.duckdb.execute(
            f"SELECT DISTINCT {column} FROM duckdb_schemas() WHERE lower({column}) = ?{more}",
            [name.lower(), *([database.lower()] if more else [])],
        ).fetchall()
        return bool(rows) and (name,) not in rows


def check_names(statement: Expr, catalogue: Catalogue) -> bool:
    """Refuse a name that Snowflake would not find. False for a DROP ... IF EXISTS that has nothing to drop, which must
    not reach DuckDB. Raises ProgrammingError as Snowflake words it."""
    folded = statement.copy().transform(_fold, copy=False)
    if isinstance(folded, exp.Use) or (isinstance(folded, exp.Create | exp.Drop) and folded.kind in PLACES):
        return _check_place(folded, catalogue)
    made = _made_by(folded)
    if made is not None and catalogue.in_another_case(made):
        if isinstance(folded, exp.Drop):
            if folded.args.get("exists"):
                return False
            raise _no_object(made)
        raise _two_names(made, catalogue)
    aliases = {item.alias for item in folded.find_all(exp.CTE)}
    for table in folded.find_all(exp.Table):
        if table is made or not isinstance(table.this, exp.Identifier) or table.db.upper() == "INFORMATION_SCHEMA":
            continue
        if not table.db and table.name in aliases:
            continue
        if catalogue.in_another_case(table):
            raise _no_object(table)
        if not table.db and catalogue.columns(table) is UNKNOWN and _in(table.name, aliases):
            raise _no_object(table)
    for number, derived in enumerate(folded.find_all(exp.Subquery, exp.Values)):
        if not derived.alias and isinstance(derived.parent, exp.From | exp.Join):
            derived.set("alias", exp.TableAlias(this=exp.to_identifier(f"_sandbox_{number}")))
    for query in _outermost_queries(folded):
        for scope in _scopes(query):
            _check_scope(scope, catalogue)
    _check_own_columns(folded, catalogue)
    return True


PLACES = ("SCHEMA", "DATABASE")


def _check_place(statement: Expr, catalogue: Catalogue) -> bool:
    table = statement.find(exp.Table)
    kind = str(statement.args.get("kind") or "").upper()
    if table is None or (isinstance(statement, exp.Use) and kind not in (*PLACES, "")):
        return True
    kind = kind or "SCHEMA"
    name = table.name or table.db
    database = table.db if table.name and table.db else catalogue.database
    if not name or not catalogue.place_in_another_case(kind, name, database or ""):
        return True
    if isinstance(statement, exp.Drop) and statement.args.get("exists"):
        return False
    if isinstance(statement, exp.Create):
        raise _two_names(table, catalogue)
    raise ProgrammingError(
        msg=f"SQL compilation error:\n{kind.title()} '{name}' does not exist or not authorized.",
        errno=2043,
        sqlstate="02000",
    )


def _made_by(statement: Expr) -> exp.Table | None:
    """The table that a CREATE makes or a DROP takes away."""
    if isinstance(statement, exp.Create | exp.Drop) and statement.kind in ("TABLE", "VIEW"):
        target = next(iter(statement.args.get("tables") or ()), statement.this)
        target = target.this if isinstance(target, exp.Schema) else target
        return target if isinstance(target, exp.Table) else None
    return None


def _outermost_queries(statement: Expr) -> Iterator[exp.Query]:
    for query in statement.find_all(exp.Query):
        if query.find_ancestor(exp.Query) is None:
            yield query


def _scopes(query: exp.Query) -> list[Scope]:
    """The query and every query in it; none where sqlglot cannot tell what is in scope."""
    try:
        return traverse_scope(query)
    except OptimizeError:
        return []


def _check_scope(scope: Scope, catalogue: Catalogue) -> None:
    own = _own(scope, catalogue)
    named = {item.alias for item in scope.expression.expressions if isinstance(item, exp.Alias)}
    for column in scope.columns:
        table, name = column.table, column.name
        if table:
            if table not in own:
                if _in(table, own):
                    raise _no_column(column)
            elif _only_in_another_case(name, own[table]):
                raise _no_column(column)
        else:
            beside: list[Columns] = [UNKNOWN] if scope.lateral_sources else []
            visible = _together([*own.values(), list(named), *beside, *_outer(scope, catalogue)])
            if _only_in_another_case(name, visible):
                raise _no_column(column)


def _own(scope: Scope, catalogue: Catalogue) -> dict[str, Columns]:
    """Name -> columns of what a query selects from."""
    return {name: _columns_of(source, catalogue) for name, (_, source) in scope.selected_sources.items()}


def _check_own_columns(statement: Expr, catalogue: Catalogue) -> None:
    """Columns of the statement itself, outside any query in it: INSERT's list, UPDATE's SET, DELETE's WHERE, ALTER's."""
    if not isinstance(statement, exp.Insert | exp.Update | exp.Delete | exp.Alter):
        return
    tables = [table for table in statement.find_all(exp.Table) if table.find_ancestor(exp.Query) is None]
    visible = _together([catalogue.columns(table) for table in tables])
    listed = statement.this.expressions if isinstance(statement.this, exp.Schema) else []
    columns = [
        item
        for item in statement.find_all(exp.Column)
        if item.arg_key != "to" and item.find_ancestor(exp.Query, exp.ColumnDef) is None
    ]
    for item in (*listed, *columns):
        if _only_in_another_case(item.name, visible):
            raise _no_column(item)


def _columns_of(source: object, catalogue: Catalogue) -> Columns:
    if isinstance(source, exp.Table):
        return catalogue.columns(source) if isinstance(source.this, exp.Identifier) else UNKNOWN
    if not isinstance(source, Scope) or not isinstance(source.expression, exp.Query):
        return UNKNOWN
    query = source.expression
    listed = source.outer_columns
    if listed:
        return list(listed)
    found: list[str] = []
    for item in query.selects:
        if item.is_star:
            inside = source.set_operation_scopes[0] if source.set_operation_scopes else source
            every = _own(inside, catalogue)
            parts = [every.get(item.table)] if isinstance(item, exp.Column) else list(every.values())
            for part in parts:
                if part is UNKNOWN:
                    return UNKNOWN
                found += part
        else:
            found.append(item.alias_or_name)
    return found


def _outer(scope: Scope, catalogue: Catalogue) -> Iterator[Columns]:
    """What a correlated subquery sees of the queries around it."""
    around = scope.parent
    while around is not None:
        yield from _own(around, catalogue).values()
        around = around.parent


def _together(parts: Iterable[Columns]) -> Columns:
    found: list[str] = []
    for part in parts:
        if part is UNKNOWN:
            return UNKNOWN
        found += part
    return found


def _only_in_another_case(name: str, names: Columns) -> bool:
    return names is not UNKNOWN and name not in names and _in(name, names)


def _in(name: str, names: Iterable[str]) -> bool:
    return name.lower() in (other.lower() for other in names)


def _fold(node: Expr) -> Expr:
    if isinstance(node, exp.Identifier) and not node.quoted:
        node.set("this", node.name.upper())
    return node


def _shown(table: exp.Table) -> str:
    return ".".join(part.sql(dialect="snowflake") for part in table.parts)


def _no_object(table: exp.Table) -> ProgrammingError:
    return ProgrammingError(
        msg=f"SQL compilation error:\nObject '{_shown(table)}' does not exist or not authorized.",
        errno=2003,
        sqlstate="42S02",
    )


def _no_column(column: Expr) -> ProgrammingError:
    name = column.sql(dialect="snowflake")
    return ProgrammingError(
        msg=f"SQL compilation error: error line 1 at position 0\ninvalid identifier '{name}'",
        errno=904,
        sqlstate="42000",
    )


def _two_names(table: exp.Table, catalogue: Catalogue) -> ProgrammingError:
    there = next((".".join(key) for key in catalogue.alike(table)), "one of that name")
    return ProgrammingError(
        msg=f"the sandbox cannot keep {_shown(table)} beside {there}: their names differ in case alone",
        errno=2002,
        sqlstate="42710",
    )
