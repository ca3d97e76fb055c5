"""docs/cost.md from prices and assumptions: what a month costs, line by line, each by its formula.

`python -m benchmarks.cost` writes the page. Nothing is measured here; numbers of requests come from docs/benchmarks.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import grid

PAGE = Path(__file__).parents[1] / "docs" / "cost.md"
MONTH_DAYS, MONTH_SECONDS = 30, 30 * 86_400
GB = 1e9


@dataclass(frozen=True)
class Price:
    """A list price in US dollars, and where it is from: `looked up`, or an assumption that the reader replaces."""

    dollars: float
    unit: str
    source: str


@dataclass(frozen=True)
class Assumption:
    """A number about the reader's own house, to be replaced."""

    value: float
    meaning: str


PRICES = {
    "import": Price(0.15, "GB of uncompressed source, DynamoDB import from S3", "assumption"),
    "table": Price(0.25, "GB-month of a DynamoDB table (Standard), the free 25 GB not counted", "assumption"),
    "read": Price(0.125, "million read request units, on demand", "looked up: two guides of 2025"),
    "s3_put": Price(5.00, "million PUT and LIST requests, S3 Standard", "looked up: a guide's example"),
    "s3_get": Price(0.40, "million GET requests, S3 Standard", "assumption"),
    "s3_storage": Price(0.023, "GB-month, S3 Standard", "assumption"),
    "credit": Price(
        3.00, "Snowflake credit, Enterprise (Standard $2, Business Critical $4)", "looked up: a guide of 2026"
    ),
    "warehouse_storage": Price(23.00, "TB-month in Snowflake, compressed", "assumption"),
}
ASSUMED = {
    "source_bytes": Assumption(200, "bytes of one user's line in the export, uncompressed: a list of five"),
    "stored_bytes": Assumption(300, "bytes of one user's item in a table: the line, and DynamoDB's 100 of overhead"),
    "export_bytes": Assumption(80, "bytes of the same line in gzip, on S3"),
    "warehouse_bytes": Assumption(250, "bytes a user in Snowflake's two tables of a release, compressed"),
    "tables": Assumption(9, "releases kept: 7 (`retention.keep`), the active and the one before it"),
    "lookups": Assumption(
        2, "lookups of each user a day, in each query; eventually consistent, half a unit up to 4 KB"
    ),
    "credits_build": Assumption(0.05, "credits of one build whatever its size: an X-Small warehouse for three minutes"),
    "credits_million": Assumption(0.01, "credits more for each million users: proof, gates, lists, unload"),
    "processes": Assumption(20, "processes that read; each reads every query's pointer"),
    "gets_build": Assumption(110, "GET requests of one build and its promotion"),
    "puts_build": Assumption(50, "PUT and LIST requests of the same"),
    "tick_seconds": Assumption(10, "seconds between two ticks of the promotion sensor: one LIST for all queries"),
    "look_seconds": Assumption(60, "seconds between two looks at a quiet query: one GET and one LIST"),
    "strange_seconds": Assumption(300, "seconds between two looks for stray objects of a query: one GET and two LISTs"),
    "poll_one": Assumption(1, "seconds between two reads of a pointer in a process that reads one query from S3"),
    "poll_several": Assumption(5, "the same in a process that reads several"),
}
USERS, QUERIES = (1_000_000, 10_000_000, 50_000_000), (1, 10, 100)


def dollars(name: str) -> float:
    return PRICES[name].dollars


def assumed(name: str) -> float:
    return ASSUMED[name].value


def poll_seconds(queries: int) -> float:
    return assumed("poll_one") if queries == 1 else assumed("poll_several")


@dataclass(frozen=True)
class Line:
    """One line of the bill: its formula in words, and the same as code, from (users, queries) to dollars a month."""

    name: str
    formula: str
    cost: Callable[[int, int], float]


LINES = (
    Line(
        "import",
        "users x queries x 30 days x source bytes x price of an import",
        lambda users, queries: users * queries * MONTH_DAYS * assumed("source_bytes") / GB * dollars("import"),
    ),
    Line(
        "tables kept",
        "users x queries x tables x stored bytes x price of a table",
        lambda users, queries: users * queries * assumed("tables") * assumed("stored_bytes") / GB * dollars("table"),
    ),
    Line(
        "reads",
        "users x queries x 30 days x lookups x half a unit x price of a read",
        lambda users, queries: users * queries * MONTH_DAYS * assumed("lookups") * 0.5 / 1e6 * dollars("read"),
    ),
    Line(
        "Snowflake, running",
        "queries x 30 days x (credits a build + millions of users x credits a million) x price of a credit",
        lambda users, queries: (
            queries
            * MONTH_DAYS
            * (assumed("credits_build") + users / 1e6 * assumed("credits_million"))
            * dollars("credit")
        ),
    ),
    Line(
        "Snowflake, tables kept",
        "users x queries x tables x warehouse bytes x price of Snowflake's storage",
        lambda users, queries: (
            users * queries * assumed("tables") * assumed("warehouse_bytes") / 1e12 * dollars("warehouse_storage")
        ),
    ),
    Line(
        "S3, exports kept",
        "users x queries x tables x export bytes x price of S3's storage",
        lambda users, queries: (
            users * queries * assumed("tables") * assumed("export_bytes") / GB * dollars("s3_storage")
        ),
    ),
    Line(
        "S3, builds",
        "queries x 30 days x (GETs x their price + PUTs and LISTs x theirs)",
        lambda users, queries: (
            queries
            * MONTH_DAYS
            * (assumed("gets_build") * dollars("s3_get") + assumed("puts_build") * dollars("s3_put"))
            / 1e6
        ),
    ),
    Line(
        "S3, the promotion sensor",
        "a month's ticks x a LIST + queries x (a month's looks x (a GET + a LIST) + those for stray objects x (a GET + two "
        "LISTs)); a query that is held, or has an alarm, is looked at at each tick",
        lambda users, queries: (
            (
                MONTH_SECONDS / assumed("tick_seconds") * dollars("s3_put")
                + queries * MONTH_SECONDS / assumed("look_seconds") * (dollars("s3_get") + dollars("s3_put"))
                + queries * MONTH_SECONDS / assumed("strange_seconds") * (dollars("s3_get") + 2 * dollars("s3_put"))
            )
            / 1e6
        ),
    ),
    Line(
        "S3, readers' polling",
        "processes x queries x a month's reads x price of a GET",
        lambda users, queries: (
            assumed("processes") * queries * MONTH_SECONDS / poll_seconds(queries) * dollars("s3_get") / 1e6
        ),
    ),
)


def month(users: int, queries: int) -> dict[str, float]:
    """Line -> dollars a month, for daily builds of all users in each query."""
    return {line.name: line.cost(users, queries) for line in LINES}


def page() -> str:
    """docs/cost.md."""
    prices = [[name, f"${price.dollars:g}", price.unit, price.source] for name, price in PRICES.items()]
    numbers = [[name.replace("_", " "), f"{one.value:g}", one.meaning] for name, one in ASSUMED.items()]
    parts = [
        HEAD,
        grid(["price", "US dollars", "for a", "source"], prices),
        NUMBERS,
        grid(["number", "", "meaning"], numbers),
    ]
    parts += [FORMULAS, grid(["line", "formula"], [[line.name, line.formula] for line in LINES])]
    for queries in QUERIES:
        months = {users: month(users, queries) for users in USERS}
        rows = [[line.name, *(f"{months[users][line.name]:,.2f}" for users in USERS)] for line in LINES]
        rows.append(["**all**", *(f"**{sum(months[users].values()):,.2f}**" for users in USERS)])
        parts.append(f"## {queries} {'query' if queries == 1 else 'queries'}, dollars a month")
        parts.append(grid(["line", *(f"{users // 10**6} million users" for users in USERS)], rows))
    return "\n\n".join([*parts, NOTES]) + "\n"


HEAD = """# What a month costs

Daily builds of every user in every query. AWS prices are list prices of us-east-1, Snowflake's of AWS US East, as of
December 2026, without free tiers and discounts. A price marked *assumption* could not be looked up where this page was
written: replace it by that of your contract. Written by `python -m benchmarks.cost`; change numbers there."""
NUMBERS = "Numbers about your house, to be replaced too:"
FORMULAS = "## Formulas"
NOTES = """## What follows from it

- Reads, imports and tables grow with users x queries; the sensor and the polling with queries alone. With one query of a
  million users most of the bill is polling and Snowflake's minutes; with many users it is reads, tables and imports.
- Fewer tables: `retention.keep`. Each table kept costs a ninth of *tables kept*, also when nobody reads it.
- Fewer polls: `refresh_seconds`, or a pointer in ZooKeeper, whose watch costs nothing. A process that reads one query polls
  each second; one that reads several, each 5 s (packages/kumo_serving/README.md).
- Warm throughput (`table.reads_per_second`) has a price for each unit once, when it is raised on a new table: a month has
  thirty new tables. Replicas cost their region's storage, and a replicated write for each item. Neither is counted here.
- Kumo's own price is in your contract. It is for each prediction job; an adopted job costs nothing again.
- Encryption with a customer's KMS key adds requests to KMS: at most one for each object read or written without a bucket
  key, and one each five minutes for each caller of a table."""


if __name__ == "__main__":
    PAGE.write_text(page())
