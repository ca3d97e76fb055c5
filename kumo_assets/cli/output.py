"""What every command prints: one JSON document on stdout with --json, else words for a person; all else to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kumo_assets.config.index import DefinitionsIndex
from kumo_assets.config.project import defs_folder
from kumo_assets.errors import ConfigError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

    from kumo_assets.releases.cache import ReleaseCache
    from kumo_assets.releases.context import ReleaseContext

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout; logs and progress go to stderr.")]
Query = Annotated[str, typer.Argument(help="Name of a predictive query: its folder under defs/.", metavar="QUERY")]
MaybeQuery = Annotated[
    str | None, typer.Argument(help="Name of a predictive query; not needed with --pointer.", metavar="[QUERY]")
]
PointerUri = Annotated[
    str | None,
    typer.Option(
        "--pointer",
        help="The pointer's address, s3://... or zk://...: then no definition is read, and none need exist.",
        metavar="URI",
    ),
]
By = Annotated[str, typer.Option(help="Who asks, for the ledger.", metavar="NAME", show_default="you@this-machine")]
Reason = Annotated[str, typer.Option(help="Why, for the ledger and whoever looks next.", metavar="TEXT")]


def show(as_json: bool, document: Any, words: Callable[[], None]) -> None:
    """Print the document, or call `words` to print for a person."""
    if as_json:
        print(json.dumps(document, indent=2, ensure_ascii=False, default=str))
    else:
        words()


def note(text: str) -> None:
    """A line for a person, on stderr."""
    print(text, file=sys.stderr, flush=True)


def table(columns: list[str], rows: list[list[str]]) -> None:
    """Columns of text, aligned; plain enough to pipe."""
    from rich.console import Console
    from rich.table import Table

    grid = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        grid.add_row(*row)
    Console(highlight=False, width=None if sys.stdout.isatty() else 200).print(grid)


def definitions() -> DefinitionsIndex:
    """An index of the project's definitions, for one command. ConfigError when there is no project."""
    return DefinitionsIndex(defs_folder())


def end_of_several(asked: int, failed: Sequence[Exception]) -> None:
    """How a command that covers several queries ends, once it has printed what it could: 0 when every query was read, 2
    when none was and each for its configuration, 1 otherwise. A script that looks at the status alone must not take a
    state that nobody could read for a good one."""
    if failed:
        none_configured = len(failed) == asked and all(isinstance(error, ConfigError) for error in failed)
        raise typer.Exit(ConfigError.exit_status if none_configured else 1)


def context_of(
    query: str | None,
    pointer: str | None = None,
    index: DefinitionsIndex | None = None,
    cache: ReleaseCache | None = None,
    s3: S3Client | None = None,
    dynamodb: DynamoDBClient | None = None,
) -> ReleaseContext:
    """Everything the operations work through: from the environment and the query's own file, or from the address of its
    pointer alone. ConfigError when neither is given, or both and they disagree. A command that covers several queries
    gives its `index`, one `cache`, and clients that all of its contexts share."""
    from kumo_assets.config.environment import Environment
    from kumo_assets.releases.context import ReleaseContext

    if pointer is None:
        if query is None:
            raise ConfigError(
                "find the query", found="none is named", next="give QUERY, or --pointer URI (status shows each one's)"
            )
        definition = (index or definitions()).query(query)
        return ReleaseContext.from_environment(definition, Environment.from_variables(), s3, dynamodb, cache=cache)
    ctx = ReleaseContext.from_pointer_uri(pointer)
    if query is not None and query != ctx.query:
        raise ConfigError(
            "open the pointer of", to=query, found=f"{pointer} is that of {ctx.query}", next="correct one of the two"
        )
    return ctx
