"""The active pointer as a document: what it may hold, how its bytes are read and written.

Reading is lenient where a person with an editor would be (stale or absent fields) and strict where a mistake would
serve the wrong thing (another query, an unknown schema, no table). Where the bytes live is in `pointer_stores`; moving
the pointer by compare-and-set is `kumo_assets.releases`, on top of these types.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NoReturn, TypeVar

from kumo_serving.errors import PointerMalformed

SCHEMA_VERSION = 1
MAX_PREVIOUS = 10
MAX_BYTES = 64 * 1024
# Python's default limit for reading a whole number from text (`sys.set_int_max_str_digits`). It is checked here, so that
# every process refuses the same documents.
MAX_DIGITS = 4300
# The largest whole number that every JSON parser keeps exactly (RFC 8259, section 6). The next move adds one.
MAX_GENERATION = 2**53 - 2

# DynamoDB's own rule for a table name.
_TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}")
# A release id is <YYYYMMDD>-<first 8 hex of the root run id>. kumo_assets names tables <environment>-<query>-<id>[-aN].
RELEASE_ID = r"[0-9]{8}-[0-9a-f]{8}"
_RELEASE_IN_TABLE = re.compile(rf"-({RELEASE_ID})(?:-a[0-9]+)?")

T = TypeVar("T")


def release_of_table(table: str) -> str | None:
    """The release id in a table name made by kumo_assets. None for any other name, one with an impossible date included."""
    found = _RELEASE_IN_TABLE.search(table)
    return found[1] if found and found.end() == len(table) and partition_of_release(found[1]) else None


def partition_of_release(release: str) -> str:
    """`YYYY-MM-DD` of a release id. "" for any other text, one with an impossible date included."""
    if not re.fullmatch(RELEASE_ID, release):
        return ""
    try:
        return date.fromisoformat(f"{release[:4]}-{release[4:6]}-{release[6:8]}").isoformat()
    except ValueError:
        return ""


@dataclass(frozen=True)
class KeyAttribute:
    """The table's partition key: attribute name, and type `S` or `N`."""

    name: str = "e"
    type: str = "S"


@dataclass(frozen=True)
class Promoted:
    """When the pointer came to name this table, by whom, and in which Dagster run ("" for a person)."""

    at: str = ""
    by: str = ""
    run_id: str = ""


@dataclass(frozen=True)
class Previous:
    """A release that was active before, with what a reader needs to fall back to it."""

    release_id: str
    partition: str
    table: str
    fallback: str | None = None


@dataclass(frozen=True)
class Staged:
    """A release that waits for a person's approval: everything a reader needs to ask it beside the active one."""

    release_id: str
    partition: str
    table: str
    region: str = ""
    key: KeyAttribute = field(default_factory=KeyAttribute)
    item_format: str = "ranking/1"
    fallback: str | None = None

    @property
    def served_release_id(self) -> str:
        """The release of `table` by its name, "" for a table of another name: a person may have changed `table` alone."""
        return release_of_table(self.table) or ""

    @property
    def served_partition(self) -> str:
        """The partition (`YYYY-MM-DD`) of `table`."""
        served = self.served_release_id
        return (self.partition if served == self.release_id else "") or partition_of_release(served)


@dataclass(frozen=True)
class Hold:
    """Automatic promotion is stopped. Readers take no notice of it."""

    by: str = ""
    at: str = ""
    reason: str = ""
    from_release: str = ""
    to_release: str = ""


@dataclass(frozen=True)
class Forced:
    """This release was promoted past a failed gate; it is never a target of rollback by default."""

    by: str = ""
    at: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Pointer:
    """The active pointer of one query. Only `query` and `table` are needed to read; the rest has a neutral default.

    `release_id`, `partition` and `fallback` are as written, and are stale when a person changed `table` alone: what is
    really served is in the `served_*` properties. `more_holds` are the holds that exist beside `hold`, oldest first.
    `staged` is a release that waits for a person's approval; nobody is served from it unless they ask for it.
    """

    query: str
    table: str
    environment: str = ""
    generation: int = 0
    release_id: str = ""
    partition: str = ""
    region: str = ""
    key: KeyAttribute = field(default_factory=KeyAttribute)
    item_format: str = "ranking/1"
    fallback: str | None = None
    releases: str = ""
    promoted: Promoted = field(default_factory=Promoted)
    previous: tuple[Previous, ...] = ()
    staged: Staged | None = None
    hold: Hold | None = None
    more_holds: tuple[Hold, ...] = ()
    forced: Forced | None = None

    def replace(self, **changes: Any) -> Pointer:
        """A copy with some fields changed (`dataclasses.replace`)."""
        return dataclasses.replace(self, **changes)

    @property
    def edited(self) -> bool:
        """True when `table` is not that of `release_id`: somebody changed the table by hand (rule 9)."""
        return release_of_table(self.table) != self.release_id

    @property
    def served_release_id(self) -> str:
        """The release of `table`: by its name, else by its entry in `previous`, else "" (never a stale guess)."""
        named = release_of_table(self.table)
        if named is not None:
            return named
        entry = self._entry_of_table()
        return entry.release_id if entry is not None else ""

    @property
    def served_partition(self) -> str:
        """The partition (`YYYY-MM-DD`) of what is served."""
        served = self.served_release_id
        return (self.partition if served == self.release_id else "") or partition_of_release(served)

    @property
    def served_fallback(self) -> str | None:
        """The S3 URI of the fallback list of what is served; None when there is none."""
        if not self.edited:
            return self.fallback
        entry = self._entry_of_table()
        return entry.fallback if entry is not None and entry.fallback else self.fallback

    def _entry_of_table(self) -> Previous | None:
        return next((entry for entry in self.previous if entry.table == self.table), None)


def parse_pointer(data: bytes, query: str, environment: str | None = None) -> Pointer:
    """The pointer in `data`, which must be `query`'s (and `environment`'s, when given and when the document says).

    Unknown fields are ignored, so that a newer writer does not stop an older reader. Raises PointerMalformed, naming
    the field, for bytes that are no JSON object, an unknown `schema_version`, another query or environment, a missing
    or impossible `table`, or a field of the wrong type. An absent `schema_version` is read as 1.
    """
    fields = _Fields(_object(data, query), query)
    version = fields.get("schema_version", int, SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        fields.refuse("schema_version", f"is {_shown(version)}, and this reader knows {SCHEMA_VERSION}")
    named = fields.get("query", str)
    if named != query:
        fields.refuse("query", f"is {named!r}: this is another query's pointer")
    named_environment = fields.get("environment", str, "")
    if environment and named_environment and named_environment != environment:
        fields.refuse("environment", f"is {named_environment!r}, and {environment!r} was asked for")
    table = fields.get("table", str)
    if not _TABLE.fullmatch(table):
        fields.refuse("table", f"is {table[:80]!r}, which is no DynamoDB table name")
    generation = fields.get("generation", int, 0)
    if generation < 0:
        fields.refuse("generation", f"is {_shown(generation)}, and it is never negative")
    if generation > MAX_GENERATION:
        fields.refuse("generation", f"is {_shown(generation)}, and it is never more than {MAX_GENERATION}")
    return Pointer(
        query=named,
        table=table,
        environment=named_environment,
        generation=generation,
        release_id=fields.get("release_id", str, ""),
        partition=fields.get("partition", str, ""),
        region=fields.get("region", str, ""),
        key=_key(fields),
        item_format=fields.get("item_format", str, "ranking/1"),
        fallback=fields.get("fallback", str, "") or None,
        releases=fields.get("releases", str, ""),
        promoted=_note(fields, "promoted", Promoted) or Promoted(),
        previous=_previous(fields),
        staged=_staged(fields),
        hold=_note(fields, "hold", Hold),
        more_holds=_notes(fields, "more_holds", Hold),
        forced=_note(fields, "forced", Forced),
    )


def dump_pointer(pointer: Pointer) -> bytes:
    """Stable, indented JSON (people edit it), ending in a newline. The inverse of `parse_pointer`. `staged` and
    `more_holds` are left out when there are none."""
    fields = dataclasses.asdict(pointer)
    fields["previous"] = fields["previous"][:MAX_PREVIOUS]
    order = (name for name in _ORDER if fields[name] or name not in _LEFT_OUT)
    document = {"schema_version": SCHEMA_VERSION} | {name: fields[name] for name in order}
    # Half a surrogate pair has no UTF-8. It is written all the same, and whoever reads it says that it is none.
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass")


_ORDER = (
    *("query", "environment", "generation", "release_id", "partition", "table", "region", "key", "item_format"),
    *("fallback", "releases", "promoted", "previous", "staged", "hold", "more_holds", "forced"),
)
_LEFT_OUT = ("staged", "more_holds")


def _refuse(query: str, found: str) -> NoReturn:
    raise PointerMalformed(
        "read the active pointer",
        to=f"of {query}",
        found=found,
        next="correct the document, or roll back with `kumo-assets rollback`; docs/contract.md shows a valid one",
    )


def _object(data: bytes, query: str) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        document = dict(pairs)
        if len(document) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            # JSON parsers silently keep the last: an edit made above the old line would do nothing.
            _refuse(query, f"field {twice!r} stands twice")
        return document

    def whole(digits: str) -> int:
        if len(digits.removeprefix("-")) > MAX_DIGITS:
            _refuse(query, f"a number in it has more than {MAX_DIGITS} digits")
        return int(digits)

    if len(data) > MAX_BYTES:
        _refuse(query, f"it has {len(data)} bytes, and a pointer has at most {MAX_BYTES}")
    try:
        document = json.loads(data.decode("utf-8-sig"), object_pairs_hook=unique, parse_int=whole)
    # ValueError: bytes that are not UTF-8, text that is not JSON, or a service that lowered Python's limit of digits.
    except (ValueError, RecursionError) as error:
        _refuse(query, f"it is not JSON ({error})")
    if not isinstance(document, dict):
        _refuse(query, f"it is a JSON {type(document).__name__}, not an object")
    return document


def _shown(number: int) -> str:
    """For a message: whole when it is short."""
    text = str(number)
    return text if len(text) <= 40 else f"{text[:20]}... ({len(text)} digits)"


class _Fields:
    """Typed access to a parsed object; null counts as absent, a wrong type refuses the document."""

    def __init__(self, document: dict[str, Any], query: str, path: str = "") -> None:
        self.document = document
        self.query = query
        self.path = path

    def refuse(self, name: str, found: str) -> NoReturn:
        _refuse(self.query, f"field '{self.path}{name}' {found}")

    def get(self, name: str, kind: type[T], default: T | None = None) -> T:
        value = self.document.get(name)
        if value is None:
            if default is None:
                self.refuse(name, "is missing")
            return default
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.refuse(name, f"is a {type(value).__name__}, not a {kind.__name__}")
        return value


def _key(fields: _Fields) -> KeyAttribute:
    inner = _Fields(fields.get("key", dict, {}), fields.query, "key.")
    key = KeyAttribute(name=inner.get("name", str, "e"), type=inner.get("type", str, "S"))
    if key.type not in ("S", "N"):
        inner.refuse("type", f"is {key.type!r}, not 'S' or 'N'")
    if not key.name:
        inner.refuse("name", "is empty")
    return key


def _previous(fields: _Fields) -> tuple[Previous, ...]:
    entries = []
    for position, value in enumerate(fields.get("previous", list, [])):
        if not isinstance(value, dict):
            fields.refuse(f"previous[{position}]", f"is a {type(value).__name__}, not an object")
        inner = _Fields(value, fields.query, f"previous[{position}].")
        table = inner.get("table", str)
        release = inner.get("release_id", str, "") or release_of_table(table) or ""
        partition = inner.get("partition", str, "") or partition_of_release(release)
        entries.append(Previous(release, partition, table, inner.get("fallback", str, "") or None))
    return tuple(entries)


def _staged(fields: _Fields) -> Staged | None:
    """The staged release; None when there is none, and for one that is not whole. It never refuses the document: what is
    live must not depend on what waits, and readers that do not know the field take the document too."""
    value = fields.document.get("staged")
    if not isinstance(value, dict):
        return None
    inner = _Fields(value, fields.query, "staged.")
    try:
        table = inner.get("table", str)
        release = inner.get("release_id", str, "")
        staged = Staged(
            release_id=release,
            partition=inner.get("partition", str, "") or partition_of_release(release),
            table=table,
            region=inner.get("region", str, ""),
            key=_key(inner),
            item_format=inner.get("item_format", str, "ranking/1"),
            fallback=inner.get("fallback", str, "") or None,
        )
    except PointerMalformed:
        return None
    return staged if _TABLE.fullmatch(table) else None


def _note(fields: _Fields, name: str, kind: Callable[..., T]) -> T | None:
    """A hold, force or promotion note. What a person may have typed (`"hold": true`) still counts as one.

    A note never stops a reader: it is for the side that writes, and a hold must not be lost for being badly written.
    """
    return _note_in(fields.document.get(name), kind)


def _notes(fields: _Fields, name: str, kind: Callable[..., T]) -> tuple[T, ...]:
    """A list of notes, as leniently: what is no list counts as its one item."""
    value = fields.document.get(name)
    found = (_note_in(item, kind) for item in (value if isinstance(value, list) else [value]))
    return tuple(note for note in found if note is not None)


def _note_in(value: object, kind: Callable[..., T]) -> T | None:
    if value is None or value is False:
        return None
    if not isinstance(value, dict):
        return kind(**({"reason": _text(value)} if kind is not Promoted else {"at": _text(value)}))
    known = {item.name for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return kind(**{key: _text(text) for key, text in value.items() if key in known and text is not None})


def _text(value: object) -> str:
    """Text that can be printed and written again: half a surrogate pair, which JSON allows as an escape, cannot."""
    return str(value).encode("utf-8", "replace").decode()
