"""One lookup from start to end, without I/O: what to send, how long to wait, what to try next.

A lookup is a generator, which the sync and the async reader drive alike (`reader.drive` says how). It holds the retry
policy, the time budget and the chain when a table is gone: refresh once, the new table, the previous ones the pointer
names, the fallback list. Of a `get` the readers make the first attempt without it (`ask`). What a reply means is in
`outcomes`, its bytes are `wire`'s, and where the pointer comes from is `refresh`'s.
"""

from __future__ import annotations

import random
import time
from collections.abc import Generator, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from kumo_serving.answers import Miss
from kumo_serving.endpoints import Endpoint
from kumo_serving.errors import Unavailable
from kumo_serving.http1 import Response
from kumo_serving.outcomes import UNANSWERED, Outcome, View, absorb, answer_of, give_up
from kumo_serving.state import State, Target
from kumo_serving.wire import BATCH, Problem, canonical, plain_keys, shown

# An attempt gets this share of what is left of the budget, so that a lost packet leaves time for a second one.
ATTEMPT_SHARE = 0.6
# Below this there is no second attempt worth making: the last one gets everything that is left.
LAST_ATTEMPT_SECONDS = 0.010
LEAST_SECONDS = 0.001
# The longest budget of one call. A longer one, or an infinite one, is cut to this: sockets and locks take no infinity.
MOST_SECONDS = 3600.0
# First pause after a throttle or a 5xx; doubled each time, with full jitter.
PAUSE_SECONDS = 0.004


class Exchange(NamedTuple):
    """Send these requests and give back a list with, for each, its Response or the Problem that prevented one."""

    endpoint: Endpoint
    requests: list[bytes]
    until: float


class Pause(NamedTuple):
    """Sleep."""

    seconds: float


class Refresh(NamedTuple):
    """Have the pointer read again in the background, and wait for that until `until`, at most."""

    until: float


_NOTHING_SENT = Problem("timeout", "the budget was spent before anything was sent")
_FOUND_GONE = Problem("gone", "it was found gone a moment ago")

Step = Exchange | Pause | Refresh
Reply = list[Response | Problem] | None


def deadline(started: float, budget_seconds: float) -> float:
    """When a call ends, on the monotonic clock. Raises ValueError for NaN."""
    if budget_seconds <= MOST_SECONDS:
        return started + budget_seconds
    if budget_seconds != budget_seconds:
        raise ValueError("budget_seconds is not a number (NaN)")
    return started + MOST_SECONDS


class Ask(msgspec.Struct, gc=False):
    """The first attempt of one lookup: `request` goes to `target` and may take until `until`."""

    state: State
    target: Target
    keys: list[str]
    request: bytes
    until: float
    # Of a batch, the outcome of each entity. Until an answer is there, it is that of one that no answer spoke of.
    outcomes: dict[Any, Outcome] = {}


def _share(left: float) -> float:
    """Seconds that an attempt gets of what is left of the budget."""
    return left if left < LAST_ATTEMPT_SECONDS else left * ATTEMPT_SHARE


def ask(view: View, entity: str | int, deadline: float) -> Ask | Outcome:
    """What one entity's lookup sends first, or its outcome where nothing is to be sent.

    Nearly every lookup ends with its first attempt. A reader makes that one by itself (`ask`, then `answer`), because a
    generator and its steps would cost as much as the signature; `rest` goes on where the first attempt settled nothing.
    """
    state = view.state()
    active = state.active
    key = canonical(entity, active.key)
    if key is None:
        return Miss(shown(entity), active.source, view.age())
    target = active if not view.is_gone(active.source.table) else _next_target(view, state, set())
    now = time.monotonic()
    left = deadline - now
    if target is None or left < LEAST_SECONDS:
        return _outcome_of_none(view, state, target, key)
    try:
        request = target.wire.get(key)
    except Unavailable as error:
        return error
    return Ask(state, target, [key], request, now + _share(left))


def answer(view: View, asked: Ask, reply: Response | Problem) -> Outcome | None:
    """The outcome when the reply settles it; None when `rest` has to go on."""
    if isinstance(reply, Problem):
        return None
    target = asked.target
    text = target.wire.read_get(reply)
    if text is None:
        return Miss(asked.keys[0], target.source, view.age())
    return None if isinstance(text, Problem) else answer_of(target, asked.keys[0], view.age(), text)


def rest(view: View, asked: Ask, reply: Response | Problem, deadline: float) -> Generator[Step, Reply, Outcome]:
    """What follows a first attempt that settled nothing: retries, other tables; returns the outcome."""
    outcomes: dict[str, Outcome] = {}
    yield from _lookup(view, asked.state, asked.keys, deadline, outcomes, single=True, first=(asked.target, [reply]))
    return outcomes[asked.keys[0]]


def get(view: View, entity: str | int, deadline: float) -> Generator[Step, Reply, Outcome]:
    """One entity by GetItem, from start to end; returns its outcome. `deadline` is on the monotonic clock."""
    asked = ask(view, entity, deadline)
    if not isinstance(asked, Ask):
        return asked
    (reply,) = (yield Exchange(asked.target.endpoint, [asked.request], asked.until)) or [_NOTHING_SENT]
    outcome = answer(view, asked, reply)
    if outcome is None:
        outcome = yield from rest(view, asked, reply, deadline)
    return outcome


def ask_many(view: View, entities: Sequence[str | int], deadline: float) -> Ask | None:
    """What a batch sends first, as `ask`. None where that is not one request of the entities as they are."""
    state = view.state()
    target = state.active
    plain: dict[Any, Outcome] | None = plain_keys(entities, target.key, UNANSWERED)
    now = time.monotonic()
    left = deadline - now
    if not plain or len(plain) > BATCH or left < LEAST_SECONDS or view.is_gone(target.source.table):
        return None
    keys = list(plain)
    try:
        request = target.wire.batch(keys)
    except Unavailable:
        return None  # `get_many` says so of each key
    return Ask(state, target, keys, request, now + _share(left), plain)


def answer_many(view: View, asked: Ask, reply: Response | Problem) -> dict[str | int, Outcome] | None:
    """Each entity's outcome when the reply settles them all; None when `rest_many` has to go on."""
    unanswered, _ = absorb(view, asked.target, asked.keys, reply, asked.outcomes, single=False)
    return None if unanswered else asked.outcomes


def rest_many(
    view: View, asked: Ask, reply: Response | Problem, deadline: float
) -> Generator[Step, Reply, dict[str | int, Outcome]]:
    """What follows a batch's first attempt that did not settle all, as `rest`."""
    first = (asked.target, [reply])
    yield from _lookup(view, asked.state, asked.keys, deadline, asked.outcomes, single=False, first=first)
    return asked.outcomes


def get_many(
    view: View, entities: Sequence[str | int], deadline: float
) -> Generator[Step, Reply, dict[str | int, Outcome]]:
    """Each entity's outcome by BatchGetItem, in the order given; an error stands in its own key's place only."""
    state = view.state()
    plain: dict[Any, Outcome] | None = plain_keys(entities, state.active.key, UNANSWERED)
    if plain is not None:
        if plain:
            yield from _lookup(view, state, list(plain), deadline, plain, single=False)
        return plain
    outcomes: dict[str, Outcome] = {}
    keys = {entity: canonical(entity, state.active.key) for entity in entities}
    # DynamoDB refuses a batch that names a key twice ("1" and 1 are one key).
    wanted = list(dict.fromkeys(key for key in keys.values() if key is not None))
    if wanted:
        yield from _lookup(view, state, wanted, deadline, outcomes, single=False)
    age = view.age()
    return {
        entity: Miss(shown(entity), state.active.source, age) if key is None else outcomes.get(key, UNANSWERED)
        for entity, key in keys.items()
    }


def _lookup(
    view: View,
    state: State,
    pending: list[str],
    deadline: float,
    outcomes: dict[str, Outcome],
    *,
    single: bool,
    first: tuple[Target, list[Response | Problem]] | None = None,
) -> Generator[Step, Reply, None]:
    """Fill `outcomes` for every key of `pending`, one at least. `first` is an attempt that was made already."""
    tried: set[str] = set()
    target = first[0] if first is not None else _next_target(view, state, tried)
    refreshed = target is not state.active
    failure = _NOTHING_SENT if target is not None else _FOUND_GONE
    pause = PAUSE_SECONDS
    while target is not None:
        chunks = [pending]
        if first is not None:
            replies, first = first[1], None
        else:
            now = time.monotonic()
            left = deadline - now
            if left < LEAST_SECONDS:
                break
            if len(pending) > BATCH:
                chunks = [pending[at : at + BATCH] for at in range(0, len(pending), BATCH)]
            try:
                requests = [target.wire.get(pending[0])] if single else list(map(target.wire.batch, chunks))
            except Unavailable as error:
                outcomes.update(dict.fromkeys(pending, error))
                return
            replies = (yield Exchange(target.endpoint, requests, now + _share(left))) or []
        problem: Problem | None = None
        pending = []
        for chunk, reply in zip(chunks, replies, strict=True):
            left_over, wrong = absorb(view, target, chunk, reply, outcomes, single=single)
            pending += left_over
            problem = wrong if problem is None or (wrong is not None and wrong.kind == "gone") else problem
        if problem is None or not pending:
            return
        # A time-out says less than what was wrong before: throttled, and no retry got through in time, is throttled.
        if problem.kind != "timeout" or failure.kind not in ("throttled", "unavailable"):
            failure = problem
        if problem.kind == "gone":
            tried.add(target.source.table)
            view.mark_gone(target.source.table)
            if not refreshed:
                refreshed = True
                yield Refresh(time.monotonic() + (deadline - time.monotonic()) * ATTEMPT_SHARE)
                state = view.state()
            target = _next_target(view, state, tried)
            continue
        if problem.kind in ("refused", "closed"):
            failure = problem
            break
        view.retried(problem.kind)
        if problem.kind != "stale":
            # A pause that ate the rest of the budget would turn a late answer into none.
            yield Pause(min(random.uniform(0.5, 1.0) * pause, max(0.0, (deadline - time.monotonic()) / 3)))
            pause *= 2
    # A gone table counts even when the next one merely failed: the fallback list beats an error.
    give_up(view, state, target if not tried else None, failure, pending, outcomes)


def _outcome_of_none(view: View, state: State, target: Target | None, key: str) -> Outcome:
    """Of a lookup that sends nothing: no table is left, or no time."""
    outcomes: dict[str, Outcome] = {}
    give_up(view, state, target, _NOTHING_SENT if target is not None else _FOUND_GONE, [key], outcomes)
    return outcomes[key]


def _next_target(view: View, state: State, tried: set[str]) -> Target | None:
    candidates: Iterator[Target] = iter((state.active, *state.previous))
    return next((c for c in candidates if c.source.table not in tried and not view.is_gone(c.source.table)), None)
