"""What a reply makes of the keys it was asked for: answers, misses, errors; and what becomes of keys nothing answered.

Pure, over `wire`'s reading of bytes. What is tried next, and when, is `core`'s.
"""

from __future__ import annotations

from itertools import repeat
from typing import Protocol

from kumo_serving.answers import Answer, FallbackAnswer, Miss, Result
from kumo_serving.errors import ItemMalformed, ReadError, TableGone, Throttled, TimedOut, Unavailable
from kumo_serving.http1 import Response
from kumo_serving.items import decode, decode_batch
from kumo_serving.state import State, Target
from kumo_serving.wire import Problem

Outcome = Result | ReadError

# Of a key that an answer of as many items as were asked for is silent on: not a miss, the answer is wrong.
UNANSWERED = Unavailable(
    "look up", found="DynamoDB's answer has another key twice, or one that was not asked for", next="try again"
)


class View(Protocol):
    """What a lookup sees of the reader it belongs to."""

    def state(self) -> State:
        """The newest state. Raises PointerError when there never was one."""

    def age(self) -> float:
        """Seconds since the pointer was last seen to be current."""

    def is_gone(self, table: str) -> bool:
        """True when this table was found gone a moment ago: ask the next one at once."""

    def mark_gone(self, table: str) -> None:
        """This table was just found gone."""

    def retried(self, reason: str) -> None:
        """For the metrics: an attempt failed and is made again."""


def absorb(
    view: View,
    target: Target,
    chunk: list[str],
    reply: Response | Problem,
    outcomes: dict[str, Outcome],
    *,
    single: bool,
) -> tuple[list[str], Problem | None]:
    """Put what a reply answers into `outcomes`; return the keys it did not answer, and why."""
    if isinstance(reply, Problem):
        return chunk, reply
    source, age = target.source, view.age()
    if single:
        text = target.wire.read_get(reply)
        if isinstance(text, Problem):
            return chunk, text
        key = chunk[0]
        if text is None:
            outcomes[key] = Miss(key, source, age)
            return [], None
        outcomes[key] = answer_of(target, key, age, text)
        return [], None
    batch = target.wire.read_batch(reply)
    if isinstance(batch, Problem):
        return chunk, batch
    found, texts, unprocessed = batch
    decoded = decode_batch(texts, target.item_format)
    if decoded is not None:  # a hundred answers without a step of Python for each
        outcomes.update(zip(found, map(Answer, found, repeat(source), repeat(age), decoded), strict=False))
    else:  # one bad item never spoils its neighbours
        outcomes.update((key, answer_of(target, key, age, text)) for key, text in zip(found, texts, strict=True))
    if len(found) != len(chunk):
        known = {*found, *unprocessed}
        outcomes.update((key, Miss(key, source, age)) for key in chunk if key not in known)
    return unprocessed, Problem("throttled", "DynamoDB left keys unprocessed") if unprocessed else None


def answer_of(target: Target, key: str, age: float, text: str) -> Answer | ItemMalformed:
    """An item's outcome: its predictions, or that they are not of the table's format."""
    try:
        return Answer(key, target.source, age, decode(text, target.item_format))
    except ItemMalformed as error:
        return error


def give_up(
    view: View, state: State, target: Target | None, failure: Problem, pending: list[str], outcomes: dict[str, Outcome]
) -> None:
    """The outcome of keys that nothing answered: the fallback list when every table is gone, else an error."""
    if target is None and state.fallback is not None:
        fallback, age = state.fallback, view.age()
        for key in pending:
            outcomes[key] = FallbackAnswer(key, fallback.source, age, fallback.predictions, failure.text)
        return
    error = _ERRORS.get(failure.kind, Unavailable)
    table = (target or state.active).source.table
    for key in pending:
        outcomes[key] = error("look up", to=f"{key!r:.80} in {table}", found=failure.text, next=_NEXT[failure.kind])


_ERRORS: dict[str, type[ReadError]] = {"throttled": Throttled, "timeout": TimedOut, "gone": TableGone}
_NEXT = {
    "gone": "see `kumo-assets status`; roll back or promote a release whose table exists",
    "throttled": "give the table more read throughput, or the call a longer budget",
    "timeout": "give the call a longer budget, or look for what is slow between this service and DynamoDB",
    "stale": "try again",
    "unavailable": "try again; if it stays, check the network and this service's AWS credentials",
    "closed": "make a new reader",
    "refused": "check this service's dynamodb:GetItem and BatchGetItem permissions and the pointer's key",
}
