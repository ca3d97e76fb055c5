"""How long the texts of a pointer document may be, so that it stays below the 64 kB that a reader takes.

What a person gives now is checked before anything is written. What an existing document says, which a person may have
written, is shortened when it is carried on: a text that is too long must not stop a rollback. Pure; the document as a
whole is in `document`.
"""

from __future__ import annotations

import dataclasses
import json
from typing import TypeVar

from kumo_serving.pointer import MAX_PREVIOUS, Forced, Hold, Pointer, Previous, Promoted

from kumo_assets.errors import ConfigError

# In bytes of JSON. 32 unrecorded moves and the holds of 16 people fit into 64 kB with reasons of usual length.
MOST_REASON_BYTES = 1_000
MOST_AUTHOR_BYTES = 200
MOST_HOLDS = 16
_CUT = "..."

N = TypeVar("N", Hold, Forced, Promoted, Previous)


def check_texts(doing: str, to: str, *, by: str, reason: str | None = None) -> None:
    """Raise ConfigError when the author is missing, or the reason where one is wanted (None: none is), or either text is
    too long or no text that can be written."""
    if reason is not None and not reason.strip():
        raise ConfigError(doing, to=to, found="no reason", next="give --reason TEXT, for whoever comes after you")
    if not by.strip():
        raise ConfigError(doing, to=to, found="no author", next="give --by NAME, for whoever comes after you")
    for option, text, most in (("--by", by, MOST_AUTHOR_BYTES), ("--reason", reason or "", MOST_REASON_BYTES)):
        if not _is_text(text):
            raise ConfigError(doing, to=to, found=f"{option} is not valid UTF-8", next=f"write {option} as UTF-8 text")
        size = bytes_of(text)
        if size > most:
            raise ConfigError(
                doing,
                to=to,
                found=f"{option} has {size:,} bytes",
                next=f"write at most {most:,}, and put the rest where a link leads",
            )


def bytes_of(text: str) -> int:
    """The size of a text in a stored document, without its quotes."""
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass")) - 2


def within_limits(pointer: Pointer) -> Pointer:
    """The same pointer with every note no longer than a person may write one today, and at most 10 in `previous`."""
    return pointer.replace(
        promoted=_shortened(pointer.promoted),
        previous=tuple(item for item in pointer.previous if item == _shortened(item))[:MAX_PREVIOUS],
        hold=_shortened(pointer.hold) if pointer.hold is not None else None,
        more_holds=tuple(_shortened(hold) for hold in pointer.more_holds),
        forced=_shortened(pointer.forced) if pointer.forced is not None else None,
    )


def shortened(text: str, most: int) -> str:
    """At most `most` bytes of a text, its end cut off where it has more."""
    whole = text if _is_text(text) else text.encode("utf-8", "replace").decode()
    if bytes_of(whole) <= most:
        return whole
    # No character takes less than a byte.
    whole = whole[:most]
    while bytes_of(whole) > most - len(_CUT):
        whole = whole[:-1]
    return whole + _CUT


def _shortened(note: N) -> N:
    """The note with each of its texts cut. A fallback's address in `previous` has the length of a reason."""
    long = {"reason", "fallback", "table"}
    texts = {
        name: shortened(text, MOST_REASON_BYTES if name in long else MOST_AUTHOR_BYTES)
        for name, text in dataclasses.asdict(note).items()
        if isinstance(text, str)
    }
    return dataclasses.replace(note, **texts)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
