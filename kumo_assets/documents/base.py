"""What all stored documents share: how they are read and written, and how they write a time.

Reading a damaged document raises a DamagedDocument that names the object and the field. Where the documents are stored is
in `releases.store`.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    JsonValue,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)
from pydantic_core import to_jsonable_python

from kumo_assets.errors import DamagedDocument

SCHEMA_VERSION = 1
# A value that the writer chooses. What JSON has no type for (a Decimal, a date, NaN as null) is converted on the way in.
Json = Annotated[JsonValue, BeforeValidator(partial(to_jsonable_python, inf_nan_mode="null"))]
JsonObject = dict[str, Json]


class Record(BaseModel):
    """A frozen part of a document. Unknown fields are ignored: a newer writer must not stop an older reader."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Document(Record):
    """A stored JSON object of its own."""

    # Fields that a later version added. They are left out where they are empty, so that a document of which they say
    # nothing is written as it always was.
    added: ClassVar[frozenset[str]] = frozenset()

    schema_version: Literal[1] = SCHEMA_VERSION  # type: ignore[assignment]
    query: str

    @model_serializer(mode="wrap")
    def _without_empty_additions(self, fields: SerializerFunctionWrapHandler) -> dict[str, object]:
        return {name: value for name, value in fields(self).items() if value or name not in self.added}

    def to_json(self) -> bytes:
        """Stable, indented JSON, for people who look at the bucket."""
        return (json.dumps(self.model_dump(mode="json", by_alias=True), indent=2, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes, where: str) -> Self:
        """The document in `data`. DamagedDocument names `where` and the first field that is wrong."""
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            raise damaged(cls, where, first_fault(error)) from error


def damaged(kind: type[Document], where: str, fault: str) -> DamagedDocument:
    """The error for a document at the address `where`; `fault` names the field and what is wrong with it."""
    return DamagedDocument(
        f"read the {kind.__name__.lower()} document",
        to=where,
        found=fault,
        next="restore the object from bucket versioning, or build a new release",
    )


def first_fault(error: ValidationError, inside: str = "") -> str:
    """`field: what is wrong with it`, for the first field that does not fit; `inside` is the field it is part of."""
    first = error.errors()[0]
    path = ".".join(filter(None, [inside, *(str(part) for part in first["loc"])]))
    return f"{path or 'the document'}: {first['msg']}"


def utc_now() -> str:
    """The current time as every document writes it: ISO 8601, UTC, milliseconds, `Z`."""
    return utc_text(datetime.now(UTC))


def utc_text(moment: datetime) -> str:
    """A time as every document writes it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment_in(text: str) -> datetime | None:
    """The time that a text states. None when it states none, has no offset, or is one that nothing of ours was written at:
    a person may have written it, and the first and last years there are cannot be written in UTC."""
    try:
        found = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        return None
    return found if found.tzinfo is not None and 1970 < found.year < 9999 else None


def hours_since(text: str | None, now: datetime) -> float | None:
    """Hours since the time that a text states; None when it states none."""
    found = moment_in(text) if text else None
    return (now - found).total_seconds() / 3600 if found is not None else None
